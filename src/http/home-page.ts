import { readSmallBytes } from '../base/file-stamp.ts';
import { errorMessage, TowpathError } from '../base/errors.ts';
import { redactUrl } from '../base/redact-url.ts';
import { BROWSER_HEADERS, emptyPage, neutralPage, type Page } from './pages.ts';

/** The `home` section of the configuration. */
export interface HomeSettings {
  readonly mode: 'neutral' | 'blank' | 'full' | 'redirect' | 'file';
  /** Where mode `redirect` sends browsers. */
  readonly url?: string | undefined;
  /** The HTML file that mode `file` shows. */
  readonly file?: string | undefined;
}

/** What a browser sees at `/` and at every path without a page of its own. */
export interface HomePage {
  /** True when no answer may show what this server is. Only the page of mode `full` shows it. */
  readonly neutral: boolean;
  readonly page: Page;
}

const HTML = 'text/html; charset=utf-8';
/** Largest home page in bytes. It may contain small images and fonts. */
const LARGEST_PAGE_BYTES = 16 * 1024 * 1024;
/** The operator's page may contain its style and small images. */
const FILE_POLICY = "; style-src 'self' 'unsafe-inline'; img-src 'self' data:";

const FULL_PAGE = `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>DERP relay</title></head>
<body>
<h1>DERP relay</h1>
<p>This is a relay for a network built with Tailscale or Headscale. When two devices of that network cannot reach each
other directly, it carries their packets. The packets are encrypted from device to device; the relay cannot read
them.</p>
<p>There is nothing to see here for a browser. The software is towpath.</p>
</body>
</html>
`;

/** Makes the configured home page; mode `file` reads the file now. Throws a TowpathError when that fails. */
export function loadHomePage(settings: HomeSettings): HomePage {
  switch (settings.mode) {
    case 'neutral':
      return { neutral: true, page: neutralPage(404, 'Not Found') };
    case 'blank':
      return { neutral: true, page: emptyPage(200, { ...BROWSER_HEADERS, 'Content-Type': HTML }) };
    case 'full':
      return { neutral: false, page: htmlPage(Buffer.from(FULL_PAGE), '') };
    case 'redirect':
      return { neutral: true, page: emptyPage(302, { ...BROWSER_HEADERS, Location: checkedUrl(settings.url) }) };
    case 'file':
      return { neutral: true, page: htmlPage(readPage(settings.file ?? ''), FILE_POLICY) };
  }
}

function htmlPage(body: Buffer, morePolicy: string): Page {
  const policy = `${BROWSER_HEADERS['Content-Security-Policy']!}${morePolicy}`;
  return {
    status: 200,
    headers: { ...BROWSER_HEADERS, 'Content-Security-Policy': policy, 'Content-Type': HTML },
    body,
  };
}

function readPage(file: string): Buffer {
  try {
    return readSmallBytes(file, LARGEST_PAGE_BYTES);
  } catch (error) {
    throw new TowpathError('TOWPATH_HOME_FILE', `The home page cannot be read: ${errorMessage(error)}.`, {
      hint: 'Set home.file to an HTML file that the relay may read, or choose another home.mode.',
      cause: error,
    });
  }
}

function checkedUrl(url = ''): string {
  const parsed = URL.parse(url);
  if (parsed !== null && (parsed.protocol === 'https:' || parsed.protocol === 'http:')) return parsed.href;
  throw new TowpathError('TOWPATH_HOME_URL', `The home page cannot redirect to ${redactUrl(url)}.`, {
    hint: 'Set home.url to an address that starts with https:// or http://.',
  });
}

import { printable } from '../../base/printable.ts';

/** Returns the text as it is written in HTML, also inside an attribute. Control characters are shown as escapes. */
export function escapeHtml(text: string): string {
  return printable(text)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

import { Owner, type Frame } from './profile.ts';

const WIDTH = 1200;
const ROW = 18;
const LEGEND_ROW = 20;
const HEAD = 44;
const CHAR = 6.4;
/** Narrower frames are left out: nobody sees them, and they make the file large. */
const NARROWEST = 0.4;

const COLOURS: Readonly<Record<Owner, string>> = {
  [Owner.Relay]: '#e8743b',
  [Owner.Dependency]: '#c9b458',
  [Owner.Node]: '#5fa55a',
  [Owner.Native]: '#4a90c2',
  [Owner.Runtime]: '#9aa5b1',
  [Owner.Collector]: '#a672b8',
};

/** Draws a flame graph: callers below, what they call above, width is time. One file that needs nothing else. */
export function drawFlame(root: Frame, title: string, shares: ReadonlyMap<Owner, number>): string {
  const depth = depthOf(root);
  const height = HEAD + depth * ROW + shares.size * LEGEND_ROW + 16;
  const shapes: string[] = [];
  draw(root, 0, 0);
  const legend = [...shares].map(([owner, share], index) => {
    const y = HEAD + depth * ROW + 12 + index * LEGEND_ROW;
    const label = `${owner}: ${(share * 100).toFixed(1)} % of the time`;
    return `<rect x="8" y="${y}" width="14" height="14" fill="${COLOURS[owner]}"/><text x="28" y="${y + 12}">${escaped(label)}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="monospace" font-size="11">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    `<text x="8" y="26" font-size="15" font-family="sans-serif">${escaped(title)}</text>`,
    ...shapes,
    ...legend,
    '</svg>\n',
  ].join('\n');

  function draw(frame: Frame, x: number, level: number): void {
    const width = (frame.totalUs / root.totalUs) * WIDTH;
    if (width < NARROWEST) return;
    const y = HEAD + (depth - 1 - level) * ROW;
    const tip = `${frame.name}: ${((frame.totalUs / root.totalUs) * 100).toFixed(2)} %, itself ${((frame.selfUs / root.totalUs) * 100).toFixed(2)} %`;
    const room = Math.floor((width - 6) / CHAR);
    const label = frame.name.length <= room ? frame.name : `${frame.name.slice(0, Math.max(room - 1, 0))}…`;
    const text = room < 4 ? '' : `<text x="${(x + 3).toFixed(1)}" y="${y + 13}">${escaped(label)}</text>`;
    shapes.push(
      `<g><title>${escaped(tip)}</title><rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(width - 0.3, 0.2).toFixed(1)}" height="${ROW - 1}" fill="${COLOURS[frame.owner]}" rx="1"/>${text}</g>`,
    );
    let at = x;
    for (const child of [...frame.children.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      draw(child, at, level + 1);
      at += (child.totalUs / root.totalUs) * WIDTH;
    }
  }

  function depthOf(frame: Frame): number {
    const visible = [...frame.children.values()].filter(({ totalUs }) => (totalUs / root.totalUs) * WIDTH >= NARROWEST);
    return 1 + Math.max(0, ...visible.map(depthOf));
  }
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

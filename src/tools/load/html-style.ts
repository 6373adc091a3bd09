/** Colours of lines. Most colour-blind people can tell them apart. The dark ones are for a dark page. */
const COLOURS: readonly (readonly [light: string, dark: string])[] = [
  ['#0072b2', '#56b4e9'],
  ['#d55e00', '#f0884a'],
  ['#009e73', '#2fc79b'],
  ['#b3588f', '#dd9cc0'],
];

function variables(theme: 0 | 1): string {
  return COLOURS.map((colour, index) => `--c${index}: ${colour[theme]};`).join(' ');
}

/** The style sheet of the page. The class `printed` forces the light colours. */
export const STYLE: string = `
:root {
  color-scheme: light dark;
  --page: #fff; --text: #1c1e21; --quiet: #5c6370; --rule: #d9dce1; --card: #f5f6f8;
  --good: #176f3d; --good-card: #e3f4e9; --bad: #b3261e; --bad-card: #fbe6e4; --warn: #7a4d00; --warn-card: #fdf1da;
  ${variables(0)}
}
@media (prefers-color-scheme: dark) {
  :root:not(.printed) {
    --page: #15171a; --text: #e6e8eb; --quiet: #9aa2ad; --rule: #34383e; --card: #1f2226;
    --good: #7fd8a0; --good-card: #16301f; --bad: #ff9d94; --bad-card: #3d1d1b; --warn: #f1c26b; --warn-card: #352911;
    ${variables(1)}
  }
}
* { box-sizing: border-box; }
body {
  font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);
  max-width: 860px; margin: 0 auto; padding: 1.5rem 1rem 3rem;
}
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.1rem; margin: 2rem 0 0.5rem; }
.quiet { color: var(--quiet); }
.about { margin: 0.2rem 0; overflow-wrap: anywhere; }
.box { border-left: 4px solid; border-radius: 4px; padding: 0.6rem 0.9rem; margin: 1rem 0; overflow-wrap: anywhere; }
.box ul { margin: 0.3rem 0 0; padding: 0; list-style: none; }
.box li { color: var(--text); }
.passed { color: var(--good); background: var(--good-card); }
.failed { color: var(--bad); background: var(--bad-card); }
.box li.failed { background: none; color: var(--bad); font-weight: 600; }
.note { color: var(--warn); background: var(--warn-card); }
.tiles { display: grid; grid-template-columns: repeat(3, 1fr); gap: 0.6rem; margin: 1.2rem 0; }
.tiles.four { grid-template-columns: repeat(4, 1fr); }
.tiles div { background: var(--card); border-radius: 6px; padding: 0.6rem 0.8rem; }
.tiles dt { color: var(--quiet); font-size: 0.8rem; }
.tiles dd { margin: 0; font-size: 1.25rem; font-weight: 600; }
.settings { margin: 0; padding-left: 1.2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 1rem 0.2rem 0; border-bottom: 1px solid var(--rule); }
th { font-weight: normal; color: var(--quiet); width: 13rem; }
thead th { color: var(--text); font-weight: 600; width: auto; }
figure { margin: 1.5rem 0; break-inside: avoid; }
figcaption { margin-bottom: 0.3rem; }
figure .u-legend { text-align: left; font-size: 0.8rem; color: var(--quiet); margin: 0; }
figure .u-legend th, figure .u-legend td { border: 0; padding: 0 0.4rem 0 0; width: auto; }
.steady { margin: 1.2rem 0; }
@media (max-width: 620px) {
  body { font-size: 14px; }
  th { width: auto; }
  .tiles, .tiles.four { grid-template-columns: repeat(2, 1fr); }
  .tiles dd { font-size: 1.1rem; }
}
@media print {
  body { padding: 0; }
}
`;

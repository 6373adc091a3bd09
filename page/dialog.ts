import { byId, h } from './dom.ts';

interface Choice {
  readonly label: string;
  readonly isDanger?: boolean;
  /** Does the choice. Resolves with the text to show afterwards. */
  readonly act: () => Promise<string>;
}

/** A choice that leads to another dialog. */
interface Way {
  readonly label: string;
  readonly opens: () => void;
}

/** Shows a dialog with choices; each is done once, and its outcome is shown. Escape closes it. */
export function openDialog(
  title: string,
  content: readonly (HTMLElement | string)[],
  choices: readonly (Choice | Way)[],
): void {
  const dialog = byId('dialog') as HTMLDialogElement;
  const outcome = h('p', { 'aria-live': 'assertive' });
  const close = h('button', { type: 'button', click: () => dialog.close() }, 'Close');
  const buttons = choices.map((choice) => {
    if ('opens' in choice) {
      return h('button', { type: 'button', click: choice.opens }, choice.label) as HTMLButtonElement;
    }
    const { label, isDanger, act } = choice;
    const button = h(
      'button',
      { type: 'button', class: isDanger === true ? 'danger' : '' },
      label,
    ) as HTMLButtonElement;
    button.addEventListener('click', () => {
      for (const each of buttons) each.disabled = true;
      outcome.className = '';
      outcome.textContent = 'working…';
      act().then(
        (message) => (outcome.textContent = message),
        (error: unknown) => {
          outcome.className = 'failed';
          outcome.textContent = error instanceof Error ? error.message : String(error);
          for (const each of buttons) each.disabled = false;
        },
      );
    });
    return button;
  });
  dialog.replaceChildren(h('h2', {}, title), ...content, outcome, h('div', { class: 'buttons' }, ...buttons, close));
  if (!dialog.open) dialog.showModal();
}

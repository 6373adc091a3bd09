import { createInterface, type Interface } from 'node:readline';
import { Writable } from 'node:stream';
import { TowpathError } from '../../base/errors.ts';

/** One of several answers. */
export interface Choice {
  readonly name: string;
  readonly text: string;
}

/** Checks a text. Returns null when it is allowed, otherwise what is allowed. */
export type TextCheck = (text: string) => string | null;

/** Asks a person. Every question is asked again until the answer is allowed. */
export interface Prompt {
  ask(question: string, check: TextCheck, initial?: string): Promise<string>;
  /** The text is not shown while it is typed. */
  askSecret(question: string): Promise<string>;
  /** Returns the name of the choice. The first one is the default. */
  choose(question: string, choices: readonly Choice[]): Promise<string>;
  confirm(question: string, initial: boolean): Promise<boolean>;
  close(): void;
}

/** Characters of header values. */
const SECRET = /^[\x21-\x7e]+$/;

/** Asks on the terminal of this process. Rejects with `TOWPATH_SETUP_INTERRUPTED` for Ctrl+C and Ctrl+D. */
export class TerminalPrompt implements Prompt {
  /** Lines that were typed before the question. */
  readonly #typed: string[] = [];
  readonly #lines: Interface;
  #isHidden = false;
  #isOver = false;
  #waiting: { readonly resolve: (line: string) => void; readonly reject: (error: Error) => void } | null = null;

  constructor() {
    const output = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        if (!this.#isHidden) process.stdout.write(chunk);
        done();
      },
    });
    // With `terminal`, readline itself shows the typed text, so that it can also hide it.
    this.#lines = createInterface({ input: process.stdin, output, terminal: true });
    this.#lines.on('line', (line) => this.#got(line));
    this.#lines.once('SIGINT', () => this.#lines.close());
    this.#lines.once('close', () => {
      this.#isOver = true;
      this.#waiting?.reject(interrupted());
    });
  }

  async ask(question: string, check: TextCheck, initial?: string): Promise<string> {
    for (;;) {
      const typed = (await this.#line(`${question}${initial === undefined ? '' : ` [${initial}]`}: `)).trim();
      const answer = typed === '' && initial !== undefined ? initial : typed;
      const allowed = check(answer);
      if (allowed === null) return answer;
      say(`  Allowed: ${allowed}\n`);
    }
  }

  async askSecret(question: string): Promise<string> {
    for (;;) {
      const answer = (await this.#hiddenLine(`${question} (not shown): `)).trim();
      if (SECRET.test(answer)) return answer;
      say('  Allowed: one line without blanks\n');
    }
  }

  async choose(question: string, choices: readonly Choice[]): Promise<string> {
    say(`${question}\n${choices.map(({ text }, i) => `  ${i + 1}) ${text}\n`).join('')}`);
    const numbers = choices.map((_, i) => String(i + 1));
    const check: TextCheck = (text) => (numbers.includes(text) ? null : `a number from 1 to ${choices.length}`);
    return choices[Number(await this.ask('Number', check, '1')) - 1]!.name;
  }

  async confirm(question: string, initial: boolean): Promise<boolean> {
    const check: TextCheck = (text) => (/^(?:y|yes|n|no)$/i.test(text) ? null : 'yes or no');
    return /^y/i.test(await this.ask(question, check, initial ? 'yes' : 'no'));
  }

  close(): void {
    this.#waiting = null;
    this.#lines.close();
  }

  #got(line: string): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) this.#typed.push(line);
    else waiting.resolve(line);
  }

  async #hiddenLine(question: string): Promise<string> {
    say(question);
    this.#isHidden = true;
    try {
      return await this.#line('');
    } finally {
      this.#isHidden = false;
      say('\n');
    }
  }

  #line(question: string): Promise<string> {
    // Passing the question as the prompt keeps it when readline redraws the line, for example after a backspace.
    this.#lines.setPrompt(question);
    this.#lines.prompt();
    const typed = this.#typed.shift();
    if (typed !== undefined) return Promise.resolve(typed);
    if (this.#isOver) return Promise.reject(interrupted());
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }
}

function interrupted(): TowpathError {
  return new TowpathError('TOWPATH_SETUP_INTERRUPTED', 'interrupted: nothing was changed');
}

function say(text: string): void {
  process.stdout.write(text);
}

import { describeFound } from '../../config/problems.ts';
import type { Choice, Prompt, TextCheck } from './prompt.ts';

/** Who may use the relay. */
export type Admission =
  | { readonly kind: 'headscale'; readonly url: string }
  | { readonly kind: 'headscale-api'; readonly url: string; readonly apiKeyFile: string }
  | { readonly kind: 'tailscale-api'; readonly clientId: string; readonly clientSecretFile: string }
  | { readonly kind: 'tailscale-api'; readonly apiKeyFile: string }
  | { readonly kind: 'tailscaled' }
  | { readonly kind: 'webhook'; readonly url: string }
  | { readonly kind: 'keys'; readonly allowFile: string }
  | { readonly kind: 'open' };

/** Where the certificate comes from. */
export type Certificate =
  | { readonly kind: 'self-signed' }
  | { readonly kind: 'acme'; readonly email: string | null }
  | { readonly kind: 'files'; readonly file: string; readonly keyFile: string };

/** The network whose nodes use the relay. */
export type Network = 'tailscale' | 'headscale';

/** A secret that was typed in and has to be written to a file. */
export interface TypedSecret {
  readonly file: string;
  readonly text: string;
}

/** Everything that a set-up needs to know. */
export interface SetupAnswers {
  /** A DNS name or an IP address. */
  readonly host: string;
  readonly publicIps: readonly string[];
  readonly network: Network;
  readonly admission: Admission;
  readonly certificate: Certificate;
  readonly secrets: readonly TypedSecret[];
}

/** Takes answers from flags. Missing answers are asked for on a terminal, or without one collected in `missing`. */
export class AnswerSource {
  /** The flags that are missing, and the answers to flags that are wrong. */
  readonly missing: string[] = [];
  readonly wrong: string[] = [];
  readonly secrets: TypedSecret[] = [];
  readonly #flags: Readonly<Record<string, string | undefined>>;
  readonly #prompt: Prompt | null;

  /** `flags` by their names without dashes; a `prompt` of null is for commands without a terminal. */
  constructor(flags: Readonly<Record<string, string | undefined>>, prompt: Prompt | null) {
    this.#flags = flags;
    this.#prompt = prompt;
  }

  /** True when there is a terminal to ask on. */
  get isInteractive(): boolean {
    return this.#prompt !== null;
  }

  /**
   * Returns the value of `--FLAG`, the answer to `question`, or without a terminal `initial`. Empty when it is missing.
   */
  async text(flag: string, question: string, check: TextCheck, initial?: string): Promise<string> {
    const given = this.#flags[flag];
    if (given !== undefined) {
      const allowed = check(given);
      if (allowed !== null) this.wrong.push(`--${flag}: found ${describeFound(given)}; allowed: ${allowed}`);
      return given;
    }
    if (this.#prompt === null) {
      if (initial === undefined) this.missing.push(`--${flag}`);
      return initial ?? '';
    }
    return this.#prompt.ask(question, check, initial);
  }

  /** One of `choices`. Empty when it is missing. */
  async choice(flag: string, question: string, choices: readonly Choice[]): Promise<string> {
    const names = choices.map(({ name }) => name);
    const given = this.#flags[flag];
    if (given !== undefined) {
      if (!names.includes(given)) this.wrong.push(`--${flag}: found "${given}"; allowed: one of ${names.join(', ')}`);
      return given;
    }
    if (this.#prompt === null) {
      this.missing.push(`--${flag}`);
      return '';
    }
    return this.#prompt.choose(question, choices);
  }

  /**
   * Returns the path of a file with a secret: the value of `--FLAG`, or `file`, to which the typed secret will be
   * written.
   */
  async secretFile(flag: string, question: string, file: string): Promise<string> {
    const given = this.#flags[flag];
    if (given !== undefined) {
      // The path becomes part of a line of a unit file.
      if (/\p{Cc}/u.test(given)) this.wrong.push(`--${flag}: found a control character; allowed: a path`);
      return given;
    }
    if (this.#prompt === null) {
      this.missing.push(`--${flag}`);
      return '';
    }
    this.secrets.push({ file, text: `${await this.#prompt.askSecret(question)}\n` });
    return file;
  }

  /** Returns whether the flag was given or the question was answered with yes. */
  async agrees(flag: string, question: string): Promise<boolean> {
    if (this.#flags[flag] !== undefined) return true;
    if (this.#prompt !== null) return this.#prompt.confirm(question, false);
    this.missing.push(`--${flag}`);
    return false;
  }

  /** Returns the value of a flag without asking. */
  given(flag: string): string | undefined {
    return this.#flags[flag];
  }
}

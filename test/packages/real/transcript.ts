import { writeFileSync } from 'node:fs';

/** The commands and their output: printed at once, and kept for a file. */
export class Transcript {
  readonly #lines: string[] = [];

  say(text: string): void {
    console.log(text);
    this.#lines.push(text);
  }

  /** Adds a command with its prompt, and its output. */
  command(command: string, output: string): void {
    this.say(output.trim() === '' ? command : `${command}\n${indented(output)}`);
  }

  write(file: string): void {
    writeFileSync(file, `${this.#lines.join('\n')}\n`);
  }
}

function indented(text: string): string {
  // dpkg writes its progress over the line before.
  const lines = text.trim().split('\n');
  return lines.map((line) => `  ${line.trimEnd().split('\r').at(-1)!}`).join('\n');
}

/** Splits a stream of server-sent events that arrives in pieces of any size. */
export class EventParser {
  readonly #receive: (name: string, data: string) => void;
  #text = '';

  constructor(receive: (name: string, data: string) => void) {
    this.#receive = receive;
  }

  /** Takes the next piece of the stream. */
  push(text: string): void {
    this.#text += text;
    for (let end = this.#text.indexOf('\n\n'); end >= 0; end = this.#text.indexOf('\n\n')) {
      const block = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + 2);
      let name = 'message';
      const data: string[] = [];
      for (const line of block.split('\n')) {
        if (line.startsWith('event: ')) name = line.slice('event: '.length);
        else if (line.startsWith('data: ')) data.push(line.slice('data: '.length));
      }
      if (data.length > 0) this.#receive(name, data.join('\n'));
    }
  }
}

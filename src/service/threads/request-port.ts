import type { MessagePort, Transferable } from 'node:worker_threads';
import { errorMessage, internalError, TowpathError } from '../../base/errors.ts';

/** Requests by their names: what is asked, and what is answered. */
type Requests = Readonly<Record<string, { readonly ask: unknown; readonly answer: unknown }>>;

/** How one side answers the requests of the other. */
export type Answers<Theirs extends Requests> = {
  readonly [Name in keyof Theirs]: (
    ask: Theirs[Name]['ask'],
  ) => Theirs[Name]['answer'] | Promise<Theirs[Name]['answer']>;
};

/** An error as plain data. */
interface PlainError {
  readonly code: string | null;
  readonly message: string;
  readonly hint?: string | undefined;
}

type Message =
  | { readonly kind: 'ask'; readonly id: number; readonly name: string; readonly ask: unknown }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly error: PlainError }
  | { readonly kind: 'note'; readonly note: unknown };

interface Waiting {
  readonly resolve: (answer: never) => void;
  readonly reject: (error: Error) => void;
}

/**
 * One end between the service and a relay thread: requests with answers in both directions, and notes without answers.
 * All messages are plain data.
 */
export class RequestPort<Ours extends Requests, Theirs extends Requests, OurNote, TheirNote> {
  readonly #port: MessagePort;
  readonly #answers: Answers<Theirs>;
  readonly #noted: (note: TheirNote) => void;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #closed: Error | null = null;

  constructor(port: MessagePort, answers: Answers<Theirs>, noted: (note: TheirNote) => void) {
    this.#port = port;
    this.#answers = answers;
    this.#noted = noted;
    port.on('message', (message: Message) => {
      try {
        this.#receive(message);
      } catch (error) {
        internalError('message of a thread', error);
      }
    });
  }

  /** Asks the other side. Rejects when it cannot answer, or is gone. */
  ask<Name extends keyof Ours & string>(name: Name, ask: Ours[Name]['ask']): Promise<Ours[Name]['answer']> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#send({ kind: 'ask', id, name, ask });
    });
  }

  /** Tells the other side something. The objects in `transferred` no longer belong to this side. */
  tell(note: OurNote, transferred: readonly Transferable[] = []): void {
    if (this.#closed === null) this.#send({ kind: 'note', note }, transferred);
  }

  /** Closes the port when the other side is gone: all requests that wait for an answer fail with `error`. */
  close(error: Error): void {
    if (this.#closed !== null) return;
    this.#closed = error;
    this.#port.close();
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #receive(message: Message): void {
    if (message.kind === 'note') {
      this.#noted(message.note as TheirNote);
    } else if (message.kind === 'ask') {
      void this.#answer(message.id, message.name, message.ask);
    } else {
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.kind === 'answer') waiting?.resolve(message.answer as never);
      else waiting?.reject(errorOf(message.error));
    }
  }

  async #answer(id: number, name: string, ask: unknown): Promise<void> {
    try {
      const answer = await this.#answers[name]!(ask);
      if (this.#closed === null) this.#send({ kind: 'answer', id, answer });
    } catch (error) {
      if (this.#closed === null) this.#send({ kind: 'failed', id, error: plain(error) });
    }
  }

  #send(message: Message, transferred: readonly Transferable[] = []): void {
    this.#port.postMessage(message, transferred);
  }
}

function plain(error: unknown): PlainError {
  if (error instanceof TowpathError) return { code: error.code, message: error.message, hint: error.hint };
  return { code: null, message: errorMessage(error) };
}

function errorOf({ code, message, hint }: PlainError): Error {
  return code === null ? new Error(message) : new TowpathError(code, message, hint === undefined ? {} : { hint });
}

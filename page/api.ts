import type { ActionAnswer, ActionBodies, ActionName, ErrorAnswer, LiveEvents } from '../src/api/shapes.ts';
import { EventParser } from './event-parser.ts';

const PREFIX = '/api/v1/';
const TOKEN = 'towpath-token';
const LONGEST_PAUSE_MS = 10_000;

/** Thrown when the relay needs another token. */
export class TokenNeeded extends Error {}

/** Keeps the token for this tab. */
export function setToken(token: string): void {
  sessionStorage.setItem(TOKEN, token);
}

function headers(): Record<string, string> {
  const token = sessionStorage.getItem(TOKEN);
  return token === null ? {} : { Authorization: `Bearer ${token}` };
}

interface Request {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
}

async function ask(path: string, request: Request = {}): Promise<Response> {
  const response = await fetch(`${PREFIX}${path}`, { ...request, headers: { ...headers(), ...request.headers } });
  if (response.status === 401) throw new TokenNeeded();
  if (response.ok) return response;
  const { error } = (await response.json()) as ErrorAnswer;
  throw new Error(error.hint === null ? error.message : `${error.message}. ${error.hint}`);
}

/** Reads one path of the API. */
export async function read<Answer>(path: string): Promise<Answer> {
  return (await (await ask(path)).json()) as Answer;
}

/** Does an action and returns its message. Rejects with the reason when it fails. */
export async function act<Name extends ActionName>(name: Name, body: ActionBodies[Name]): Promise<string> {
  const response = await ask(`actions/${name}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  return ((await response.json()) as ActionAnswer).message;
}

/** Receives the live updates. */
export interface LiveListener {
  event<Name extends keyof LiveEvents>(name: Name, data: LiveEvents[Name]): void;
  /** Called when the connection to the relay is open, or has ended. */
  connected(isConnected: boolean): void;
  tokenNeeded(): void;
}

/** Live updates. Connects again after a failure. `follow` changes the requested connections. */
export class Live {
  readonly #listener: LiveListener;
  #abort = new AbortController();
  #pauseMs = 500;

  constructor(listener: LiveListener) {
    this.#listener = listener;
  }

  /** Connects again with these parameters of the connections; null: without connections. */
  follow(parameters: URLSearchParams | null): void {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#pauseMs = 500;
    void this.#run(parameters === null ? 'events' : `events?${parameters.toString()}`, this.#abort.signal);
  }

  async #run(path: string, signal: AbortSignal): Promise<void> {
    // A function, because the signal changes while this waits.
    const isOver = (): boolean => signal.aborted;
    while (!isOver()) {
      try {
        await this.#stream(path, signal);
      } catch (error) {
        if (isOver()) return;
        if (error instanceof TokenNeeded) {
          this.#listener.tokenNeeded();
          return;
        }
      }
      if (isOver()) return;
      this.#listener.connected(false);
      await new Promise((resolve) => setTimeout(resolve, this.#pauseMs));
      this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
    }
  }

  async #stream(path: string, signal: AbortSignal): Promise<void> {
    const response = await ask(path, { signal });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new EventParser((name, data) => {
      this.#listener.event(name as keyof LiveEvents, JSON.parse(data) as never);
    });
    this.#pauseMs = 500;
    this.#listener.connected(true);
    for (let part = await reader.read(); !part.done; part = await reader.read()) parser.push(part.value);
  }
}

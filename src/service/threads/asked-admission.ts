import type { Admission, AdmissionRequest, AdmissionVerdict } from '../../relay/session/admission.ts';

/** The requests of a relay thread to the service. */
interface AdmissionPort {
  ask(question: { readonly key: Uint8Array; readonly ip: string; readonly id: number }): Promise<AdmissionVerdict>;
  /** Reports that these questions need no answer any more. */
  over(ids: readonly number[]): void;
}

/** The admission of the service, as a relay thread asks it. */
export class AskedAdmission implements Admission {
  readonly #port: AdmissionPort;
  readonly #waiting = new Map<number, AdmissionRequest>();
  #lastId = 0;

  constructor(port: AdmissionPort) {
    this.#port = port;
  }

  async admit(request: AdmissionRequest): Promise<AdmissionVerdict> {
    const id = ++this.#lastId;
    this.#waiting.set(id, request);
    try {
      return await this.#port.ask({ key: new Uint8Array(request.key), ip: request.ip, id });
    } finally {
      this.#waiting.delete(id);
    }
  }

  /** Tells the service which connections have ended while they waited. Call it regularly. */
  tick(): void {
    const over: number[] = [];
    for (const [id, { isOver }] of this.#waiting) {
      if (isOver?.() !== true) continue;
      this.#waiting.delete(id);
      over.push(id);
    }
    if (over.length > 0) this.#port.over(over);
  }
}

import type { Admission, AdmissionRequest, AdmissionVerdict } from '../../relay/session/admission.ts';

/** How a relay thread asks the service. */
interface AdmissionPort {
  ask(question: { readonly key: Uint8Array; readonly ip: string; readonly id: number }): Promise<AdmissionVerdict>;
  /** These wait no longer. */
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

  /** Called now and then: tells the service whose connections have ended while they waited. */
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

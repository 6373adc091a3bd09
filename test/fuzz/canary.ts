import { encodeFrame, FrameType, KEY_BYTES } from '../../src/wire/frames.ts';
import { Wire } from './wire.ts';

const DEADLINE_MS = 20_000;
const PERIOD_MS = 20;
const PACKET_BYTES = 200;

/** Two correct clients. One sends the other numbered packets while the inputs are sent. */
export class Canary {
  sent = 0;
  received = 0;
  readonly problems: string[] = [];
  worstMs = 0;
  readonly #sender: Wire;
  readonly #receiver: Wire;
  readonly #sentAt = new Map<number, number>();
  readonly #timer: NodeJS.Timeout;
  #isOver = false;

  private constructor(sender: Wire, receiver: Wire) {
    this.#sender = sender;
    this.#receiver = receiver;
    this.#timer = setInterval(() => void this.#send(), PERIOD_MS);
    void this.#read();
    void this.#watch();
  }

  static async start(port: number, preamble: Buffer | null): Promise<Canary> {
    const login = async (): Promise<Wire> => {
      const wire = await Wire.open(port, { tls: {}, ...(preamble === null ? {} : { preamble }) }, DEADLINE_MS);
      await wire.upgrade('upgrade', DEADLINE_MS);
      await wire.login(DEADLINE_MS);
      return wire;
    };
    return new Canary(await login(), await login());
  }

  /** Waits for the packets under way, and disconnects. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const late = performance.now() + DEADLINE_MS;
    while (this.received < this.sent && this.problems.length === 0 && performance.now() < late) {
      await new Promise((resolve) => setTimeout(resolve, PERIOD_MS));
    }
    if (this.received < this.sent) this.problems.push(`${this.sent - this.received} packets of the pair are lost`);
    this.#isOver = true;
    this.#sender.fin();
    this.#receiver.fin();
  }

  async #send(): Promise<void> {
    if (this.#sender.isClosed) return;
    const packet = Buffer.alloc(PACKET_BYTES);
    packet.writeUInt32BE(this.sent);
    this.#sentAt.set(this.sent++, performance.now());
    await this.#sender.send(encodeFrame(FrameType.SendPacket, this.#receiver.keys.publicKey, packet));
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const { type, payload } = await this.#receiver.frame(DEADLINE_MS);
        if (type !== FrameType.RecvPacket) continue;
        const number = payload.readUInt32BE(KEY_BYTES);
        if (number !== this.received) this.problems.push(`packet ${number} came instead of ${this.received}`);
        this.received = number + 1;
        this.worstMs = Math.max(this.worstMs, performance.now() - (this.#sentAt.get(number) ?? 0));
        this.#sentAt.delete(number);
      }
    } catch (error) {
      if (!this.#isOver) this.problems.push(`the receiver of the pair: ${String(error)}`);
    }
  }

  async #watch(): Promise<void> {
    try {
      for (;;) await this.#sender.frame(2 ** 30);
    } catch (error) {
      if (!this.#isOver) this.problems.push(`the sender of the pair: ${String(error)}`);
    }
  }
}

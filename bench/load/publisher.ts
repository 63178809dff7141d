import type { Client } from "../wire/client.js";
import { within } from "../within.js";

/** For the last answers of a round, ms. */
const ANSWER_TIMEOUT = 30_000;

/** Sends the same few messages in turn, again and again, each in a write of its own, never more than its window without an answer. */
export class Publisher {
  #sent = 0;
  #quota = 0;
  #settle: (() => void) | undefined;
  #fail: ((error: Error) => void) | undefined;

  constructor(
    private readonly client: Client,
    private readonly messages: readonly Buffer[],
    private readonly window: number,
  ) {
    client.onRead = (_messages, answers) => this.#answered(answers);
    client.onLost = (why) => this.#fail?.(new Error(`A publisher was lost: ${why}.`));
  }

  /** Messages of the others that it received. */
  get received(): number {
    return this.client.messages;
  }

  /** Publishes so many; settles when all are answered. */
  async publish(count: number): Promise<void> {
    this.#quota = this.#sent + count;
    await this.#run();
  }

  /** Publishes for so many ms; settles when all are answered, with how many that were. */
  async publishFor(ms: number): Promise<number> {
    const before = this.#sent;
    this.#quota = Number.POSITIVE_INFINITY;
    const timer = setTimeout(() => {
      this.#quota = this.#sent;
      this.#answered(0);
    }, ms);
    try {
      await this.#run();
    } finally {
      clearTimeout(timer);
    }
    return this.#sent - before;
  }

  close(): void {
    this.client.close();
  }

  async #run(): Promise<void> {
    const answered = new Promise<void>((resolve, reject) => {
      this.#settle = resolve;
      this.#fail = reject;
    });
    this.#send(this.window);
    await within(ANSWER_TIMEOUT, "the answers to a publisher", answered);
  }

  #answered(answers: number): void {
    this.#send(answers);
    if (this.#sent >= this.#quota && this.client.answers === this.#sent) this.#settle?.();
  }

  #send(credit: number): void {
    for (let left = credit; left > 0 && this.#sent < this.#quota; left--) {
      this.client.write(this.messages[this.#sent++ % this.messages.length] as Buffer);
    }
  }
}

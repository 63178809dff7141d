import type { Client } from "../wire/client.js";
import { within } from "../within.js";

/** For the last answers, ms. */
const ANSWER_TIMEOUT = 30_000;

/**
 * Sends numbered messages as fast as they are answered, never more than its window without an answer. All that have
 * credit go out in one write, as with the buffered output of most languages: that spares the generator, not the server.
 */
export class Producer {
  /** Messages sent; the number of the last one. */
  sent = 0;
  /** True once all are answered. */
  finished = false;
  #quota = 0;
  /** Answers that came to somebody else's messages. */
  readonly #before: number;
  #settle: () => void = () => {};
  #fail: (error: Error) => void = () => {};

  /** @param message the one of this number, as bytes */
  constructor(
    private readonly client: Client,
    private readonly message: (number: number) => Buffer,
    private readonly window: number,
  ) {
    this.#before = client.answers;
    client.onRead = (_messages, answers) => this.#answered(answers);
    client.onLost = (why) => this.#fail(new Error(`The producer was lost: ${why}.`));
  }

  /**
   * Sends messages 1 to `count`; settles when all are answered.
   * @param ms for all of them
   */
  async produce(count: number, ms: number): Promise<void> {
    this.#quota = count;
    const answered = new Promise<void>((resolve, reject) => {
      this.#settle = resolve;
      this.#fail = reject;
    });
    this.#send(this.window);
    await within(ms + ANSWER_TIMEOUT, "the answers to a producer", answered);
  }

  /** Sends no more; what is under way is still answered. */
  stop(): void {
    this.#quota = this.sent;
    this.#answered(0);
  }

  close(): void {
    this.client.close();
  }

  #answered(answers: number): void {
    this.#send(answers);
    if (this.sent < this.#quota || this.client.answers - this.#before < this.sent) return;
    this.finished = true;
    this.#settle();
  }

  #send(credit: number): void {
    const count = Math.min(credit, this.#quota - this.sent);
    if (count <= 0) return;
    const messages: Buffer[] = [];
    for (let i = 0; i < count; i++) messages.push(this.message(++this.sent));
    this.client.write(Buffer.concat(messages));
  }
}

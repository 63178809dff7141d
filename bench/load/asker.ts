import type { WebSocketClient } from "../wire/websocket-client.js";
import { within } from "../within.js";

/** For one answer, ms. */
const ANSWER_TIMEOUT = 30_000;

/** A page that asks one thing after the other, each when the answer to the one before has come. */
export class Asker {
  /** Nobody else may send to this page: whatever comes is the answer. */
  constructor(private readonly page: WebSocketClient) {}

  /** @returns from the write to the end of the answer, ms */
  async ask(question: Buffer): Promise<number> {
    const answered = new Promise<void>((resolve, reject) => {
      this.page.onRead = () => resolve();
      this.page.onLost = (why) => reject(new Error(`The page that asks was lost: ${why}.`));
    });
    const start = performance.now();
    this.page.write(question);
    await within(ANSWER_TIMEOUT, "an answer", answered);
    return performance.now() - start;
  }

  /** The newest answer. */
  get answer(): unknown {
    return JSON.parse(this.page.last);
  }

  close(): void {
    this.page.close();
  }
}

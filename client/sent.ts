import { Queue } from "../protocol/index.js";

/** What was sent and may have to be sent again: the texts the hub is not known to have counted [RES-4]. */
export class SentTexts {
  /** Counted texts sent in this session. */
  count = 0;
  readonly #texts = new Queue<string>();

  add(text: string): void {
    this.#texts.push(text);
    this.count++;
  }

  /** The hub has counted the first `n`. */
  release(n: number): void {
    while (this.count - this.#texts.length < n && this.#texts.length > 0) this.#texts.shift();
  }

  /** What it has not, oldest first. */
  forEach(callback: (text: string) => void): void {
    this.#texts.forEach(callback);
  }

  /** A new session, or one whose first `n` texts were sent by a page that is gone. */
  reset(n = 0): void {
    this.#texts.clear();
    this.count = n;
  }
}

import { Fault } from "../protocol/index.js";
import type { Budget } from "./budget.js";

/** How often transports look at what has come in part, ms: as often as the hub looks at messages in pieces. */
export const LOOK_INTERVAL = 1_000;

/** What has come of a message whose end has not: it counts like all that is kept, and it is not waited for without end. */
export class Unfinished {
  #bytes = 0;
  #since = 0;

  constructor(
    private readonly budget: Budget,
    /** ms for which nothing more of it may come. */
    private readonly bufferTimeout: number,
  ) {}

  /**
   * @param bytes that have come of it; 0: there is none
   * @param now ms
   * @throws Fault `policy` where nothing comes any more, `try-later` where all that is kept is too much
   */
  look(bytes: number, now: number): void {
    if (bytes !== this.#bytes || bytes === 0) this.#since = now;
    this.budget.used += bytes - this.#bytes;
    this.#bytes = bytes;
    this.budget.check(bytes);
    if (now - this.#since > this.bufferTimeout)
      throw new Fault("policy", `Nothing more of a message came for more than \`bufferTimeout\` ${this.bufferTimeout} ms.`);
  }

  /** Nobody waits for it any more. */
  release(): void {
    this.budget.used -= this.#bytes;
    this.#bytes = 0;
  }
}

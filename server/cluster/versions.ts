import type { Clock } from "../clock.js";

/** µs in a ms. */
const MICROSECONDS = 1_000;

/** The versions of all tables, from one counter. */
export class Versions {
  #last = 0;

  constructor(private readonly clock: Clock) {}

  /** The wall clock may be set back while the hub runs, but not behind a version that was given. */
  next(): number {
    this.#last = Math.max(this.#last + 1, this.clock.time() * MICROSECONDS);
    return this.#last;
  }
}

/** First pause at the most, ms: a hub that restarts is back within a second. */
const FIRST = 200;
/** Longest pause, ms. */
const LONGEST = 10_000;

/** How long to wait before the next try: anything from nothing to 200 ms, 400 ms, … 10 s, so that 2,000 pages do not return at once. */
export class Backoff {
  #tries = 0;

  constructor(private readonly random: () => number) {}

  next(): number {
    return this.random() * Math.min(LONGEST, FIRST * 2 ** this.#tries++);
  }

  reset(): void {
    this.#tries = 0;
  }
}

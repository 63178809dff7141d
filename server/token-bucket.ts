/** What is left of sums of fractions. */
const NOTHING = 1e-9;

/**
 * How fast somebody may go: so much a second, and a burst of so much at once. Who takes more than there is owes it, and may go on when that is
 * paid: nothing is refused, only late.
 */
export class TokenBucket {
  #tokens: number;
  #at: number;

  /**
   * @param rate tokens a second
   * @param burst tokens at once, after a rest
   * @param now ms of the monotonic clock
   */
  constructor(
    private readonly rate: number,
    private readonly burst: number,
    now: number,
  ) {
    this.#tokens = burst;
    this.#at = now;
  }

  take(tokens: number, now: number): void {
    this.#fill(now);
    this.#tokens -= tokens;
  }

  /** ms until nothing is owed. */
  wait(now: number): number {
    this.#fill(now);
    return -this.#tokens < NOTHING ? 0 : Math.ceil((-this.#tokens / this.rate) * 1_000);
  }

  #fill(now: number): void {
    this.#tokens = Math.min(this.burst, this.#tokens + ((now - this.#at) / 1_000) * this.rate);
    this.#at = now;
  }
}

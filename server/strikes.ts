/** Counts offences: `max` of them within `span` ms are too many. */
export class Strikes {
  /** Within the present span. */
  count = 0;
  #since = 0;

  constructor(
    private readonly max: number,
    private readonly span: number,
  ) {}

  /** One more, now (ms). @returns true where that is too many */
  add(now: number): boolean {
    if (now - this.#since > this.span) {
      this.#since = now;
      this.count = 0;
    }
    return ++this.count >= this.max;
  }
}

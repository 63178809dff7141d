/** How far back the rate looks, ms: long enough for steps of different size, short enough to notice that it has become slow. */
const MEMORY = 10_000;
/** Between two looks, ms: a difference of a few ms says nothing. */
const STEP = 250;

/** How fast a job is lately: an exponential average, in which what was `MEMORY` ago counts a third. */
export class Rate {
  #from: number;
  #time: number;
  #perSecond: number | undefined;

  constructor(at: number, now: number) {
    this.#from = at;
    this.#time = now;
  }

  /** Of `at` per second; unknown until there was something to be seen. */
  get perSecond(): number | undefined {
    return this.#perSecond;
  }

  /** @param now ms, monotonic */
  add(at: number, now: number): void {
    const elapsed = now - this.#time;
    if (at < this.#from) this.#restart(at, now);
    else if (elapsed >= STEP) {
      const lately = ((at - this.#from) / elapsed) * 1_000;
      const weight = 1 - Math.exp(-elapsed / MEMORY);
      this.#perSecond = this.#perSecond === undefined ? lately : this.#perSecond + (lately - this.#perSecond) * weight;
      this.#from = at;
      this.#time = now;
    }
  }

  /** It counts from the beginning again: another part of the work. */
  #restart(at: number, now: number): void {
    this.#from = at;
    this.#time = now;
    this.#perSecond = undefined;
  }
}

/** What became of a frame at one page [KIND-4]. */
export type Settled = "delivered" | "merged" | "gone";

const waiting = new WeakSet<object>();

/** Is this promise one of {@link Receipt.when}, or made of it by {@link untilPage}? */
export const waitsForPage = (promise: object): boolean => waiting.has(promise);

/** Marks a promise as one that settles when pages say so, and not when an app has finished [NEXT-7]. */
export function untilPage<T extends object>(promise: T): T {
  waiting.add(promise);
  return promise;
}

/** Waits until each page that took a frame has said what became of it. */
export class Receipt {
  readonly counts: Record<Settled, number> = { delivered: 0, merged: 0, gone: 0 };
  #settled = 0;
  #expected = Number.POSITIVE_INFINITY;
  #done: () => void = () => {};

  settle(how: Settled): void {
    this.counts[how]++;
    this.#settled++;
    this.#check();
  }

  /** Settles when so many pages have; call once. */
  when(pages: number): Promise<void> {
    this.#expected = pages;
    return new Promise((resolve) => {
      this.#done = resolve;
      this.#check();
    });
  }

  #check(): void {
    if (this.#settled >= this.#expected) this.#done();
  }
}

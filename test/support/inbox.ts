/** A queue a test reads from: nothing that arrives is missed, and who waits in vain is told what for. */
export class TestInbox<T> {
  readonly #items: T[] = [];
  readonly #waiting: { resolve(item: T): void; reject(error: Error): void }[] = [];
  #ended: string | undefined;

  push(item: T): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting.resolve(item);
    else this.#items.push(item);
  }

  /** Nothing more will come. */
  end(why: string): void {
    this.#ended = why;
    for (const waiting of this.#waiting.splice(0)) waiting.reject(new Error(`Waited for another, but ${why}`));
  }

  /** The oldest not yet read. Rejects once it has ended, or after `timeout` ms. */
  next(timeout = 5_000): Promise<T> {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift() as T);
    if (this.#ended !== undefined) return Promise.reject(new Error(`Expected another, but ${this.#ended}`));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`Nothing came within ${timeout} ms`)), timeout);
      const settled = (): void => clearTimeout(timer);
      this.#waiting.push({
        resolve(item) {
          settled();
          resolve(item);
        },
        reject(error) {
          settled();
          reject(error);
        },
      });
    });
  }

  /** All that is here and not yet read. */
  drain(): T[] {
    return this.#items.splice(0);
  }
}

const NONE: never[] = [];

/** First in, first out, in constant time a step; `Array.shift` copies the rest each time. */
export class Queue<T> {
  /** One array for all that are empty: every peer has several queues, and nearly all of them are, nearly always. */
  #items: (T | undefined)[] = NONE;
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    if (this.#items === NONE) this.#items = [];
    this.#items.push(item);
  }

  /** The oldest, without taking it. */
  peek(): T | undefined {
    return this.#items[this.#head];
  }

  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.#head === this.#items.length) this.clear();
    else if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return item;
  }

  forEach(callback: (item: T) => void): void {
    for (let i = this.#head; i < this.#items.length; i++) callback(this.#items[i] as T);
  }

  clear(): void {
    this.#items = NONE;
    this.#head = 0;
  }
}

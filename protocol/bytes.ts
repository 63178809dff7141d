/** What has been begun and not ended of a line or a text: one growing buffer, so that a byte at a time costs a byte each. */
export class PendingBytes {
  #bytes = EMPTY;
  length = 0;

  add(part: Uint8Array): void {
    const needed = this.length + part.length;
    if (needed > this.#bytes.length) this.#grow(needed);
    this.#bytes.set(part, this.length);
    this.length = needed;
  }

  /** What was added, and `last` behind it; nothing is pending afterwards. Without anything pending `last` is not copied. */
  take(last: Uint8Array): Uint8Array {
    if (this.length === 0) return last;
    this.add(last);
    const whole = this.#bytes.subarray(0, this.length);
    this.clear();
    return whole;
  }

  clear(): void {
    this.#bytes = EMPTY;
    this.length = 0;
  }

  #grow(needed: number): void {
    const bytes = new Uint8Array(Math.max(needed, this.#bytes.length * 2, 256));
    bytes.set(this.#bytes.subarray(0, this.length));
    this.#bytes = bytes;
  }
}

const EMPTY = new Uint8Array(0);

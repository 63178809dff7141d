import { PendingBytes } from "./bytes.js";

const LF = 0x0a;
const CR = 0x0d;
const NOTHING = new Uint8Array(0);

/**
 * Cuts a stream of bytes into lines, however the network cut it. A line ends at LF or CRLF, neither is part of it;
 * bytes, not characters, so that a line cut inside a UTF-8 sequence is whole again before anybody decodes it.
 */
export class LineFramer {
  readonly #pending = new PendingBytes();

  /** @param limit bytes a line may have, line end not counted; can be changed between lines */
  constructor(public limit: number) {}

  /** The bytes of the line begun and not ended. */
  get pending(): number {
    return this.#pending.length;
  }

  /**
   * The next line in `bytes` from `offset` on, or `undefined` where none ends there (the rest is kept, to be continued).
   * @returns the line and the offset behind its end
   * @throws LineTooLong as soon as the limit is passed, line end or not
   */
  next(bytes: Uint8Array, offset: number): { line: Uint8Array; offset: number } | undefined {
    const end = bytes.indexOf(LF, offset);
    const part = bytes.subarray(offset, end === -1 ? bytes.length : end);
    // One byte more, for the CR that is not part of the line.
    if (this.pending + part.length > this.limit + 1) this.#tooLong();
    if (end === -1) {
      this.#pending.add(part);
      return undefined;
    }
    return { line: this.#take(part), offset: end + 1 };
  }

  /**
   * The line that was begun when the stream ended, if there is one: it counts [WORD-4].
   * @throws LineTooLong
   */
  end(): Uint8Array | undefined {
    return this.pending === 0 ? undefined : this.#take(NOTHING);
  }

  #take(last: Uint8Array): Uint8Array {
    const whole = this.#pending.take(last);
    const line = whole.at(-1) === CR ? whole.subarray(0, -1) : whole;
    if (line.length > this.limit) this.#tooLong();
    return line;
  }

  #tooLong(): never {
    this.#pending.clear();
    throw new LineTooLong(this.limit);
  }
}

export class LineTooLong extends Error {
  constructor(readonly limit: number) {
    super(`A line exceeds ${limit} bytes.`);
  }
}

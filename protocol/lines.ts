import { PendingBytes } from "./bytes.js";

const LF = 0x0a;
const CR = 0x0d;
const NOTHING = new Uint8Array(0);
/** Bytes looked through one by one before the engine's own search is called, which takes as long to get going as this. */
const NEAR = 16;

/** Where a line stands, and where the bytes behind it begin: one that came whole is neither copied nor cut out. */
export class Line {
  constructor(
    readonly bytes: Uint8Array,
    readonly start: number,
    readonly end: number,
    readonly offset: number,
  ) {}

  /** The line alone. */
  get line(): Uint8Array {
    return this.bytes.subarray(this.start, this.end);
  }
}

/**
 * Cuts a stream of bytes into lines, however the network cut it. A line ends at LF or CRLF, neither is part of it, and an
 * empty one is none [PKT-2]; bytes, not characters, so that a line cut inside a UTF-8 sequence is whole again before anybody decodes it.
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
   * @throws LineTooLong as soon as the limit is passed, line end or not
   */
  next(bytes: Uint8Array, offset: number): Line | undefined {
    let start = offset;
    for (let end = endOfLine(bytes, start); end !== -1; end = endOfLine(bytes, start)) {
      const line = this.#pending.length > 0 ? this.#join(bytes.subarray(start, end), end + 1) : this.#cut(bytes, start, end, end + 1);
      if (line) return line;
      start = end + 1;
    }
    if (start < bytes.length) this.#begin(bytes.subarray(start));
    return undefined;
  }

  /**
   * The line that was begun when the stream ended, if there is one: it counts [WORD-4].
   * @throws LineTooLong
   */
  end(): Line | undefined {
    return this.pending === 0 ? undefined : this.#join(NOTHING, 0);
  }

  #begin(part: Uint8Array): void {
    this.#check(part.length);
    this.#pending.add(part);
  }

  /** The rest of a line that began in earlier bytes. */
  #join(last: Uint8Array, offset: number): Line | undefined {
    this.#check(last.length);
    const whole = this.#pending.take(last);
    return this.#cut(whole, 0, whole.length, offset);
  }

  /** @param end where its LF stands */
  #cut(bytes: Uint8Array, start: number, end: number, offset: number): Line | undefined {
    const last = end > start && bytes[end - 1] === CR ? end - 1 : end;
    if (last - start > this.limit) this.#tooLong();
    return last === start ? undefined : new Line(bytes, start, last, offset);
  }

  /** One byte more than the limit may come, for the CR that is not part of the line. */
  #check(more: number): void {
    if (this.pending + more > this.limit + 1) this.#tooLong();
  }

  #tooLong(): never {
    this.#pending.clear();
    throw new LineTooLong(this.limit);
  }
}

/** The place of the next LF, or -1. */
function endOfLine(bytes: Uint8Array, start: number): number {
  const near = Math.min(start + NEAR, bytes.length);
  for (let i = start; i < near; i++) if (bytes[i] === LF) return i;
  return near === bytes.length ? -1 : bytes.indexOf(LF, near);
}

export class LineTooLong extends Error {
  constructor(readonly limit: number) {
    super(`A line exceeds ${limit} bytes.`);
  }
}

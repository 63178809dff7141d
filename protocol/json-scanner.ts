import { PendingBytes } from "./bytes.js";
import { Fault } from "./errors.js";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Finds JSON texts that stand one behind the other without line ends, as the original's backends write them [ORIG-1].
 * Works on bytes: no byte of a multi-byte UTF-8 sequence looks like a brace or a quote.
 */
export class JsonScanner {
  readonly #pending = new PendingBytes();
  #depth = 0;
  #inString = false;
  #escaped = false;

  constructor(private readonly limit: number) {}

  /**
   * The next whole text in `bytes` from `offset` on, or `undefined` where none ends there (the rest is kept).
   * @throws Fault `protocol` where something else than an object begins, `too-big` above the limit in bytes
   */
  next(bytes: Uint8Array, offset: number): { text: Uint8Array; offset: number } | undefined {
    let start = offset;
    if (this.#depth === 0) {
      while (start < bytes.length && isSpace(bytes[start] as number)) start++;
      if (start === bytes.length) return undefined;
      if (bytes[start] !== 0x7b) throw new Fault("protocol", "Expected a JSON object (chunks need the JSON dialect: say `hello` first).");
    }
    const end = this.#endOfObject(bytes, start);
    const part = bytes.subarray(start, end ?? bytes.length);
    if (this.pending + part.length > this.limit) {
      this.#pending.clear();
      throw new Fault("too-big", `A message exceeds \`maxMessage\` ${this.limit} bytes.`);
    }
    if (end === undefined) {
      this.#pending.add(part);
      return undefined;
    }
    return { text: this.#pending.take(part), offset: end };
  }

  /** The bytes of the text begun and not ended. */
  get pending(): number {
    return this.#pending.length;
  }

  #endOfObject(bytes: Uint8Array, start: number): number | undefined {
    for (let i = start; i < bytes.length; i++) {
      const c = bytes[i] as number;
      if (this.#inString) this.#inStringByte(c);
      else if (c === QUOTE) this.#inString = true;
      else if (c === 0x7b || c === 0x5b) this.#depth++;
      else if ((c === 0x7d || c === 0x5d) && --this.#depth === 0) return i + 1;
    }
    return undefined;
  }

  #inStringByte(c: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (c === BACKSLASH) this.#escaped = true;
    else if (c === QUOTE) this.#inString = false;
  }
}

function isSpace(c: number): boolean {
  return c === 0x20 || (c >= 0x09 && c <= 0x0d);
}

import { Fault } from "./errors.js";
import { BUFFER_OFF, BUFFER_ON } from "./packets.js";

/** Default size of a piece, in UTF-16 units: at most 192 KiB of UTF-8, well below every limit, and few round trips. */
export const CHUNK_SIZE = 65_536;

/** What each piece costs beside its text, so that a million empty ones are bounded too, in bytes [CHUNK-5]. */
export const CHUNK_OVERHEAD = 64;

/**
 * Cuts a text into pieces of at most `size` UTF-16 units that, joined, are the text again: never inside a surrogate
 * pair, never so that a piece equals a control word [CHUNK-3].
 */
export function splitChunks(text: string, size: number = CHUNK_SIZE): string[] {
  // The longest control word must fit with one unit more, or the cut could not move off it.
  if (!Number.isInteger(size) || size <= BUFFER_OFF.length + 1) {
    throw new RangeError(`Expected the chunk size to be an integer above ${BUFFER_OFF.length + 1} (UTF-16 units), got \`${size}\`.`);
  }
  const pieces: string[] = [];
  let start = 0;
  while (start < text.length) {
    const end = endOfPiece(text, start, size);
    pieces.push(text.slice(start, end));
    start = end;
  }
  return pieces;
}

function endOfPiece(text: string, start: number, size: number): number {
  let end = Math.min(start + size, text.length);
  while (!mayCut(text, start, end)) end--;
  return end;
}

function mayCut(text: string, start: number, end: number): boolean {
  if (end < text.length && isHighSurrogate(text, end - 1) && isLowSurrogate(text, end)) return false;
  if (isControlWord(text, start, end)) return false;
  // What is left after this cut must not be a control word either, for it could not be cut again.
  return end === text.length || !isControlWord(text, end, text.length);
}

function isControlWord(text: string, start: number, end: number): boolean {
  const length = end - start;
  return (
    (length === BUFFER_ON.length && text.startsWith(BUFFER_ON, start)) ||
    (length === BUFFER_OFF.length && text.startsWith(BUFFER_OFF, start))
  );
}

function isHighSurrogate(text: string, index: number): boolean {
  return (text.charCodeAt(index) & 0xfc00) === 0xd800;
}

function isLowSurrogate(text: string, index: number): boolean {
  return (text.charCodeAt(index) & 0xfc00) === 0xdc00;
}

/** Joins the pieces of one long message and holds them to their limit. */
export class ChunkJoiner {
  #pieces: string[] = [];
  #cost = 0;

  constructor(private readonly maxMessage: number) {}

  /**
   * @param bytes what the piece takes as UTF-8
   * @throws Fault `too-big` above `maxMessage` bytes, {@link CHUNK_OVERHEAD} counted for each piece; the pieces are dropped
   */
  add(piece: string, bytes: number): void {
    this.#cost += bytes + CHUNK_OVERHEAD;
    if (this.#cost > this.maxMessage) {
      this.#pieces = [];
      throw new Fault(
        "too-big",
        `The pieces of a message exceed \`maxMessage\` ${this.maxMessage} bytes (${CHUNK_OVERHEAD} counted for each piece).`,
      );
    }
    this.#pieces.push(piece);
  }

  /** What has been added so far, in bytes as they are counted. */
  get cost(): number {
    return this.#cost;
  }

  join(): string {
    return this.#pieces.join("");
  }
}

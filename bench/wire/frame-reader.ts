/** Bytes of the longest header of an unmasked frame (RFC 6455, 5.2). */
const MAX_HEADER = 10;
const FIN = 0x80;

/** Called for each whole frame, with the first bytes of its payload, as many as were asked for. */
export type OnFrame = (opcode: number, length: number, head: string) => void;

/**
 * Finds the frames of a server in the byte stream by their headers alone. Payloads are skipped, not decoded: what is
 * measured is the server, and a client with message objects costs more than the server.
 */
export class FrameReader {
  /** How many bytes of each payload are handed out. */
  keep = 0;
  readonly #header = Buffer.alloc(MAX_HEADER);
  #headerBytes = 0;
  #length = 0;
  /** Payload bytes of the frame at hand that are still to come. */
  #left = 0;
  #head = "";

  constructor(private readonly onFrame: OnFrame) {}

  /** Reads `bytes` from `start` to `end`. */
  feed(bytes: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      if (this.#left === 0) this.#readHeader(bytes[at++] as number);
      else at = this.#skip(bytes, at, end);
    }
  }

  #readHeader(byte: number): void {
    this.#header[this.#headerBytes++] = byte;
    if (this.#headerBytes < 2 || this.#headerBytes < this.#headerSize()) return;
    this.#headerBytes = 0;
    this.#length = this.#left = this.#payloadLength();
    if (this.#left === 0) this.#finish();
  }

  #headerSize(): number {
    const short = this.#header[1] as number;
    if (short === 127) return 10;
    return short === 126 ? 4 : 2;
  }

  #payloadLength(): number {
    const short = this.#header[1] as number;
    if (short < 126) return short;
    return short === 126 ? this.#header.readUInt16BE(2) : Number(this.#header.readBigUInt64BE(2));
  }

  #skip(bytes: Buffer, at: number, end: number): number {
    const taken = Math.min(this.#left, end - at);
    const missing = this.keep - this.#head.length;
    if (missing > 0) this.#head += bytes.toString("latin1", at, at + Math.min(taken, missing));
    this.#left -= taken;
    if (this.#left === 0) this.#finish();
    return at + taken;
  }

  #finish(): void {
    const first = this.#header[0] as number;
    if ((first & FIN) === 0) throw new Error("Expected whole frames of the server, got a fragment.");
    const head = this.#head;
    this.#head = "";
    this.onFrame(first & 0x0f, this.#length, head);
  }
}

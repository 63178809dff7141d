import type { Encoding, Frame } from "./frame.js";

/**
 * Bytes handed to the socket at a time. What still waits here can be dropped, what is in the socket cannot; 64 KiB is
 * what one write to a loopback or LAN socket takes at once.
 */
const WRITE_SIZE = 65_536;

/** What a waiting frame costs beside its bytes, so that many small ones are bounded too. */
const FRAME_OVERHEAD = 256;

/** What waits to be sent to one peer, counted in bytes. */
export class Outbox {
  #frames: Frame[] = [];
  #head = 0;
  bytes = 0;

  constructor(private readonly encoding: Encoding) {}

  get empty(): boolean {
    return this.#head === this.#frames.length;
  }

  push(frame: Frame): void {
    this.bytes += this.#size(frame);
    this.#frames.push(frame);
  }

  /** The oldest frames, up to a write's size, at least one. */
  take(): readonly Frame[] {
    let size = 0;
    let end = this.#head;
    while (end < this.#frames.length && (size === 0 || size < WRITE_SIZE)) size += this.#size(this.#frames[end++] as Frame);
    this.bytes -= size;
    if (this.#head === 0 && end === this.#frames.length) {
      const all = this.#frames;
      this.#frames = [];
      return all;
    }
    const taken = this.#frames.slice(this.#head, end);
    this.#advance(end);
    return taken;
  }

  clear(): void {
    this.#frames = [];
    this.#head = 0;
    this.bytes = 0;
  }

  /** What was taken is let go of, but the rest is not copied each time. */
  #advance(head: number): void {
    this.#frames.fill(undefined as unknown as Frame, this.#head, head);
    this.#head = head;
    if (this.#head * 2 > this.#frames.length) {
      this.#frames = this.#frames.slice(this.#head);
      this.#head = 0;
    }
  }

  #size(frame: Frame): number {
    return frame.bytes(this.encoding).length + FRAME_OVERHEAD;
  }
}

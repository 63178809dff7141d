import type { Budget } from "./budget.js";
import { type Encoding, type Frame, sizeOf } from "./frame.js";

/**
 * Bytes handed to the socket at a time. What still waits here can be merged or dropped, what is in the socket cannot;
 * 64 KiB is what one write to a loopback or LAN socket takes at once.
 */
export const WRITE_SIZE = 65_536;

const NONE: never[] = [];

/** What waits to be sent to one peer, counted in bytes. Of state only the newest waits, in the place of the one it replaces [KIND-2]. */
export class Outbox {
  /** One array for all that are empty: every peer has one, and nearly all of them are, nearly always. */
  #frames: Frame[] = NONE;
  #head = 0;
  /** How many frames have left `#frames` at its front, so that the places in `#keys` stay right. */
  #gone = 0;
  #keys: Map<string, number> | undefined;
  /** All that waits, and the part of it that is no state. */
  bytes = 0;
  eventBytes = 0;

  constructor(
    private readonly encoding: Encoding,
    private readonly budget: Budget,
  ) {}

  get empty(): boolean {
    return this.#head === this.#frames.length;
  }

  push(frame: Frame): void {
    const size = this.#size(frame);
    frame.hold(this.budget, size);
    const { key } = frame.kind;
    if (key === undefined) this.eventBytes += size;
    else if (this.#merge(key, frame, size)) return;
    this.bytes += size;
    if (this.#frames === NONE) this.#frames = [];
    this.#frames.push(frame);
  }

  /** The oldest frames, up to a write's size, at least one; whoever takes them releases them. */
  take(): readonly Frame[] {
    let size = 0;
    let end = this.#head;
    while (end < this.#frames.length && (size === 0 || size < WRITE_SIZE)) size += this.#takeOne(this.#frames[end++] as Frame);
    this.bytes -= size;
    if (this.#head === 0 && end === this.#frames.length) {
      const all = this.#frames;
      this.#reset();
      return all;
    }
    const taken = this.#frames.slice(this.#head, end);
    this.#advance(end);
    return taken;
  }

  /** Lets go of all; whoever waits for a receipt is told, but for that of one frame. */
  clear(untold?: Frame): void {
    for (let i = this.#head; i < this.#frames.length; i++) {
      const frame = this.#frames[i] as Frame;
      if (frame !== untold) frame.kind.receipt?.settle("gone");
      frame.release(this.budget, this.#size(frame));
    }
    this.#reset();
  }

  #reset(): void {
    this.#frames = NONE;
    this.#head = 0;
    this.#gone = 0;
    this.#keys = undefined;
    this.bytes = 0;
    this.eventBytes = 0;
  }

  #merge(key: string, frame: Frame, size: number): boolean {
    this.#keys ??= new Map();
    const place = this.#keys.get(key);
    if (place === undefined) {
      this.#keys.set(key, this.#gone + this.#frames.length);
      return false;
    }
    const older = this.#frames[place - this.#gone] as Frame;
    this.#frames[place - this.#gone] = frame;
    this.bytes += size - this.#size(older);
    older.kind.receipt?.settle("merged");
    older.release(this.budget, this.#size(older));
    return true;
  }

  #takeOne(frame: Frame): number {
    const size = this.#size(frame);
    const { key } = frame.kind;
    if (key === undefined) this.eventBytes -= size;
    else this.#keys?.delete(key);
    return size;
  }

  /** What was taken is let go of, but the rest is not copied each time. */
  #advance(head: number): void {
    this.#frames.fill(undefined as unknown as Frame, this.#head, head);
    this.#head = head;
    if (this.#head * 2 > this.#frames.length) {
      this.#frames = this.#frames.slice(this.#head);
      this.#gone += this.#head;
      this.#head = 0;
    }
  }

  #size(frame: Frame): number {
    return sizeOf(frame, this.encoding);
  }
}

import { Queue } from "../protocol/index.js";
import type { Budget } from "./budget.js";
import { type Encoding, type Frame, sizeOf } from "./frame.js";
import type { Receipt } from "./receipt.js";

/** What somebody who waits for a page costs, in bytes. */
const OUTSTANDING = 256;

/** A receipt whose frame is not kept any more. */
interface Outstanding {
  readonly position: number;
  readonly receipt: Receipt;
}

/**
 * What was written to a page and not yet seen by its code, so that it can be sent again [RES-4, RES-8]. A page that says
 * nothing for long loses the oldest of it and with that the way back; it is never held up for it, for it may be in the
 * middle of a message of its own, where it cannot say `seen`.
 */
export class Kept {
  /** Counted packets of this session that were written, and that the page has seen. */
  written = 0;
  seen = 0;
  /** Answers among those that are not kept any more. */
  answers = 0;
  #bytes = 0;
  readonly #frames = new Queue<Frame>();
  /** Rarely needed. */
  #outstanding: Queue<Outstanding> | undefined;

  /** @param max bytes */
  constructor(
    private readonly encoding: Encoding,
    private readonly max: number,
    private readonly budget: Budget,
  ) {}

  /** The last packet that cannot be sent again. */
  get #gone(): number {
    return this.written - this.#frames.length;
  }

  /** Frames that were written; they stay held. */
  add(frames: readonly Frame[]): void {
    for (const frame of frames) {
      this.#frames.push(frame);
      this.#bytes += sizeOf(frame, this.encoding);
    }
    this.written += frames.length;
    this.shrink(this.max);
  }

  /** What can be sent again takes at most so many bytes: the oldest is given up. */
  shrink(max: number): void {
    while (this.#bytes > max && this.#frames.length > 0) this.#dropOldest();
  }

  /** Could the page have seen so many? */
  plausible(n: number): boolean {
    return Number.isSafeInteger(n) && n >= this.seen && n <= this.written;
  }

  /** Is everything behind the first `n` still here? */
  covers(n: number): boolean {
    return n >= this.#gone;
  }

  /** The page has finished with the first `n`; a plausible count. */
  release(n: number): void {
    this.seen = n;
    while (this.#gone < n) this.#take().kind.receipt?.settle("delivered");
    const outstanding = this.#outstanding;
    for (let oldest = outstanding?.peek(); oldest && oldest.position <= n; oldest = outstanding?.peek()) {
      outstanding?.shift();
      this.budget.used -= OUTSTANDING;
      oldest.receipt.settle("delivered");
    }
  }

  /** All that would have to be sent again now, oldest first. */
  all(): Frame[] {
    const frames: Frame[] = [];
    this.#frames.forEach((frame) => void frames.push(frame));
    return frames;
  }

  /** The page is gone. */
  clear(): void {
    this.#frames.forEach((frame) => {
      frame.kind.receipt?.settle("gone");
      frame.release(this.budget, sizeOf(frame, this.encoding));
    });
    this.#outstanding?.forEach(({ receipt }) => void receipt.settle("gone"));
    this.budget.used -= OUTSTANDING * (this.#outstanding?.length ?? 0);
    this.#frames.clear();
    this.#outstanding = undefined;
    this.#bytes = 0;
  }

  #dropOldest(): void {
    const { receipt } = this.#take().kind;
    if (receipt === undefined) return;
    this.#outstanding ??= new Queue();
    this.#outstanding.push({ position: this.#gone, receipt });
    this.budget.used += OUTSTANDING;
  }

  #take(): Frame {
    const frame = this.#frames.shift() as Frame;
    this.#bytes -= sizeOf(frame, this.encoding);
    frame.release(this.budget, sizeOf(frame, this.encoding));
    if (frame.kind.answers) this.answers++;
    return frame;
  }
}

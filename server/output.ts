import type { Budget } from "./budget.js";
import type { Flushable, Flusher } from "./flusher.js";
import { Batch, type Frame, sizeOf } from "./frame.js";
import { Kept } from "./kept.js";
import { Outbox, WRITE_SIZE } from "./outbox.js";
import type { Sink } from "./sink.js";

/** Whether, and in which round, its frames are due to be written. */
const IDLE = 0;
const BULK = 1;
const URGENT = 2;

const NONE: readonly Frame[] = [];

export interface OutputLimits {
  /** Bytes of events that may wait. */
  readonly maxQueued: number;
  /** Bytes written and not yet seen by the page's code, that can be sent again. */
  readonly maxKept: number;
}

/** The way out to one peer: what waits, what can be sent again, and the one write per turn. Outlives a wire. */
export class Output {
  /** Frames handed to a wire. */
  frames = 0;
  /** True once more was waiting than the peer may have: it does not read [END-7]. */
  overflowed = false;
  #sink: Sink | undefined;
  readonly #outbox: Outbox;
  /** Only for a page that can resume. */
  #kept: Kept | undefined;
  /** What goes out before all that waits, and is not counted (again): `ready`, and what is sent once more. */
  #first: readonly Frame[] = NONE;
  #due = IDLE;
  #over = false;

  constructor(
    private readonly owner: Flushable,
    sink: Sink,
    private readonly flusher: Flusher,
    private readonly limits: OutputLimits,
    private readonly budget: Budget,
  ) {
    this.#sink = sink;
    this.#outbox = new Outbox(sink.encoding, budget);
  }

  /** Bytes that the peer has not taken yet. */
  get unread(): number {
    return this.#outbox.bytes + (this.#sink?.bufferedAmount ?? 0);
  }

  /** True while frames wait for the wire to take what it has. */
  get waiting(): boolean {
    return !this.#outbox.empty || this.#first.length > 0;
  }

  /** True while the wire takes nothing more, or more waits than goes out at once. */
  get busy(): boolean {
    return this.#sink === undefined || this.#sink.bufferedAmount > 0 || this.#outbox.bytes > WRITE_SIZE;
  }

  /** True once nothing more goes out. */
  get over(): boolean {
    return this.#over;
  }

  /** What was written and not seen, for a page that can resume. */
  get kept(): Kept | undefined {
    return this.#kept;
  }

  /** From now on what is written is kept until it was seen [RES-1]. */
  keep(sink: Sink): void {
    this.#kept = new Kept(sink.encoding, this.limits.maxKept, this.budget);
  }

  /** The first thing said on a wire, before all that waits; not counted. */
  greet(frame: Frame): void {
    this.#first = [...this.#first, frame];
    this.#mark(false);
  }

  /**
   * @param bulk may wait for the next round of broadcasts
   * @returns false where the peer is gone or too slow to be given more; the memory is free at once, the owner hears of it at its next `flush`
   */
  push(frame: Frame, bulk: boolean): boolean {
    if (this.#over || this.overflowed) return false;
    this.#outbox.push(frame);
    this.#mark(bulk);
    this.#kept?.shrink(this.limits.maxQueued - this.#outbox.bytes);
    if (!this.#tooMuch) return true;
    this.overflowed = true;
    this.#forget(frame);
    this.#mark(false);
    return false;
  }

  /**
   * What the wire has not taken yet counts for events alone: a page that is sent one large value again and again has one there and one
   * here. When the budget of all peers is used up, it is those that do not read who have used it.
   */
  get #tooMuch(): boolean {
    const { bytes, eventBytes } = this.#outbox;
    const { maxQueued } = this.limits;
    if (bytes > maxQueued || eventBytes + (this.#sink?.bufferedAmount ?? 0) > maxQueued) return true;
    return this.budget.exhausted && bytes > WRITE_SIZE;
  }

  /** Another wire: what was written and not seen goes out again, behind the greeting. */
  attach(sink: Sink, greeting: Frame): void {
    this.#sink = sink;
    this.#first = [greeting, ...(this.#kept?.all() ?? [])];
    this.#due = IDLE;
    this.#mark(false);
  }

  /** The wire is gone; what waits goes on waiting. */
  detach(): Sink | undefined {
    const sink = this.#sink;
    this.#sink = undefined;
    this.#first = NONE;
    return sink;
  }

  /** Writes what waits, as long as the wire takes it. */
  write(batch: Batch): void {
    this.#due = IDLE;
    const sink = this.#sink;
    if (sink === undefined) return;
    while (sink.bufferedAmount === 0) {
      if (!this.#writeSome(sink, batch)) return;
    }
  }

  /** Hands everything to the wire, then a last frame if there is one (also to a peer that was too slow for the rest), and then the end. */
  close(code: number, reason: string, farewell?: Frame): void {
    const sink = this.#sink;
    if (sink !== undefined) {
      const batch = new Batch();
      while (this.#writeSome(sink, batch));
      if (farewell) this.#send(sink, [farewell], batch);
      sink.close(code, reason);
    }
    this.drop();
  }

  /** Nothing more goes out. */
  drop(): void {
    this.#over = true;
    this.#sink = undefined;
    this.#forget();
  }

  /** One write. @returns false where there is nothing to be written */
  #writeSome(sink: Sink, batch: Batch): boolean {
    if (this.#first.length > 0) {
      const frames = this.#first;
      this.#first = NONE;
      this.#send(sink, frames, batch);
    } else if (this.#outbox.empty) return false;
    else {
      const frames = this.#outbox.take();
      this.#send(sink, frames, batch);
      if (this.#kept) this.#kept.add(frames);
      else for (const frame of frames) frame.release(this.budget, sizeOf(frame, sink.encoding));
    }
    return true;
  }

  #send(sink: Sink, frames: readonly Frame[], batch: Batch): void {
    this.frames += frames.length;
    sink.send(batch.join(frames, sink.encoding));
  }

  /** @param untold the frame that was not taken; that is said to its sender at once */
  #forget(untold?: Frame): void {
    this.#outbox.clear(untold);
    this.#kept?.clear();
    this.#first = NONE;
  }

  #mark(bulk: boolean): void {
    if (bulk && this.#due === IDLE) {
      this.#due = BULK;
      this.flusher.bulk(this.owner);
    } else if (!bulk && this.#due !== URGENT) {
      this.#due = URGENT;
      this.flusher.urgent(this.owner);
    }
  }
}

import type { Flushable, Flusher } from "./flusher.js";
import { Batch, type Frame } from "./frame.js";
import { Outbox } from "./outbox.js";
import type { Sink } from "./sink.js";

/** Whether, and in which round, its frames are due to be written. */
const IDLE = 0;
const BULK = 1;
const URGENT = 2;

/** The way out to one peer: what waits, how much of it, and the one write per turn. */
export class Output {
  /** Frames handed to the wire. */
  frames = 0;
  /** True once more was waiting than the peer may have: it does not read [END-7]. */
  overflowed = false;
  readonly #outbox: Outbox;
  #due = IDLE;
  #broken = false;

  constructor(
    private readonly owner: Flushable,
    private readonly sink: Sink,
    private readonly flusher: Flusher,
    private readonly maxQueued: number,
  ) {
    this.#outbox = new Outbox(sink.encoding);
  }

  /** Bytes that the peer has not taken yet. */
  get unread(): number {
    return this.#broken ? 0 : this.#outbox.bytes + this.sink.bufferedAmount;
  }

  /** True while frames wait for the wire to take what it has. */
  get waiting(): boolean {
    return !this.#outbox.empty;
  }

  /**
   * @param bulk may wait for the next round of broadcasts
   * @returns false where the peer is gone or too slow to be given more; the memory is free at once, the owner hears of it at its next `flush`
   */
  push(frame: Frame, bulk: boolean): boolean {
    if (this.#broken || this.overflowed) return false;
    this.#outbox.push(frame);
    this.#mark(bulk);
    if (this.unread <= this.maxQueued) return true;
    this.overflowed = true;
    this.#outbox.clear();
    this.#mark(false);
    return false;
  }

  /** Writes what waits, as long as the wire takes it. */
  write(batch: Batch): void {
    this.#due = IDLE;
    while (!this.#outbox.empty && !this.#broken && this.sink.bufferedAmount === 0) this.#writeOnce(batch);
  }

  /** Hands everything to the wire, then a last frame if there is one (also to a peer that was too slow for the rest), and then the end. */
  close(code: number, reason: string, farewell?: Frame): void {
    if (this.#broken) return;
    const batch = new Batch();
    if (farewell) this.#outbox.push(farewell);
    while (!this.#outbox.empty) this.#writeOnce(batch);
    this.drop();
    this.sink.close(code, reason);
  }

  /** Nothing more goes out. */
  drop(): void {
    this.#broken = true;
    this.#outbox.clear();
  }

  #writeOnce(batch: Batch): void {
    const frames = this.#outbox.take();
    this.frames += frames.length;
    this.sink.send(batch.join(frames, this.sink.encoding));
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

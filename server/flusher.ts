import type { Clock } from "./clock.js";
import { Batch } from "./frame.js";

/** Somebody with frames waiting. */
export interface Flushable {
  flush(batch: Batch): void;
}

/** Longest time a busy hub holds a broadcast back to let others join it, in ms: below what anybody sees. */
const MAX_HOLD = 5;
/** What timers cannot tell apart from now, in ms. */
const TIMER_STEP = 1;
/** Peers written to without letting anybody else have the event loop: at 5 µs a write, some 5 ms. */
const SLICE = 1024;

/**
 * One write per peer and turn of the event loop, however many frames became due in it: the write is what costs
 * (4 to 5 µs each), so frames share it.
 *
 * Answers and feedback leave at the end of the turn. Broadcasts do so too while it is quiet; while they come thick,
 * the next round of writes waits as long as the last one took (at most {@link MAX_HOLD} ms), so that a fan-out never
 * takes more than half of the hub. A peer with both has everything written at once: order is never changed, for a
 * peer's frames stand in one queue.
 */
export class Flusher {
  readonly #batch = new Batch();
  #urgent: Flushable[] = [];
  #bulk: Flushable[] = [];
  #turnDue = false;
  #bulkDue = false;
  #bulkFrom = 0;

  constructor(private readonly clock: Clock) {}

  /** To be flushed at the end of this turn. Call once per peer until it has been flushed. */
  urgent(peer: Flushable): void {
    this.#urgent.push(peer);
    if (this.#turnDue) return;
    this.#turnDue = true;
    this.clock.turn(this.#runUrgent);
  }

  /** To be flushed at the end of this turn, or a little later while the hub is busy with fan-out. */
  bulk(peer: Flushable): void {
    this.#bulk.push(peer);
    if (this.#bulkDue) return;
    this.#bulkDue = true;
    const hold = this.#bulkFrom - this.clock.now();
    if (hold < TIMER_STEP) this.clock.turn(this.#runBulk);
    else this.clock.after(hold, this.#runBulk);
  }

  readonly #runUrgent = (): void => {
    this.#turnDue = false;
    const peers = this.#urgent;
    this.#urgent = [];
    for (const peer of peers) peer.flush(this.#batch);
    this.#batch.clear();
  };

  readonly #runBulk = (): void => {
    const start = this.clock.now();
    const peers = this.#bulk.length > SLICE ? this.#bulk.splice(0, SLICE) : this.#bulk.splice(0);
    for (const peer of peers) peer.flush(this.#batch);
    if (this.#bulk.length > 0) {
      this.clock.turn(this.#runBulk);
      return;
    }
    this.#batch.clear();
    this.#bulkDue = false;
    const end = this.clock.now();
    this.#bulkFrom = end + Math.min(end - start, MAX_HOLD);
  };
}

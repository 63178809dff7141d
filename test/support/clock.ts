import type { Clock } from "../../server/clock.js";

interface Timer {
  at: number;
  readonly order: number;
  readonly every: number | undefined;
  readonly callback: () => void;
}

/** A clock that a test owns: nothing happens until it is told to. */
export class TestClock implements Clock {
  #now = 0;
  /** What the wall clock shows beside the time that has passed since the clock was made: a test may set it, both ways. */
  wall = Date.now();
  #order = 0;
  readonly #timers = new Set<Timer>();
  #turns: (() => void)[] = [];

  /** Timers that have not gone off. */
  get pending(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#now;
  }

  time(): number {
    return this.wall + this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    return this.#add(ms, undefined, callback);
  }

  every(ms: number, callback: () => void): () => void {
    return this.#add(ms, ms, callback);
  }

  turn(callback: () => void): void {
    this.#turns.push(callback);
  }

  /** The process was busy for so long: time passes, and nothing happens. */
  pass(ms: number): void {
    this.#now += ms;
  }

  /** Ends the turn of the event loop: what was to happen at its end happens, until nothing is left. */
  endTurn(): void {
    while (this.#turns.length > 0) for (const callback of this.#turns.splice(0)) callback();
  }

  /** Lets time pass, timer by timer. */
  advance(ms: number): void {
    const end = this.#now + ms;
    this.endTurn();
    for (let timer = this.#nextBefore(end); timer; timer = this.#nextBefore(end)) {
      this.#now = Math.max(this.#now, timer.at);
      if (timer.every === undefined) this.#timers.delete(timer);
      else timer.at += timer.every;
      timer.callback();
      this.endTurn();
    }
    this.#now = Math.max(this.#now, end);
  }

  #add(ms: number, every: number | undefined, callback: () => void): () => void {
    const timer: Timer = { at: this.#now + ms, order: this.#order++, every, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  #nextBefore(end: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.at > end) continue;
      if (first === undefined || timer.at < first.at || (timer.at === first.at && timer.order < first.order)) first = timer;
    }
    return first;
  }
}

/** Time, injected, so that a test can own it. */
export interface Clock {
  /** Monotonic, in ms: it does not jump when somebody sets the wall clock. */
  now(): number;
  /** The wall clock, in ms since 1970: it may jump, both ways. */
  time(): number;
  /** Calls back once, after `ms`; the returned function cancels. */
  after(ms: number, callback: () => void): () => void;
  /** Calls back every `ms`; the returned function cancels. */
  every(ms: number, callback: () => void): () => void;
  /** Calls back when all that has arrived in this turn of the event loop has been handled. */
  turn(callback: () => void): void;
}

/** Settles when the promise does, or after `ms`. */
export function within(clock: Clock, ms: number, promise: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, resolve);
    const settled = (): void => {
      cancel();
      resolve();
    };
    promise.then(settled, settled);
  });
}

export const systemClock: Clock = {
  now: () => performance.now(),
  time: () => Date.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
  every(ms, callback) {
    const timer = setInterval(callback, ms);
    return () => clearInterval(timer);
  },
  turn: (callback) => void setImmediate(callback),
};

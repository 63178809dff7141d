import { setTimeout as pause } from "node:timers/promises";

/** Between two looks, ms. */
const PACE = 10;
/** Longest wait, ms. */
const PATIENCE = 5_000;

/**
 * Looks again and again until what is looked at is as it should be.
 * @returns what was seen last, right or not: the caller says what is wrong with it
 */
export async function until<T>(look: () => T | Promise<T>, right: (seen: T) => boolean, patience = PATIENCE): Promise<T> {
  const end = performance.now() + patience;
  for (;;) {
    const seen = await look();
    if (right(seen) || performance.now() >= end) return seen;
    await pause(PACE);
  }
}

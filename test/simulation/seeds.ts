import assert from "node:assert/strict";
import type { TestContext } from "node:test";

const SEEDS = process.env.SEEDS;
const ONLY = process.env.SEED;
/** A bug that is planted has to show within so many seeds. */
const SEEDS_FOR_A_BUG = 50;

/** One simulation; throws with what was violated. */
export type Simulate = (seed: number) => Promise<void> | void;

/** Runs it with so many seeds, or with `SEEDS` of them, or the one in `SEED`; a failing seed says how to replay it. */
export async function runSeeds(simulate: Simulate, file: string, count = 1_000): Promise<void> {
  const seeds = ONLY === undefined ? Array.from({ length: Number(SEEDS ?? count) }, (_, i) => i + 1) : [Number(ONLY)];
  for (const seed of seeds) {
    try {
      await simulate(seed);
    } catch (error) {
      throw new Error(`Seed ${seed}: ${(error as Error).stack}\nReplay: npm run build && SEED=${seed} node --test ${file}`);
    }
  }
}

/** Replaces a method for one test, knowing the one it replaces. */
export function plant<T extends object, K extends keyof T>(t: TestContext, prototype: T, name: K, bug: (right: T[K]) => T[K]): void {
  const right = prototype[name];
  t.after(() => {
    prototype[name] = right;
  });
  prototype[name] = bug(right);
}

/** Does the simulation find it, by what it checks and not by accident? */
export async function isFound(simulate: Simulate): Promise<boolean> {
  for (let seed = 1; seed <= SEEDS_FOR_A_BUG; seed++) {
    try {
      await simulate(seed);
    } catch (error) {
      assert.ok(error instanceof assert.AssertionError, `found by accident: ${(error as Error).stack}`);
      return true;
    }
  }
  return false;
}

import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const MiB = 2 ** 20;
/** What an attack may cost, at the most (threats, "Memory"). */
const MAX_RSS_GROWTH = 64 * MiB;
/** What may still be held after a collection: limits of one peer, and what the test itself keeps. */
const MAX_HELD_GROWTH = 4 * MiB;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Heap and buffers that are really in use, in bytes. Buffers are let go of in the background, behind a collection. */
export async function heldBytes(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    collect();
    await turn();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Runs an attack; the process, with the hub in it, must not have grown by more than the limits allow. */
export async function boundedMemory(run: () => Promise<void>): Promise<void> {
  const held = await heldBytes();
  const rss = process.memoryUsage.rss();
  await run();
  const rssGrowth = process.memoryUsage.rss() - rss;
  const heldGrowth = (await heldBytes()) - held;
  assert.ok(heldGrowth < MAX_HELD_GROWTH, `held ${heldGrowth} bytes more`);
  assert.ok(rssGrowth < MAX_RSS_GROWTH, `resident ${rssGrowth} bytes more`);
}

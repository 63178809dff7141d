import assert from "node:assert/strict";
import { Random } from "./random.js";
import { checkPage, World } from "./world.js";

const STEPS = 150;

/** One simulation, checked. Throws with what was violated. */
export async function simulate(seed: number): Promise<void> {
  const world = new World(new Random(seed));
  for (let step = 0; step < STEPS; step++) {
    world.step();
    // What was settled is known to all who wait for it: each `then` takes a turn.
    for (let turn = 0; turn < 5; turn++) await null;
  }
  await world.heal();
  for (const page of world.pages) checkPage(page, world.handled);
  for (const peer of [...world.peers]) peer.fault("normal", "The end.");
  assert.equal(world.loop.hub.budget.used, 0, "every byte that was held has been let go");
}

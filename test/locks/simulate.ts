import { Random } from "../simulation/random.js";
import { LockWorld } from "./world.js";

const STEPS = 300;

/** One simulation, checked. Throws with what was violated. */
export function simulateLocks(seed: number): void {
  const world = new LockWorld(new Random(seed));
  for (let step = 0; step < STEPS; step++) world.step();
  world.heal();
}

import { Random } from "../simulation/random.js";
import { StateWorld } from "./world.js";

const STEPS = 300;
/** After so many steps what is on its way arrives, and everybody is asked what it knows. */
const BETWEEN_CHECKS = 60;

/** One simulation, checked. Throws with what was violated. */
export async function simulateState(seed: number): Promise<void> {
  const world = new StateWorld(new Random(seed));
  await world.settle();
  for (let step = 1; step <= STEPS; step++) {
    await world.step();
    if (step % BETWEEN_CHECKS === 0) await world.settle();
  }
  await world.heal();
}

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { state } from "../../apps/state/state.js";
import { MemoryCluster } from "../../server/cluster/memory.js";
import { Random } from "../simulation/random.js";
import { LoopbackHub, type LoopbackPeer } from "../support/loopback.js";
import { Link } from "./link.js";
import { LIMITS, turn } from "./world.js";

const MAX_KEYS = 4;

/** Two hubs, of which the second starts while the first one's page sets all keys but one. */
async function startAmongChanges(seed: number): Promise<{ late: LoopbackPeer; answers: () => Promise<unknown[]> }> {
  const cluster = new MemoryCluster();
  const link = new Link(cluster, { during: (_steps, change) => change() }, new Random(seed));
  const page = new LoopbackHub({ apps: [state(LIMITS)], cluster }).peer({ hello: { window: 8 } });
  page.ask({ opcode: "set", key: "1", value: 1 });
  const hub = new LoopbackHub({ apps: [state({ ...LIMITS, maxKeys: MAX_KEYS })], cluster: link });
  for (const key of ["2", "1", "3"]) {
    await turn();
    link.step();
    page.ask({ opcode: "set", key, value: 2 });
  }
  const late = hub.peer({ hello: { window: 8 } });
  const answers = async (): Promise<unknown[]> => {
    do {
      link.step();
      await turn();
    } while (!link.quiet);
    return late.read().map(({ status }) => status);
  };
  await answers();
  return { late, answers };
}

describe("18 State: a hub that starts while others go on", () => {
  test("[STATE-1] counts each key once, whether it reads it or is told of it", async () => {
    for (let seed = 1; seed <= 50; seed++) {
      const { late, answers } = await startAmongChanges(seed);
      late.say({ opcode: "set", key: "4", value: 1 });
      assert.deepEqual(await answers(), ["done"], `seed ${seed}`);
      late.say({ opcode: "set", key: "5", value: 1 });
      assert.deepEqual(await answers(), ["refused"], `seed ${seed}`);
    }
  });
});

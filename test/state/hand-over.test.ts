import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Packet } from "../../protocol/index.js";
import { MemoryCluster } from "../../server/cluster/memory.js";
import { TestClock } from "../support/clock.js";
import { StateHub, type Values } from "./state-hub.js";

/** Tables whose readings arrive later, and say what there is then: what the contract of a cluster asks for. */
class LateReads extends MemoryCluster {
  late = false;
  #arrive = (): void => {};

  override read(...args: Parameters<MemoryCluster["read"]>): never {
    if (!this.late) return super.read(...args) as never;
    this.late = false;
    return new Promise((resolve) => {
      this.#arrive = () => resolve(super.read(...args));
    }) as never;
  }

  arrive(): void {
    this.#arrive();
  }
}

/** The moments of a watch, from before it is said until after its answer has been read. */
const STEPS = [
  "before the watch",
  "while the snapshot is on its way",
  "behind the snapshot, in front of the answer",
  "behind the answer",
] as const;
const ACTS: Readonly<Record<string, object>> = {
  "a new key": { opcode: "set", key: "new", value: "now" },
  "another value": { opcode: "set", key: "old", value: "now" },
  "a deletion": { opcode: "delete", key: "old" },
};

/** What a page knows that takes answers and pushes as they come: of each key the newest version. */
function known(packets: readonly Packet[]): Map<string, unknown> {
  const newest = new Map<string, { value: unknown; version: number; deleted?: boolean }>();
  const take = (key: string, told: { value: unknown; version: number; deleted?: boolean }): void => {
    if (told.version > (newest.get(key)?.version ?? 0)) newest.set(key, told);
  };
  for (const packet of packets) {
    if (packet.opcode === "state") take(packet.key as string, packet as never);
    else for (const [key, told] of Object.entries(packet.result as Values)) take(key, told);
  }
  return new Map([...newest].filter(([, { deleted }]) => !deleted).map(([key, { value }]) => [key, value]));
}

describe("chapter 18: the hand-over from a snapshot to what follows", () => {
  for (const [act, packet] of Object.entries(ACTS)) {
    for (const at of STEPS) {
      test(`[STATE-3] ${act} ${at} is not missed`, async () => {
        const clock = new TestClock();
        const cluster = new LateReads(clock);
        const hub = new StateHub({}, { clock, cluster });
        const [anna, bob] = [hub.client(), hub.client()];
        anna.set("old", "before");
        const publish = (step: (typeof STEPS)[number]): void => {
          if (step === at) anna.ask(packet);
        };
        publish(STEPS[0]);
        cluster.late = true;
        bob.peer.say({ opcode: "watch", keys: ["*"] });
        publish(STEPS[1]);
        cluster.arrive();
        publish(STEPS[2]);
        for (let turns = 0; turns < 20; turns++) await undefined;
        const packets = bob.peer.read();
        publish(STEPS[3]);
        packets.push(...bob.peer.read());
        const there = Object.entries(anna.ask({ opcode: "get", keys: ["*"] }).result as Values).map(
          ([key, { value }]) => [key, value] as const,
        );
        assert.deepEqual([...known(packets)].sort(), there.sort());
        assert.equal(packets.filter(({ opcode }) => opcode === "next").length, 1);
      });
    }
  }
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Refusal } from "../../protocol/index.js";
import { MemoryCluster } from "../../server/cluster/memory.js";
import type { Done } from "../../server/cluster/table.js";
import { TestClock } from "../support/clock.js";
import { codeOf, type Holdings, LockHub, type LockPage } from "./lock-hub.js";

/** A cluster whose tables cannot be reached now and then, or answer late. */
class FarCluster extends MemoryCluster {
  reachable = true;
  late = false;
  /** Answers that have not arrived. */
  readonly #arriving: (() => void)[] = [];

  override change(...args: Parameters<MemoryCluster["change"]>): never {
    if (!this.reachable) throw new Refusal("unavailable", "The tables cannot be reached.");
    const made = super.change(...args);
    const answer = this.late ? new Promise<readonly Done[]>((resolve) => this.#arriving.push(() => resolve(made))) : made;
    return answer as never;
  }

  async arrive(): Promise<void> {
    for (const settle of this.#arriving.splice(0)) settle();
    for (let i = 0; i < 20; i++) await undefined;
  }
}

function farHub(): { hub: LockHub; cluster: FarCluster; anna: LockPage; bob: LockPage } {
  const clock = new TestClock();
  const cluster = new FarCluster(clock);
  const hub = new LockHub({}, { clock, cluster });
  return { hub, cluster, anna: hub.page("Anna"), bob: hub.page("Bob") };
}

describe("chapter 17: tables that cannot be reached", () => {
  test("a view that was refused claims nothing, and leaves nothing behind", () => {
    const { cluster, anna, bob } = farHub();
    cluster.reachable = false;
    assert.equal(codeOf(anna.ask({ opcode: "view", space: "books", ids: [1] })), "unavailable");
    cluster.reachable = true;
    anna.lock(1);
    assert.equal(anna.told().at(-1), "1 yours");
    anna.unlock(1);
    assert.deepEqual(Object.keys(bob.view(1).mine), ["1"]);
  });

  test("[LOCK-6] what a page had is given back though it could not be at once", () => {
    const { hub, cluster, anna, bob } = farHub();
    anna.lock(1);
    cluster.reachable = false;
    anna.quit();
    hub.clock.advance(3_000);
    cluster.reachable = true;
    hub.clock.advance(1_000);
    assert.deepEqual(Object.keys(bob.view(1).mine), ["1"]);
    assert.equal(hub.clock.pending, 1);
  });

  test("[LOCK-6] that a page is away is seen though it could not be said at once", () => {
    const { hub, cluster, anna, bob } = farHub();
    anna.lock(1);
    bob.view(1);
    cluster.reachable = false;
    anna.drop();
    cluster.reachable = true;
    hub.clock.advance(1_000);
    assert.deepEqual(bob.told(), ["1 reconnecting Anna"]);
  });
});

describe("chapter 17: tables that answer late", () => {
  test("[LOCK-6] who is granted a lock while it goes away is seen as reconnecting", async () => {
    const { cluster, anna, bob } = farHub();
    bob.view(1);
    await cluster.arrive();
    bob.view();
    cluster.late = true;
    anna.peer.say({ opcode: "lock", space: "books", ids: [1] });
    cluster.late = false;
    anna.drop();
    await cluster.arrive();
    assert.equal(bob.view(1).held["1"]?.state, "reconnecting");
  });

  test("[LOCK-6] what is granted to a page that has ended meanwhile is given back", async () => {
    const { hub, cluster, anna, bob } = farHub();
    cluster.late = true;
    anna.peer.say({ opcode: "lock", space: "books", ids: [1] });
    anna.peer.say({ opcode: "view", space: "books", ids: [2] });
    cluster.late = false;
    anna.peer.connection.fault("policy", "Slow.", "slow");
    await cluster.arrive();
    hub.clock.advance(1_000);
    await cluster.arrive();
    assert.deepEqual(Object.keys(bob.view(1, 2).mine), ["1", "2"]);
  });

  test("[LOCK-1] a view gives back what one before it gets, though that is not answered yet", async () => {
    const { cluster, anna, bob } = farHub();
    cluster.late = true;
    anna.peer.say({ opcode: "view", space: "books", ids: [1, 2] });
    anna.peer.say({ opcode: "view", space: "books", ids: [2] });
    cluster.late = false;
    await cluster.arrive();
    const [first, second] = anna.peer.read().map(({ result }) => Object.keys((result as Holdings).mine));
    assert.deepEqual([first, second], [["1", "2"], ["2"]]);
    assert.deepEqual(Object.keys(bob.view(1, 2).mine), ["1"]);
  });
});

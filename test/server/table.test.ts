import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { App, AppHub, Change, Peer } from "../../server/app.js";
import { MemoryCluster } from "../../server/cluster/memory.js";
import { TestClock } from "../support/clock.js";
import { LoopbackHub } from "../support/loopback.js";

/** An app that shares a counter with itself on all hubs, and notes what it is told. */
class CounterApp implements App {
  readonly name = "counter";
  readonly told: string[] = [];
  readonly peers: Peer[] = [];
  hub: AppHub | undefined;
  readonly opcodes = {
    count: (_packet: object, peer: Peer, hub: AppHub) => hub.table.change([{ do: "set", key: "count", by: peer.uuid, value: peer.id }]),
    own: (_packet: object, peer: Peer, hub: AppHub) => hub.table.change([{ do: "claim", key: "own", owner: peer.uuid, value: 1 }]),
    read: (_packet: object, _peer: Peer, hub: AppHub) => Object.keys(hub.table.read({ prefixes: [""] })),
  };

  open(peer: Peer, hub: AppHub): void {
    this.peers.push(peer);
    this.hub = hub;
  }

  changed(changes: readonly Change[]): void {
    this.told.push(...changes.map(({ key, entry, taken }) => `${key} ${entry === undefined ? "free" : "set"}${taken ? " taken" : ""}`));
  }
}

function twoHubs(): { apps: [CounterApp, CounterApp]; hubs: [LoopbackHub, LoopbackHub]; clock: TestClock } {
  const clock = new TestClock();
  const cluster = new MemoryCluster(clock);
  const apps: [CounterApp, CounterApp] = [new CounterApp(), new CounterApp()];
  const [a, b] = apps.map((app) => new LoopbackHub({ apps: [app], cluster, clock }));
  return { apps, hubs: [a as LoopbackHub, b as LoopbackHub], clock };
}

describe("an app's table", () => {
  test("is shared by the app's hubs, and each is told of each change, in one order", () => {
    const { apps, hubs } = twoHubs();
    const [here, there] = hubs.map((hub) => hub.peer({ hello: {} }));
    here?.ask({ opcode: "count" });
    there?.ask({ opcode: "own" });
    there?.ask({ opcode: "count" });
    assert.deepEqual(apps[0].told, ["count set", "own set", "count set"]);
    assert.deepEqual(apps[1].told, apps[0].told);
  });

  test("belongs to the app: another one sees nothing of it", () => {
    const other = new CounterApp();
    const app: App = { name: "other", opcodes: { nothing: () => undefined }, changed: (changes) => other.changed(changes) };
    const hub = new LoopbackHub({ apps: [new CounterApp(), app] });
    hub.peer({ hello: {} }).ask({ opcode: "count" });
    assert.deepEqual(other.told, []);
  });

  test("what peers own is free when their hub leaves or stands still, and the others are told that it was taken", async () => {
    const { apps, hubs } = twoHubs();
    hubs[1].peer({ hello: {} }).ask({ opcode: "own" });
    await hubs[1].hub.stop();
    assert.deepEqual(apps[0].told, ["own set", "own free taken"]);
  });

  test("a hub gives a sign of life with each tick", () => {
    const { apps, hubs, clock } = twoHubs();
    hubs[1].peer({ hello: {} }).ask({ opcode: "own" });
    clock.advance(60_000);
    assert.deepEqual(apps[0].told, ["own set"]);
    clock.pass(10_001);
    clock.advance(1_000);
    assert.deepEqual(apps[0].told, ["own set", "own free taken"]);
  });

  test("what `changed` throws is logged, and hurts nobody", () => {
    const app: App = {
      name: "bad",
      opcodes: { go: (_packet, peer, hub) => hub.table.change([{ do: "set", key: "k", by: peer.uuid, value: 1 }]) },
      changed() {
        throw new Error("Not today.");
      },
    };
    const hub = new LoopbackHub({ apps: [app] });
    assert.equal(hub.peer({ hello: {} }).ask({ opcode: "go" }).at(-1)?.status, "done");
    assert.equal(hub.log.of("app.failed")[0]?.during, "changed");
  });
});

describe("a peer that does not take what it is sent", () => {
  test("is not writable; who waits for that is called back once, when it reads again", () => {
    const app = new CounterApp();
    const hub = new LoopbackHub({ apps: [app] });
    const page = hub.peer({ hello: {} });
    const [peer] = app.peers as [Peer];
    const calls: number[] = [];
    assert.equal(peer.writable, true);
    page.stuck = true;
    peer.send({ opcode: "x" });
    hub.clock.endTurn();
    assert.equal(peer.writable, false);
    peer.onceWritable(() => calls.push(1));
    peer.onceWritable(() => calls.push(2));
    hub.clock.advance(1_000);
    assert.deepEqual(calls, []);
    page.unstick();
    hub.clock.endTurn();
    assert.deepEqual(calls, [1, 2]);
    hub.clock.advance(1_000);
    assert.deepEqual(calls, [1, 2]);
  });

  test("is not writable while it is away, and is when it is back", () => {
    const app = new CounterApp();
    const hub = new LoopbackHub({ apps: [app] });
    const page = hub.peer({ hello: {} });
    const [peer] = app.peers as [Peer];
    let called = 0;
    page.connection.lost("lost");
    assert.equal(peer.writable, false);
    peer.onceWritable(() => called++);
    hub.peer({ hello: { resume: page.ready?.resume, seen: 0 } });
    assert.equal(called, 1);
  });

  test("one that is writable already is called back in the next turn, one that has left never", () => {
    const app = new CounterApp();
    const hub = new LoopbackHub({ apps: [app] });
    const page = hub.peer({ hello: {} });
    const [peer] = app.peers as [Peer];
    let called = 0;
    peer.onceWritable(() => called++);
    assert.equal(called, 0);
    hub.clock.endTurn();
    assert.equal(called, 1);
    page.connection.lost("lost");
    peer.onceWritable(() => called++);
    hub.clock.advance(60_000);
    peer.onceWritable(() => called++);
    hub.clock.advance(60_000);
    assert.equal(called, 1);
  });

  test("what is thrown when it is writable again is logged, and hurts nobody", () => {
    const app = new CounterApp();
    const hub = new LoopbackHub({ apps: [app] });
    hub.peer({ hello: {} });
    const [peer] = app.peers as [Peer];
    let called = 0;
    peer.onceWritable(() => {
      throw new Error("Not today.");
    });
    peer.onceWritable(() => called++);
    hub.clock.endTurn();
    assert.equal(called, 1);
    assert.equal(hub.log.lines.filter(({ level }) => level === "error").length, 1);
  });

  test("two apps of one name are refused where one shares something: it would be mixed", () => {
    const app = (more: object): App => ({ name: "same", opcodes: { x: () => 1 }, ...more });
    for (const more of [{ changed: () => {} }, { called: () => 1 }])
      assert.throws(() => new LoopbackHub({ apps: [app({}), app(more)] }), /Expected the name of an app to be its own, got `same` twice/);
    assert.ok(new LoopbackHub({ apps: [app({}), app({})] }));
  });

  test("multicast sends one packet to these peers and nobody else", () => {
    const app = new CounterApp();
    const hub = new LoopbackHub({ apps: [app] });
    const pages = [1, 2, 3].map(() => hub.peer({ hello: {} }));
    app.hub?.multicast(app.peers.slice(0, 2), { opcode: "news", n: 1 });
    assert.deepEqual(
      pages.map((page) => page.read().map(({ opcode }) => opcode)),
      [["news"], ["news"], []],
    );
  });
});

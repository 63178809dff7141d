import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Wire, WireEvents } from "../../client/dialog.js";
import { ClosedError, HubClient, type ReadyEvent } from "../../client/index.js";
import type { Packet } from "../../protocol/index.js";

const GRACE = 30_000;
const HEARTBEAT = 20_000;
const READY = { opcode: "ready", uuid: "u", window: 4, limits: {}, time: 0, grace: GRACE, heartbeat: HEARTBEAT, got: 0, owed: 0 };

/** A wire that a test plays the hub on. */
class HubEnd implements Wire {
  readonly heard: Packet[] = [];
  closedWith: number | undefined;

  constructor(readonly events: WireEvents) {}

  send(text: string): void {
    this.heard.push(JSON.parse(text));
  }

  close(code = 1000): void {
    this.closedWith = code;
  }

  say(packet: object): void {
    this.events.text(JSON.stringify(packet));
  }
}

/** A client on a clock of the test's, and the wires it has opened. */
class Scene {
  readonly wires: HubEnd[] = [];
  readonly client: HubClient;
  readonly raised: string[] = [];

  constructor(private readonly t: TestContext) {
    t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
    const open = (events: WireEvents): Wire => {
      this.wires.push(new HubEnd(events));
      return this.wire;
    };
    this.client = new HubClient(open, () => ({ window: 4 }));
    for (const type of ["ready", "resumed", "fresh"] as const) {
      this.client.addEventListener(type, (event) => this.raised.push(`${type} ${(event as ReadyEvent).ready.reason ?? ""}`.trim()));
    }
  }

  get wire(): HubEnd {
    return this.wires.at(-1) as HubEnd;
  }

  async greet(more: object): Promise<void> {
    this.wire.events.open();
    await turn();
    this.wire.say({ ...READY, ...more });
    this.pass(0);
  }

  /** Lets time pass in steps, so that what timers start can start more. */
  pass(ms: number): void {
    for (let left = ms; left >= 0; left -= 1_000) this.t.mock.timers.tick(Math.min(left, 1_000));
  }
}

const turn = (): Promise<void> => new Promise(setImmediate);

describe("14 Resume, the client: a hub that says nothing", () => {
  test("[RES-12] after two and a half heartbeats of silence the connection is lost, without a goodbye; another is opened", async (t) => {
    const scene = new Scene(t);
    await scene.greet({ resume: "s1" });
    const [first] = scene.wires;
    scene.pass(2 * HEARTBEAT);
    scene.wire.say({ opcode: "seen", n: 0 });
    scene.pass(2 * HEARTBEAT);
    assert.equal(scene.wires.length, 1, "who is heard of is there");
    scene.pass(2 * HEARTBEAT);
    assert.equal(first?.closedWith, 4000);
    assert.ok(scene.wires.length > 1);
    first?.say({ opcode: "from the dead" });
    await scene.greet({ resume: "s2", resumed: true });
    assert.equal(scene.wire.heard[0]?.resume, "s1");
    assert.deepEqual(scene.raised, ["ready", "ready", "resumed"]);
  });

  test("a ready that comes after its time is nobody's: the wire was given up, and the hub holds the page", async (t) => {
    const scene = new Scene(t);
    await scene.greet({ resume: "s1" });
    scene.wire.events.closed(1006, "");
    scene.pass(1_000);
    const late = scene.wire;
    late.events.open();
    await turn();
    scene.pass(11_000);
    assert.equal(late.closedWith, 4000);
    late.say({ ...READY, resume: "s2", resumed: true });
    assert.deepEqual(scene.raised, ["ready"]);
    scene.pass(1_000);
    await scene.greet({ resume: "s3", resumed: true });
    assert.equal(scene.wire.heard[0]?.resume, "s1");
  });
});

describe("14 Resume, the client: longer away than the hub holds a page", () => {
  test("[RES-5] whoever waits is told, and the hub is asked all the same: fresh says why", async (t) => {
    const scene = new Scene(t);
    await scene.greet({ resume: "s1" });
    scene.wire.events.closed(1006, "");
    const waiting = scene.client.send({ opcode: "a" });
    for (let n = 0; n < 5; n++) {
      scene.pass(10_000);
      scene.wire.events.closed(1006, "");
    }
    await assert.rejects(waiting, ClosedError);
    await assert.rejects(scene.client.send({ opcode: "b" }), ClosedError);
    scene.pass(10_000);
    await scene.greet({ resume: "s2", resumed: false, reason: "expired" });
    const [hello] = scene.wire.heard;
    assert.deepEqual([hello?.resume, hello?.reload], ["s1", true]);
    assert.deepEqual(scene.raised.slice(1), ["ready expired", "fresh expired"]);
    scene.client.send({ opcode: "c" }).catch(() => {});
    assert.equal(scene.wire.heard.at(-1)?.opcode, "c");
  });

  test("[RES-4] the hub noticed the drop later and still holds the page: the counts are right, and the connection stays", async (t) => {
    const scene = new Scene(t);
    await scene.greet({ resume: "s1" });
    for (let n = 0; n < 3; n++) scene.wire.say({ opcode: "x", n });
    scene.wire.events.closed(1006, "");
    scene.client.send({ opcode: "a" }).catch(() => {});
    for (let n = 0; n < 9; n++) {
      scene.pass(3_000);
      scene.wire.events.closed(1006, "");
    }
    scene.client.retryNow();
    scene.wire.events.open();
    await turn();
    scene.pass(GRACE - 9 * 3_000 + 1_000);
    scene.wire.say({ ...READY, resume: "s2", resumed: true });
    assert.deepEqual(scene.raised.slice(1), ["ready", "resumed"]);
    assert.deepEqual(
      scene.wire.heard.slice(1).map(({ opcode, n }) => [opcode, n]),
      [
        ["seen", 3],
        ["a", undefined],
      ],
    );
  });
});

describe("14 Resume, the client: who listens late", () => {
  test("resumed and fresh of the first connection wait until somebody can listen, as pushes do", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
    const wires: HubEnd[] = [];
    const client = new HubClient(
      (events) => {
        wires.push(new HubEnd(events));
        return wires[0] as HubEnd;
      },
      () => ({}),
      { resume: "left behind", seen: 0, attempt: 1 },
    );
    wires[0]?.events.open();
    await turn();
    wires[0]?.say({ ...READY, resume: "s2", resumed: false, reason: "overflow" });
    const heard: unknown[] = [];
    client.addEventListener("fresh", ({ ready }) => heard.push(ready.reason));
    assert.equal(client.ready?.reason, "overflow");
    t.mock.timers.tick(0);
    assert.deepEqual(heard, ["overflow"]);
  });

  test("[RES-12] what the hub has counted need not be kept: a page that only replies keeps nothing", async (t) => {
    const scene = new Scene(t);
    await scene.greet({ resume: "s1" });
    for (let n = 0; n < 10; n++) scene.client.say({ opcode: "reply", ask: n });
    scene.wire.say({ opcode: "seen", n: 8 });
    scene.wire.events.closed(1006, "");
    scene.pass(1_000);
    await scene.greet({ resume: "s2", resumed: true, got: 8 });
    assert.deepEqual(
      scene.wire.heard.slice(1).map(({ opcode, ask }) => [opcode, ask]),
      [
        ["reply", 8],
        ["reply", 9],
        ["seen", undefined],
      ],
    );
  });
});

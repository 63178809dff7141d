import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ErrorInfo, Packet } from "../../protocol/index.js";
import { LoopbackHub, type LoopbackPeer } from "../support/loopback.js";

const HELLO = { window: 8 };
const errorOf = (packet: Packet | undefined): Partial<ErrorInfo> => (packet?.error ?? {}) as Partial<ErrorInfo>;
const microtasks = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The page on another wire, with what it was given and what it has seen. */
function again(loop: LoopbackHub, ready: Packet | undefined, seen: number, more: object = {}): LoopbackPeer {
  return loop.peer({ hello: { ...HELLO, resume: ready?.resume, seen, ...more } });
}

describe("14 Resume: the secret and the grace", () => {
  test("[RES-4] the same UUID, and what was not seen comes again behind ready, then what waited", () => {
    const loop = new LoopbackHub();
    const page = loop.peer({ hello: HELLO });
    const sender = loop.peer();
    for (const message of [1, 2]) sender.ask({ opcode: "feedback", uuid: page.uuid, message });
    assert.equal(page.read().length, 2);
    page.connection.lost("lost");
    assert.deepEqual(sender.ask({ opcode: "feedback", uuid: page.uuid, message: 3 })[0], {
      opcode: "next",
      fyi: "",
      status: "held",
      held: 1,
    });
    const back = again(loop, page.ready, 1);
    assert.equal(back.uuid, page.uuid);
    assert.deepEqual([back.ready?.resumed, back.ready?.got, back.ready?.owed], [true, 0, 0]);
    assert.deepEqual(
      back.rest.map((packet) => packet.message),
      [2, 3],
    );
  });

  test("[RES-2] held for grace, for reloadGrace after 1001, and not at all after 1000 or quit", () => {
    for (const [why, ms] of [
      ["lost", 30_000],
      ["going-away", 5_000],
      ["left", 0],
    ] as const) {
      const loop = new LoopbackHub();
      const page = loop.peer({ hello: HELLO });
      const sender = loop.peer();
      page.connection.lost(why);
      const status = (): unknown => sender.ask({ opcode: "feedback", uuid: page.uuid })[0]?.status;
      if (ms > 0) {
        loop.clock.advance(ms - 1);
        assert.equal(status(), "held", why);
        loop.clock.advance(1);
      }
      assert.equal(status(), "gone", why);
      const back = again(loop, page.ready, 0);
      assert.deepEqual([back.ready?.resumed, back.ready?.reason], [false, "expired"]);
    }
  });

  test("[RES-6] the secret changes; the one before opens once more until something came from the page with the new one, then it is taken", () => {
    const loop = new LoopbackHub();
    const page = loop.peer({ hello: HELLO });
    page.connection.lost("lost");
    const lostReady = again(loop, page.ready, 0);
    assert.notEqual(lostReady.ready?.resume, page.ready?.resume);
    lostReady.connection.lost("lost");
    const back = again(loop, page.ready, 0);
    assert.equal(back.uuid, page.uuid);
    back.say({ opcode: "seen", n: 0 });
    const thief = again(loop, page.ready, 0);
    assert.deepEqual([thief.ready?.resumed, thief.ready?.reason], [false, "taken"]);
    assert.equal(back.connection.state, "open", "the rightful page is left alone");
    assert.equal(loop.log.of("resume_replay").length, 1);
    const { uuid } = page;
    assert.equal(again(loop, { opcode: "", resume: uuid }, 0).ready?.reason, "restarted", "the UUID is no secret");
  });

  test("[RES-7] of two connections the newest has the page, the older is closed with 4001", () => {
    const loop = new LoopbackHub();
    const page = loop.peer({ hello: HELLO });
    const newer = again(loop, page.ready, 0);
    assert.equal(page.closedWith()?.code, 4001);
    assert.equal(newer.uuid, page.uuid);
    loop.peer().ask({ opcode: "feedback", uuid: page.uuid, message: 1 });
    assert.equal(newer.read().length, 1);
  });

  test("[RES-7] a hello that was overtaken by a later one of the same client does not take the page back", () => {
    const loop = new LoopbackHub();
    const page = loop.peer({ hello: { ...HELLO, attempt: 1 } });
    const third = loop.peer({ hello: { ...HELLO, resume: page.ready?.resume, seen: 0, attempt: 3 } });
    for (const attempt of [2, 3]) {
      const late = { ...HELLO, resume: page.ready?.resume, seen: 0, attempt };
      assert.throws(() => loop.peer({ hello: late }), { name: "Fault", kind: "replaced" });
    }
    assert.equal(third.closedWith(), undefined);
    const again = loop.peer({ hello: { ...HELLO, resume: third.ready?.resume, seen: 0, attempt: 4 } });
    assert.equal(again.ready?.resumed, true, "the newest secret is still good");
  });

  for (const seen of [-1, 5, 0.5]) {
    test(`[RES-5] a count of ${seen} does not fit: a new page, gap`, () => {
      const loop = new LoopbackHub();
      const page = loop.peer({ hello: HELLO });
      page.connection.lost("lost");
      const back = again(loop, page.ready, seen);
      assert.deepEqual([back.ready?.resumed, back.ready?.reason], [false, "gap"]);
      assert.notEqual(back.uuid, page.uuid);
    });
  }

  test("[RES-5] another path, another start of the hub, a page that was too slow: told so", () => {
    const loop = new LoopbackHub();
    loop.hub.mount("/web", [{ opcodes: { a: () => 1 } }]);
    const page = loop.peer({ hello: HELLO });
    page.connection.lost("lost");
    const elsewhere = loop.peer({ path: "/web", hello: { ...HELLO, resume: page.ready?.resume, seen: 0 } });
    assert.equal(elsewhere.ready?.reason, "resource");
    assert.equal(again(new LoopbackHub(), page.ready, 0).ready?.reason, "restarted");
    const sender = loop.peer();
    const message = "x".repeat(900_000);
    for (let i = 0; i < 3; i++) sender.ask({ opcode: "feedback", uuid: page.uuid, message });
    assert.equal(again(loop, page.ready, 0).ready?.reason, "overflow");
  });

  test("[RES-10] above maxHeld the page held longest ends", () => {
    const loop = new LoopbackHub({ limits: { maxHeld: 2 } });
    const pages = [1, 2, 3].map(() => loop.peer({ hello: HELLO }));
    for (const page of pages) page.connection.lost("lost");
    const sender = loop.peer();
    const statuses = pages.map(({ uuid }) => sender.ask({ opcode: "feedback", uuid })[0]?.status);
    assert.deepEqual(statuses, ["gone", "held", "held"]);
  });

  test("[RES-3] messages under way go on while the page is away, and their answers come on its return", async () => {
    let settle: (value: string) => void = () => {};
    const slow = () =>
      new Promise<string>((resolve) => {
        settle = resolve;
      });
    const loop = new LoopbackHub({ apps: [{ opcodes: { slow } }] });
    const page = loop.peer({ hello: HELLO });
    page.say({ opcode: "slow", ref: 1 });
    page.say("bufferON");
    page.connection.lost("lost");
    settle("done");
    await microtasks();
    const back = again(loop, page.ready, 0);
    assert.deepEqual([back.ready?.got, back.ready?.owed], [2, 2]);
    assert.deepEqual(
      back.rest.map(({ status, ref, result }) => [status, ref, result]),
      [
        ["done", 1, "done"],
        ["done", undefined, undefined],
      ],
    );
    assert.equal(errorOf(back.ask("bufferOFF")[0]).code, "bad-json", "the buffer was still open");
  });
});

describe("14 Kinds of message", () => {
  test("[KIND-2] of state only the newest waits, in the place of the older; events stay; a page of state alone is never slow", () => {
    const loop = new LoopbackHub();
    const page = loop.peer({ hello: HELLO });
    const sender = loop.peer();
    const tell = (fields: object): Packet[] => sender.ask({ opcode: "feedback", uuid: page.uuid, ...fields });
    page.stuck = true;
    tell({ message: "in the wire" });
    tell({ key: "a", message: 1 });
    tell({ message: "event" });
    for (let i = 0; i < 40; i++) tell({ key: "a", message: "x".repeat(200_000) });
    tell({ key: "a", message: 2 });
    tell({ key: "b", message: 3 });
    assert.equal(page.connection.state, "open");
    page.unstick();
    assert.deepEqual(
      page.read().map(({ message }) => message),
      ["in the wire", 2, "event", 3],
    );
  });

  test("[KIND-2] more state than maxQueued of different keys is too much, too: the page is new on its return", () => {
    const loop = new LoopbackHub({ limits: { maxQueued: 200_000, maxMessage: 100_000, maxKept: 70_000 } });
    const page = loop.peer({ hello: HELLO });
    const sender = loop.peer({ kind: "backend", hello: { window: 256 } });
    page.connection.lost("lost");
    const say = (n: number): unknown => sender.ask({ opcode: "feedback", uuid: page.uuid, key: `key ${n}`, message: n })[0]?.status;
    for (let n = 0; n < 300; n++) assert.equal(say(n), "held");
    for (let n = 0; n < 10_000; n++) assert.equal(say(n % 300), "held", "newer values of the same keys take no room");
    let n = 300;
    while (say(n) === "held") n++;
    assert.ok(n > 400 && n < 800, `${n} keys`);
    assert.equal(again(loop, page.ready, 0).ready?.reason, "overflow");
  });

  test("[RES-8] what can be sent again gives way to what waits: together they take no more than maxQueued", () => {
    const loop = new LoopbackHub({ limits: { maxQueued: 200_000, maxMessage: 100_000, maxKept: 150_000 } });
    const page = loop.peer({ hello: HELLO });
    const sender = loop.peer({ kind: "backend", hello: { window: 256 } });
    const say = (size: number): unknown => sender.ask({ opcode: "feedback", uuid: page.uuid, message: "x".repeat(size) })[0]?.status;
    for (let n = 0; n < 14; n++) say(10_000);
    assert.ok(loop.hub.budget.used > 140_000 && loop.hub.budget.used < 150_000, "kept");
    page.stuck = true;
    say(10_000);
    page.read();
    for (let n = 0; n < 14; n++) assert.equal(say(10_000), "sent");
    assert.ok(loop.hub.budget.used <= 200_000, `${loop.hub.budget.used} bytes`);
  });

  test("[KIND-3] volatile is dropped for a page that is away or busy, and said so", () => {
    const loop = new LoopbackHub();
    const page = loop.peer({ hello: HELLO });
    const sender = loop.peer();
    const status = (): unknown => sender.ask({ opcode: "feedback", uuid: page.uuid, message: 1, volatile: true })[0]?.status;
    assert.equal(status(), "sent");
    page.connection.lost("lost");
    assert.equal(status(), "dropped");
    assert.deepEqual(
      again(loop, page.ready, 1).rest.map((packet) => packet.opcode),
      [],
    );
  });

  test("[KIND-4] wait: delivered when the page has seen it, merged, gone; and no-receipt from who cannot say so", async () => {
    const loop = new LoopbackHub();
    const page = loop.peer({ hello: HELLO });
    const sender = loop.peer({ hello: { window: 16 }, kind: "backend" });
    const wait = (ref: string, fields: object = {}): void =>
      sender.say({ opcode: "feedback", uuid: page.uuid, wait: "page", ref, ...fields });
    wait("seen");
    assert.equal(page.read()[0]?.wait, "page");
    assert.deepEqual(sender.read(), []);
    page.say({ opcode: "seen", n: 1 });
    await microtasks();
    page.connection.lost("lost");
    wait("older", { key: "k" });
    wait("newer", { key: "k" });
    await microtasks();
    loop.clock.advance(60_000);
    await microtasks();
    assert.deepEqual(
      sender.read().map(({ ref, status }) => [ref, status]),
      [
        ["seen", "delivered"],
        ["older", "merged"],
        ["newer", "gone"],
      ],
    );
    const original = loop.peer();
    const [next] = sender.ask({ opcode: "feedback", uuid: original.uuid, wait: "page" });
    assert.equal(errorOf(next).code, "no-receipt");
  });

  test("maxBuffered: more than that waiting for all peers together is refused by name, and free again when it has been read", () => {
    const loop = new LoopbackHub({ limits: { maxBuffered: 1_048_576 } });
    const [page, other, sender] = [loop.peer(), loop.peer(), loop.peer()];
    page.stuck = true;
    const message = "x".repeat(300_000);
    const tell = (): Packet | undefined => sender.ask({ opcode: "feedback", uuid: page.uuid, message })[0];
    const statuses = Array.from({ length: 6 }, () => tell());
    assert.equal(errorOf(statuses.at(-1)).code, "over-budget");
    assert.match(errorOf(statuses.at(-1)).message ?? "", /maxBuffered/);
    assert.equal(other.ask({ opcode: "echo" }).length, 2, "answers still go out");
    page.unstick();
    page.read();
    assert.equal(tell()?.status, "sent");
    loop.clock.endTurn();
    assert.equal(loop.hub.budget.used, 0);
  });
});

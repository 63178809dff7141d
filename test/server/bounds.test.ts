import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BUFFER_ON, type Packet } from "../../protocol/index.js";
import { MemoryCluster } from "../../server/cluster/memory.js";
import { LoopbackHub, type LoopbackPeer } from "../support/loopback.js";

const HELLO = { window: 8 };
const LONG = 3_600_000;
const microtasks = (): Promise<void> => new Promise(setImmediate);
const never = (): Promise<never> => new Promise(() => {});
const nexts = (packets: readonly Packet[]): Packet[] => packets.filter(({ opcode }) => opcode === "next");

/** Reports until more than half of what may wait for it does, so that the hub does not serve it any more [WIN-4]. */
function fill(loop: LoopbackHub, page: LoopbackPeer): void {
  const sender = loop.peer({ kind: "backend", hello: HELLO });
  page.stuck = true;
  for (let n = 0; n < 13; n++) sender.ask({ opcode: "feedback", uuid: page.uuid, message: "x".repeat(90_000) });
  sender.say({ opcode: "quit" });
}

describe("10 Ends: whoever is gone is gone", () => {
  for (const hello of [undefined, HELLO]) {
    test(`a page that had much unread and said one thing more ends, ${hello ? "with" : "without"} hello, and leaves no bytes`, () => {
      const loop = new LoopbackHub();
      const page = loop.peer(hello ? { hello } : {});
      fill(loop, page);
      page.say({ opcode: "echo" });
      page.connection.lost("lost");
      loop.clock.advance(LONG);
      assert.deepEqual([page.connection.state, loop.hub.size, loop.hub.budget.used], ["closed", 0, 0]);
    });
  }

  test("[KIND-4] who waits for a page and leaves is not waited for: two that wait for each other, one for itself, a thousand scripts", async () => {
    const loop = new LoopbackHub();
    const [a, b, page] = [loop.peer({ hello: HELLO }), loop.peer({ hello: HELLO }), loop.peer({ hello: HELLO })];
    const wait = (peer: LoopbackPeer, uuid: string): void => peer.say({ opcode: "feedback", uuid, wait: "page", message: 1 });
    wait(a, b.uuid);
    wait(b, a.uuid);
    wait(b, b.uuid);
    a.connection.lost("lost");
    b.connection.lost("lost");
    for (let n = 0; n < 1_000; n++) {
      const script = loop.peer({ kind: "backend", hello: HELLO });
      wait(script, page.uuid);
      script.connection.lost("lost");
    }
    loop.clock.advance(LONG);
    await microtasks();
    assert.deepEqual([a.connection.state, b.connection.state, loop.hub.size], ["closed", "closed", 1]);
  });

  test("[END-4] what was read before is served all the same, in its order", async () => {
    const handled: unknown[] = [];
    const work = async ({ n }: Packet): Promise<void> => {
      handled.push(n);
      await microtasks();
    };
    const loop = new LoopbackHub({ apps: [{ opcodes: { work } }] });
    const backend = loop.peer({ kind: "backend", hello: { window: 1 } });
    for (const n of [1, 2, 3]) backend.say({ opcode: "work", n });
    backend.connection.lost("lost");
    assert.deepEqual(handled, [1]);
    for (let turn = 0; turn < 10; turn++) await microtasks();
    assert.deepEqual(handled, [1, 2, 3]);
    assert.equal(backend.connection.state, "closed");
  });

  test("[RES-10] maxHeld holds, whatever the pages are busy with", () => {
    const loop = new LoopbackHub({ limits: { maxHeld: 2 }, apps: [{ opcodes: { slow: never } }] });
    const pages = Array.from({ length: 10 }, () => loop.peer({ hello: HELLO }));
    pages[0]?.say({ opcode: "slow" });
    for (const { connection } of pages) connection.lost("lost");
    assert.equal(pages.filter(({ connection }) => connection.state === "held").length, 2);
  });

  test("with a full house pages come back, and nobody else comes in", () => {
    const loop = new LoopbackHub({ limits: { maxConnections: 3 } });
    const pages = [1, 2, 3].map(() => loop.peer({ hello: HELLO }));
    assert.throws(() => loop.peer({ hello: HELLO }), { name: "Fault", kind: "try-later" });
    for (const { connection } of pages) connection.lost("lost");
    const [away] = pages;
    for (const { ready } of pages) {
      const again = loop.peer({ hello: { ...HELLO, resume: ready?.resume, seen: 0 } });
      assert.equal(again.ready?.resumed, true);
    }
    assert.equal(away?.connection.state, "open");
    assert.throws(() => loop.peer({ hello: HELLO }), { name: "Fault", kind: "try-later" });
  });
});

describe("14 Resume: a reload in the middle of a long message", () => {
  for (const [what, before, waiting] of [
    ["its beginning", [], BUFFER_ON],
    ["a piece of it", [BUFFER_ON], '{"opcode":"evil"}'],
  ] as const) {
    test(`[RES-9] ${what} that was not served yet is nothing any more: neither part of a later message nor one itself`, () => {
      const executed: Packet[] = [];
      const loop = new LoopbackHub({ apps: [{ opcodes: { evil: (packet) => void executed.push(packet) } }] });
      const page = loop.peer({ hello: HELLO });
      for (const text of before) page.ask(text);
      fill(loop, page);
      page.say(waiting);
      page.connection.lost("going-away");
      const back = loop.peer({ hello: { ...HELLO, resume: page.ready?.resume, seen: 0, reload: true } });
      loop.clock.advance(10);
      const answers = nexts([...back.rest, ...back.read()]);
      assert.equal(back.ready?.owed, answers.length, "what was counted is answered");
      assert.deepEqual(
        nexts(back.ask({ opcode: "echo", ref: "first" })).map(({ ref, status }) => [ref, status]),
        [["first", "done"]],
      );
      assert.deepEqual(executed, []);
    });
  }

  test("[RES-9] a message that had come whole is served", () => {
    const loop = new LoopbackHub();
    const page = loop.peer({ hello: HELLO });
    fill(loop, page);
    for (const text of [BUFFER_ON, '{"opcode":"echo","ref":"whole"}', "bufferOFF", BUFFER_ON, "{"]) page.say(text);
    page.connection.lost("going-away");
    const back = loop.peer({ hello: { ...HELLO, resume: page.ready?.resume, seen: 0, reload: true } });
    loop.clock.advance(10);
    const refs = nexts([...back.rest, ...back.read()]).map(({ ref }) => ref);
    assert.ok(refs.includes("whole"));
    assert.equal(nexts(back.ask({ opcode: "echo", ref: "next" }))[0]?.ref, "next");
  });

  test("[RES-13] what the hello says of its client counts from then on", () => {
    const loop = new LoopbackHub();
    const page = loop.peer({ hello: { ...HELLO, ident: "anna", tags: { role: "reader" } } });
    page.connection.lost("lost");
    loop.peer({ hello: { window: 4, resume: page.ready?.resume, seen: 0, ident: "bert", tags: { role: "editor" } } });
    const sender = loop.peer();
    const status = (to: object): unknown => sender.ask({ opcode: "feedback", ...to, message: 1 })[0]?.status;
    assert.deepEqual([{ ident: "anna" }, { ident: "bert" }, { tags: { role: "reader" } }, { tags: { role: "editor" } }].map(status), [
      "gone",
      "sent",
      "gone",
      "sent",
    ]);
  });

  test("[RES-12] the hub says how far it has counted, after 64 KiB, and counts that not itself", () => {
    const loop = new LoopbackHub();
    const page = loop.peer({ hello: HELLO });
    for (let n = 0; n < 100; n++) page.say({ opcode: "reply", ask: 1, result: "x".repeat(1_000) });
    const packets = page.read();
    assert.deepEqual(
      packets.filter(({ opcode }) => opcode === "seen").map(({ n }) => n),
      [64],
    );
    page.connection.lost("lost");
    const again = loop.peer({ hello: { ...HELLO, resume: page.ready?.resume, seen: packets.length - 1 } });
    assert.deepEqual([again.ready?.resumed, again.ready?.got, again.rest], [true, 100, []]);
  });
});

describe("14 Kinds of message: the odd cases", () => {
  test("[KIND-3] volatile for a page that is away is dropped, also for who waits", () => {
    const loop = new LoopbackHub();
    const page = loop.peer({ hello: HELLO });
    const sender = loop.peer({ kind: "backend", hello: HELLO });
    page.connection.lost("lost");
    assert.equal(sender.ask({ opcode: "feedback", uuid: page.uuid, wait: "page", volatile: true })[0]?.status, "dropped");
  });

  test("[KIND-3] volatile alone never makes a page slow", () => {
    const go = (_packet: Packet, peer: { send(packet: Packet, kind: object): boolean }): void => {
      for (let n = 0; n < 5_000; n++) peer.send({ opcode: "at", x: "y".repeat(1_000) }, { volatile: true });
    };
    const loop = new LoopbackHub({ apps: [{ opcodes: { go } }] });
    const page = loop.peer({ hello: HELLO });
    page.ask({ opcode: "go" });
    assert.equal(page.connection.state, "open");
  });

  test("[KIND-4] of two pages one is too slow in that moment: the other's word is waited for", async () => {
    const loop = new LoopbackHub();
    const [good, slow] = [1, 2].map(() => loop.peer({ hello: { ...HELLO, ident: "x" } })) as [LoopbackPeer, LoopbackPeer];
    const sender = loop.peer({ kind: "backend", hello: HELLO });
    slow.stuck = true;
    for (let n = 0; n < 20; n++) sender.ask({ opcode: "feedback", uuid: slow.uuid, message: "x".repeat(100_000) });
    assert.deepEqual(sender.ask({ opcode: "feedback", ident: "x", wait: "page", message: "x".repeat(200_000) }), []);
    await microtasks();
    assert.deepEqual(sender.read(), []);
    good.read();
    good.say({ opcode: "seen", n: 1 });
    await microtasks();
    assert.deepEqual(
      sender.read().map(({ status, n }) => [status, n]),
      [["delivered", 1]],
    );
  });

  test("[NEXT-7] `wait` in a message to an app gives it no more time than others have", async () => {
    const loop = new LoopbackHub({ apps: [{ opcodes: { slow: never } }] });
    const page = loop.peer({ hello: HELLO });
    page.say({ opcode: "slow", wait: "page" });
    loop.clock.advance(LONG);
    await microtasks();
    const [{ error } = {} as Packet] = page.read();
    assert.equal((error as { code: string }).code, "app-timeout");
  });
});

describe("11 Limits: one budget for all", () => {
  test("messages that have not come whole count: who would go beyond it is told to try later, all others are served", () => {
    const loop = new LoopbackHub({ limits: { maxBuffered: 1_048_576 } });
    const peers = Array.from({ length: 20 }, () => loop.peer());
    for (const peer of peers) {
      peer.ask(BUFFER_ON);
      peer.ask("x".repeat(900_000));
    }
    const refused = peers.filter((peer) => peer.closedWith() !== undefined);
    assert.equal(refused.length, 19);
    for (const peer of refused) assert.match(peer.closedWith()?.reason ?? "", /maxBuffered/);
    assert.ok(loop.hub.budget.used < 1_048_576);
    assert.equal(nexts(loop.peer().ask({ opcode: "echo" })).length, 1);
    for (const peer of peers) peer.connection.lost("lost");
    assert.equal(loop.hub.budget.used, 0);
  });

  test("what cannot be refused, such as answers: peers that do not read are closed before the memory is full", () => {
    const loop = new LoopbackHub({ limits: { maxBuffered: 1_048_576 } });
    const peers = Array.from({ length: 50 }, () => loop.peer({ hello: HELLO }));
    for (const peer of peers) {
      peer.stuck = true;
      for (let n = 0; n < 9; n++) peer.ask({ opcode: "echo", m: "x".repeat(100_000) });
    }
    assert.ok(loop.hub.budget.used < 2 * 1_048_576, `${loop.hub.budget.used} bytes`);
    assert.ok(peers.some(({ connection }) => connection.state === "open"));
  });

  test("hubs of one process that share frames count each its own", async () => {
    const options = { cluster: new MemoryCluster() };
    const [a, b] = [new LoopbackHub(options), new LoopbackHub(options)];
    await microtasks();
    for (let n = 0; n < 5; n++) {
      const [one, two] = [a.peer({ hello: HELLO }), b.peer({ hello: HELLO })];
      for (const [hub, peer] of [
        [a, one],
        [b, two],
      ] as const) {
        peer.say(BUFFER_ON);
        hub.clock.endTurn();
      }
      a.peer().ask({ opcode: "broadcast", message: n });
      for (const peer of [one, two]) peer.connection.fault("normal", "The end.");
    }
    for (const { hub } of [a, b]) {
      for (const peer of [...hub.peers]) peer.fault("normal", "The end.");
      assert.equal(hub.budget.used, 0);
    }
  });
});

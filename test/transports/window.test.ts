import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Packet } from "../../protocol/index.js";
import type { App } from "../../server/app.js";
import { startHub, type TestHub } from "../support/hub.js";
import { attack, noUncaughtErrors } from "./support-bystander.js";
import { Gate, type Held } from "./support-gate.js";
import { boundedMemory } from "./support-memory.js";
import { flood, writeApart } from "./support-sockets.js";
import { type Talker, textOf, WIRES } from "./support-talker.js";

const KiB = 1024;
/** The window is looked at, not how fast a peer may speak. */
const UNHURRIED = { maxRate: 1_000_000, maxByteRate: 1_000_000 * KiB };

noUncaughtErrors();

const bytesOfAll = (peer: Talker, packets: readonly (object | string)[]): Buffer =>
  Buffer.concat(packets.map((packet) => peer.bytes(textOf(packet))));

/** Several texts in one segment. */
function sayAtOnce(peer: Talker, packets: readonly (object | string)[]): void {
  peer.socket.write(bytesOfAll(peer, packets));
}

const holds = (count: number): object[] => Array.from({ length: count }, (_, i) => ({ opcode: "hold", ref: i + 1 }));

/** The handlers that have started, `count` of them. */
async function startedBy(gate: Gate, count: number): Promise<Held[]> {
  const held: Held[] = [];
  while (held.length < count) held.push(await gate.started.next());
  return held;
}

/** The `ref` of each of the next answers. */
async function refsOf(peer: Talker, count: number): Promise<unknown[]> {
  const refs: unknown[] = [];
  while (refs.length < count) {
    const next = await peer.packet();
    assert.equal(next.opcode, "next");
    refs.push(next.ref);
  }
  return refs;
}

/** Another peer's round trips: time for the hub to do what it is not to do. */
async function roundTrips(other: Talker, count = 3): Promise<void> {
  for (let i = 0; i < count; i++) assert.equal((await other.ask({ opcode: "nonsense" })).opcode, "next");
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

for (const wire of WIRES) {
  /** A hub with a gate, a peer with this window, and another peer. */
  async function scene(t: TestContext, window: number): Promise<{ hub: TestHub; gate: Gate; peer: Talker; other: Talker }> {
    const gate = new Gate();
    const hub = await startHub(t, { resources: { "/": gate.app }, maxWindow: 8 });
    return { hub, gate, peer: await wire.open(t, hub, { window }), other: await wire.open(t, hub) };
  }

  describe(`4 \`next\`, ${wire.name}`, () => {
    test("[NEXT-1] handlers may settle in any order, their answers leave in the order of the messages", async (t) => {
      const { gate, peer } = await scene(t, 8);
      sayAtOnce(peer, [...holds(5), { opcode: "nonsense", ref: 6 }, "no JSON", { opcode: "hold", ref: 8 }]);
      const held = await startedBy(gate, 6);
      for (const i of [5, 3, 1, 4, 2]) held[i]?.finish(`result ${i}`);
      held[0]?.fail(new Error("the first of all fails, as the last"));
      const answers: Packet[] = [];
      while (answers.length < 8) answers.push(await peer.packet());
      assert.deepEqual(
        answers.map(({ ref }) => ref),
        [1, 2, 3, 4, 5, 6, undefined, 8],
      );
      assert.deepEqual(
        answers.map(({ result, error }) => result ?? (error as Packet).code),
        ["app-error", "result 1", "result 2", "result 3", "result 4", "unknown-opcode", "bad-json", "result 5"],
      );
    });

    test("[NEXT-6] cancel and reply have no `next`; where they cannot be served the hub says so in their own opcode", async (t) => {
      const hub = await startHub(t);
      const peer = await wire.open(t, hub);
      for (const [said, code] of [
        [{ opcode: "cancel", ref: 1 }, wire.name === "TCP" ? "not-yours" : "no-job"],
        [{ opcode: "reply", ask: 1 }, "not-asked"],
      ] as const) {
        const { opcode, status, ref, error } = await peer.ask(said);
        assert.deepEqual([opcode, status, ref, (error as Packet).code], [said.opcode, "refused", undefined, code]);
      }
      assert.equal((await peer.ask({ opcode: "nonsense", ref: 2 })).ref, 2);
    });
  });

  describe(`5 The window, ${wire.name}`, () => {
    test("[WIN-2] handlers start in the order of arrival, at most `window` under way, each until its `next` was written", async (t) => {
      const { gate, peer, other } = await scene(t, 3);
      sayAtOnce(peer, holds(10));
      const [first, second, third] = (await startedBy(gate, 3)) as [Held, Held, Held];
      await roundTrips(other);
      assert.equal(gate.count, 3);
      second.finish();
      await roundTrips(other);
      assert.equal(gate.count, 3, "the second's answer waits for the first's, and so does its credit");
      first.finish();
      assert.deepEqual(await refsOf(peer, 2), [1, 2]);
      const more = await startedBy(gate, 2);
      await roundTrips(other);
      assert.equal(gate.count, 5);
      for (const held of [third, ...more]) held.finish();
      for (let i = 6; i <= 10; i++) (await gate.started.next()).finish();
      assert.deepEqual(await refsOf(peer, 8), [3, 4, 5, 6, 7, 8, 9, 10]);
      assert.equal(gate.most, 3);
    });

    test("[WIN-1] a window above maxWindow is granted as maxWindow, none asked for is 1", async (t) => {
      const { gate, peer, other } = await scene(t, 100);
      sayAtOnce(peer, holds(20));
      sayAtOnce(other, holds(2));
      const third = await wire.open(t, (await scene(t, 1)).hub);
      await roundTrips(third);
      assert.equal(gate.count, 8 + 1);
      for (let i = 0; i < 22; i++) (await gate.started.next()).finish();
      assert.deepEqual(await refsOf(peer, 20), upTo(20));
      assert.deepEqual(await refsOf(other, 2), [1, 2]);
    });

    test("[WIN-3] a client that sends 64 MiB ahead is not read any more: it is held up, all others are served, order is kept", (t) => {
      const gate = new Gate();
      return attack(t, { ...UNHURRIED, resources: { "/": gate.app } }, async (hub) => {
        const peer = await wire.open(t, hub);
        const other = await wire.open(t, hub);
        const count = 1_024;
        const message = peer.bytes(textOf({ opcode: "hold", text: "x".repeat(64 * KiB) }));
        let over = false;
        let flooded: Promise<void> | undefined;
        await boundedMemory(async () => {
          flooded = flood(peer.socket, message, count * message.length).then(() => {
            over = true;
          });
          // Each is time for the hub to read 64 KiB and more, if it did.
          await roundTrips(other, count);
          assert.equal(over, false, "the kernel's buffers are full");
          assert.equal(gate.count, 1);
        });
        for (let i = 0; i < count; i++) {
          (await gate.started.next()).finish(i);
          assert.equal((await peer.packet()).result, i);
        }
        await flooded;
        assert.deepEqual([gate.count, gate.most], [count, 1]);
        assert.deepEqual(hub.log.of("peer.closed"), [], "it is not closed for that");
      });
    });

    test("[WIN-4] a client that reads no answers is not read any more, and not closed for that; when it reads, none is missing", (t) =>
      attack(t, UNHURRIED, async (hub) => {
        const peer = await wire.open(t, hub);
        const other = await wire.open(t, hub);
        peer.socket.pause();
        const count = 1_024;
        const echo = { opcode: "echo", text: "x".repeat(64 * KiB) };
        const message = peer.bytes(textOf(echo));
        let over = false;
        let flooded: Promise<void> | undefined;
        await boundedMemory(async () => {
          flooded = flood(peer.socket, message, count * message.length).then(() => {
            over = true;
          });
          await roundTrips(other, count);
          assert.equal(over, false, "the kernel's buffers are full");
        });
        assert.deepEqual(hub.log.of("peer.closed"), []);
        peer.socket.resume();
        for (let i = 0; i < count; i++) {
          assert.deepEqual(await peer.packet(), echo);
          assert.equal((await peer.packet()).status, "done");
        }
        await flooded;
      }));

    test("[WIN-5] cancel is served at once, with all credit used up", async (t) => {
      const { gate, peer } = await scene(t, 2);
      sayAtOnce(peer, holds(2));
      const held = await startedBy(gate, 2);
      peer.say({ opcode: "cancel", job: 7 });
      assert.deepEqual(await gate.cancelled.next(), { opcode: "cancel", job: 7 });
      for (const each of held) each.finish();
      assert.deepEqual(await refsOf(peer, 2), [1, 2], "and has no answer");
      peer.say({ opcode: "nonsense", ref: 3 });
      assert.deepEqual(await refsOf(peer, 1), [3]);
    });

    test("[WIN-5] a reply and `seen` are served at once, with all credit used up [ASK-1]", async (t) => {
      const asker: App = { opcodes: { ask: (_packet, peer) => peer.ask({ opcode: "question", text: "Sure?" }) } };
      const hub = await startHub(t, { resources: { "/": asker } });
      const peer = await wire.open(t, hub);
      const question = await peer.ask({ opcode: "ask", ref: 1 });
      assert.deepEqual(question, { opcode: "question", text: "Sure?", ask: 1 });
      sayAtOnce(peer, [
        { opcode: "seen", n: 1 },
        { opcode: "reply", ask: 1, result: "yes" },
      ]);
      assert.deepEqual(await peer.packet(), { opcode: "next", fyi: "", ref: 1, status: "done", result: "yes" });
    });

    // One segment or two: the network may cut where it likes, the effect is the same.
    for (const apart of [false, true]) {
      test(`[WIN-5] cancel behind a message beyond the window, ${apart ? "in the next segment" : "in the same segment"}: it waits until that one has started`, async (t) => {
        const { gate, peer, other } = await scene(t, 1);
        const segments = [holds(2), [{ opcode: "cancel", job: 2 }]].map((packets) => bytesOfAll(peer, packets));
        await writeApart(peer.socket, apart ? segments : [Buffer.concat(segments)]);
        const first = await gate.started.next();
        await roundTrips(other);
        assert.deepEqual(gate.cancelled.drain(), []);
        first.finish();
        const second = await gate.started.next();
        assert.deepEqual(await gate.cancelled.next(), { opcode: "cancel", job: 2 }, "while the job it means is under way");
        second.finish();
        assert.deepEqual(await refsOf(peer, 2), [1, 2]);
      });
    }

    test("[WIN-5] `quit` is heard at once, with all credit used up: what is under way is answered, nothing behind it is served [END-1]", (t) => {
      const gate = new Gate();
      return attack(t, { resources: { "/": gate.app } }, async (hub) => {
        const peer = await wire.open(t, hub, { window: 2 });
        const other = await wire.open(t, hub);
        sayAtOnce(peer, [...holds(2), { opcode: "quit" }, { opcode: "hold", ref: 3 }, { opcode: "broadcast", message: "evil" }]);
        const held = await startedBy(gate, 2);
        assert.equal((await other.ask({ opcode: "feedback", uuid: peer.uuid })).status, "gone", "it can be reached no more");
        assert.deepEqual(hub.log.of("peer.closed"), [], "though it is still here");
        for (const each of held.reverse()) each.finish();
        assert.deepEqual(await refsOf(peer, 2), [1, 2]);
        assert.equal((await peer.closed()) ?? 1000, 1000);
        await assert.rejects(peer.packet(), /closed the connection/, "nothing was said behind the last answer");
        assert.equal(gate.count, 2);
      });
    });
  });

  describe(`10 Ends, ${wire.name}`, () => {
    test("[END-4] messages that were read before the connection broke are served all the same, in order", (t) => {
      const gate = new Gate();
      return attack(t, { resources: { "/": gate.app } }, async (hub) => {
        const peer = await wire.open(t, hub);
        const other = await wire.open(t, hub);
        sayAtOnce(peer, holds(3));
        const first = await gate.started.next();
        peer.socket.resetAndDestroy();
        await roundTrips(other);
        first.finish();
        for (const ref of [2, 3]) {
          const held = await gate.started.next();
          assert.equal(held.packet.ref, ref);
          held.finish();
        }
        await roundTrips(other);
        assert.deepEqual([gate.count, gate.most], [3, 1]);
      });
    });
  });
}

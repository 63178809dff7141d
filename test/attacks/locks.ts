import assert from "node:assert/strict";
import type { Packet } from "../../protocol/index.js";
import { LineClient } from "../support/line-client.js";
import { RawPage } from "../transports/support-raw-page.js";
import type { Attack, AttackGroup, Target } from "./attack.js";
import { HubProcess } from "./hub-process.js";
import { errorOf, many, untilNext } from "./steps.js";
import { until } from "./until.js";

const SPACE = "books";
/** Ids that one page may list or lock. */
const MOST = 10_000;

const open = ({ t, wsPort }: Target, ident: string): Promise<RawPage> => RawPage.open(t, wsPort, { ident, window: 8 });

/** Says a packet and returns its `next`, passing over what is pushed meanwhile. */
function ask(page: RawPage, packet: object): Promise<Packet> {
  page.say(packet);
  return untilNext(page);
}

async function untilState(page: RawPage, state: string): Promise<Packet> {
  let packet = await page.packet();
  while (packet.opcode !== "lock" || packet.state !== state) packet = await page.packet();
  return packet;
}

/** Nobody of an earlier attack has anything any more. */
async function untilNoneHeld({ hub }: Target): Promise<void> {
  const { apps } = await until(
    () => hub.status(),
    (status) => status.apps.locks?.held === 0,
  );
  assert.equal(apps.locks?.held, 0);
}

const fenceOf = ({ result }: Packet, id: string): number => (result as { mine: Record<string, number> }).mine[id] as number;

/** How a holder vanishes. */
const VANISHING: readonly ((page: RawPage) => unknown)[] = [
  (page) => page.socket.end(),
  (page) => page.socket.resetAndDestroy(),
  (page) => page.say({ opcode: "quit" }),
];

const holders: readonly Attack[] = [
  {
    threats: [63],
    name: "what a holder had that vanishes is free, and those who list it are told, whichever way it goes",
    async run(target) {
      for (const vanish of VANISHING) {
        const [holder, waiter] = [await open(target, "Anna"), await open(target, "Bob")];
        assert.equal((await ask(holder, { opcode: "lock", space: SPACE, ids: [1] })).status, "done");
        const { result } = await ask(waiter, { opcode: "view", space: SPACE, ids: [1] });
        assert.ok((result as { held: object }).held);
        vanish(holder);
        await untilState(waiter, "free");
        waiter.say({ opcode: "quit" });
        await waiter.closed;
      }
    },
  },
  {
    threats: [64, 65],
    name: "what is not one's own is not given back, twice given back is once, and a fence that has passed is stale",
    async run(target) {
      const [anna, bob] = [await open(target, "Anna"), await open(target, "Bob")];
      const checker = await LineClient.open(target.t, target.tcpPort);
      const first = fenceOf(await ask(anna, { opcode: "lock", space: SPACE, ids: ["a"] }), "a");
      assert.equal(errorOf(await ask(bob, { opcode: "unlock", space: SPACE, ids: ["a"] })).code, "not-yours");
      for (let i = 0; i < 2; i++) assert.equal((await ask(anna, { opcode: "unlock", space: SPACE, ids: ["a"] })).status, "done");
      const second = fenceOf(await ask(bob, { opcode: "lock", space: SPACE, ids: ["a"] }), "a");
      assert.ok(second > first);
      for (const [fence, answer] of [
        [first, /^next refused stale /],
        [second, /^next done$/],
        [second + 1e9, /^next refused (stale|bad-fence) /],
      ] as const) {
        checker.write(`check ${SPACE} a ${fence}\n`);
        assert.match(await checker.lines.next(), answer);
      }
    },
  },
  {
    threats: [65],
    name: "a hub that was killed and started anew grants higher fences than before",
    async run({ t }) {
      let last = 0;
      for (let i = 0; i < 2; i++) {
        const hub = await HubProcess.start();
        t.after(() => hub.kill());
        const page = await RawPage.open(t, hub.ports.ws, {});
        const fence = fenceOf(await ask(page, { opcode: "lock", space: SPACE, ids: ["a"] }), "a");
        assert.ok(fence > last);
        last = fence;
        await hub.kill();
      }
    },
  },
  {
    threats: [67],
    name: "an operator takes a lock away: its holder is told, and the next fence is higher",
    async run(target) {
      const holder = await open(target, "Anna");
      const fence = fenceOf(await ask(holder, { opcode: "lock", space: SPACE, ids: ["a"] }), "a");
      assert.equal(errorOf(await ask(holder, { opcode: "break", space: SPACE, id: "a" })).code, "not-local");
      const operator = await LineClient.open(target.t, target.tcpPort);
      operator.write(`break ${SPACE} a\n`);
      assert.equal(await operator.lines.next(), "next done");
      await untilState(holder, "lost");
      assert.ok(fenceOf(await ask(holder, { opcode: "lock", space: SPACE, ids: ["a"] }), "a") > fence);
    },
  },
];

const BAD_IDS: readonly unknown[] = ["", null, {}, [], true, 1.5, -0.1, "x".repeat(257), "ä".repeat(129), "x".repeat(1_000_000)];

const ids: readonly Attack[] = [
  {
    threats: [68],
    name: "an id that is none refuses the whole message, and nothing has changed; names of the prototype are ordinary ids",
    async run(target) {
      await untilNoneHeld(target);
      const page = await open(target, "Anna");
      for (const id of BAD_IDS) {
        const next = await ask(page, { opcode: "lock", space: SPACE, ids: ["good", id] });
        assert.equal(errorOf(next).code, "bad-message");
      }
      const odd = ["__proto__", "constructor", "é", "e\u0301", "1", "good"];
      const { result } = await ask(page, { opcode: "lock", space: "__proto__", ids: odd });
      assert.deepEqual(Object.keys((result as { mine: object }).mine).sort(), [...odd].sort());
      assert.equal((await target.hub.status()).apps.locks?.held, odd.length);
    },
  },
  {
    threats: [66],
    name: "100,000 ids in one message are too many, and none of them is locked",
    async run(target) {
      await untilNoneHeld(target);
      const page = await open(target, "Anna");
      const lots = Array.from({ length: 100_000 }, (_, i) => i);
      for (const opcode of ["lock", "view", "unlock"])
        assert.equal(errorOf(await ask(page, { opcode, space: SPACE, ids: lots })).code, "too-many-locks");
      assert.equal((await target.hub.status()).apps.locks?.held, 0);
    },
  },
  {
    threats: [66],
    name: "two that lock the same 10,000 ids in opposite orders: one has all of them, the other none",
    async run(target) {
      await untilNoneHeld(target);
      const pages = [await open(target, "Anna"), await open(target, "Bob")];
      const forwards = Array.from({ length: MOST }, (_, i) => i);
      const orders = [forwards, forwards.toReversed()];
      for (let round = 0; round < 5; round++) {
        const answers = await Promise.all(pages.map((page, i) => ask(page, { opcode: "lock", space: SPACE, ids: orders[i] })));
        assert.deepEqual(answers.map(({ status }) => status).sort(), ["done", "refused"]);
        const winner = pages[answers.findIndex(({ status }) => status === "done")] as RawPage;
        assert.equal((await ask(winner, { opcode: "unlock", space: SPACE, ids: forwards })).status, "done");
        await untilNoneHeld(target);
      }
    },
  },
  {
    threats: [66, 67],
    name: "a page that claims and frees 10,000 ids which 3 others list, again and again, holds up nobody",
    async run(target) {
      const all = Array.from({ length: MOST }, (_, i) => i);
      const readers = await Promise.all(Array.from({ length: 3 }, (_, i) => open(target, `reader ${i}`)));
      const owner = await open(target, "owner");
      assert.equal((await ask(owner, { opcode: "view", space: SPACE, ids: all })).status, "done");
      for (const reader of readers) await ask(reader, { opcode: "view", space: SPACE, ids: all });
      for (let i = 0; i < 5; i++)
        for (const ids of [[], all]) {
          owner.say({ opcode: "view", space: SPACE, ids });
          assert.equal((await untilNext(owner)).status, "done");
        }
      for (const reader of readers) assert.equal((await ask(reader, { opcode: "echo" })).status, "done");
    },
  },
];

/** Pages of one who hoards: one more than there are ids for. */
const HOARDERS = 11;
/** Pages with all they may have, and then there are no more ids for anybody: `maxLocksInAll`, as this hub has it. */
const ROOM = 10;

const hoarding: readonly Attack[] = [
  {
    threats: [67],
    name: `${HOARDERS} pages that lock all they may, up to \`maxLocksInAll\`, take bounded memory`,
    mayCost: {
      mebibytes: 128,
      because: "100,000 ids of 400 bytes are 40 MB that are in use; what was read and answered is collected by V8 when it likes to.",
    },
    async run(target) {
      const statuses: unknown[] = [];
      await many(HOARDERS, 1, async (i) => {
        const page = await open(target, "hoarder");
        const ids = Array.from({ length: MOST }, (_, n) => n);
        statuses.push((await ask(page, { opcode: "lock", space: `${SPACE} ${i}`, ids })).status);
      });
      assert.equal(statuses.filter((status) => status === "done").length, ROOM);
      assert.equal((await target.hub.status()).apps.locks?.held, ROOM * MOST);
    },
  },
];

const limited: readonly Attack[] = [
  {
    threats: [67],
    name: "all pages together lock no more than `maxLocksInAll`; it is counted, and free again when they have gone",
    async run(target) {
      const ids = Array.from({ length: MOST }, (_, i) => i);
      const pages = await Promise.all(Array.from({ length: 4 }, () => open(target, "hoarder")));
      const statuses: unknown[] = [];
      for (const [i, page] of pages.entries()) statuses.push((await ask(page, { opcode: "lock", space: `${SPACE} ${i}`, ids })).status);
      assert.deepEqual(statuses, ["done", "done", "done", "refused"]);
      assert.equal((await target.hub.status()).apps.locks?.held, 3 * MOST);
      for (const page of pages) page.say({ opcode: "quit" });
      const { apps } = await until(
        () => target.hub.status(),
        (status) => status.apps.locks?.held === 0,
      );
      assert.equal(apps.locks?.listed_or_locked, 0);
    },
  },
];

export const LOCKS: readonly AttackGroup[] = [
  { name: "locks", hub: { args: ["--grace", "300", "--reload-grace", "300"] }, attacks: [...holders, ...ids] },
  { name: "locks: hoarders", hub: { args: ["--max-locks-in-all", String(ROOM * MOST), "--grace", "0"] }, attacks: hoarding },
  { name: "locks: a limit for all", hub: { args: ["--max-locks-in-all", String(3 * MOST), "--grace", "0"] }, attacks: limited },
];

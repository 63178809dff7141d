import assert from "node:assert/strict";
import type { Packet } from "../../protocol/index.js";
import { RawPage } from "../transports/support-raw-page.js";
import type { Attack, AttackGroup, Target } from "./attack.js";
import { backendOf, closesWith, errorOf, KiB, many } from "./steps.js";
import { until } from "./until.js";

/** A page that said hello, and what it was greeted with. */
interface Visit {
  readonly page: RawPage;
  readonly ready: Packet;
}

async function visit({ t, wsPort }: Target, hello: object = {}, headers: Record<string, string> = {}): Promise<Visit> {
  const page = await RawPage.connect(t, wsPort, { subprotocol: true, headers });
  page.say({ opcode: "hello", ...hello });
  return { page, ready: await page.packet() };
}

/** Resets its connection, and waits until the hub has seen that. */
async function drop({ hub }: Target, { page }: Visit): Promise<void> {
  const { away } = (await hub.status()).peers;
  page.socket.resetAndDestroy();
  await until(
    () => hub.status(),
    (status) => status.peers.away > away,
  );
}

const secrets: readonly Attack[] = [
  {
    threats: [73],
    name: "a secret is long, another for each page and each resume, is not the UUID, and stands in no line of the log",
    async run(target) {
      const seen = new Set<string>();
      let last = await visit(target);
      for (let i = 0; i < 5; i++) {
        const secret = String(last.ready.resume);
        assert.match(secret, /^[\w-]{8}\.[\w-]{32}$/, "192 random bits behind the hub's start");
        seen.add(secret);
        seen.add(String((await visit(target)).ready.resume));
        await drop(target, last);
        last = await visit(target, { resume: secret, seen: 0 });
        assert.deepEqual([last.ready.resumed, last.ready.uuid === secret], [true, false]);
        last.page.say({ opcode: "seen", n: 0 });
      }
      assert.equal(seen.size, 10);
      for (const { raw } of target.hub.log.lines) for (const secret of seen) assert.ok(!raw.includes(secret.slice(9)), raw);
    },
  },
  {
    threats: [73],
    name: "a stolen secret opens nothing for a page of another origin",
    async run(target) {
      const own = await visit(target, {}, { Origin: `http://127.0.0.1:${target.wsPort}` });
      await drop(target, own);
      const thief = await visit(target, { resume: own.ready.resume, seen: 0 }, { Origin: "https://other.example" });
      assert.equal(thief.ready.resumed, false);
    },
  },
  {
    threats: [74],
    name: "a secret that was used is answered by a new page, logged, and leaves the rightful page alone",
    logs: ["resume_replay"],
    async run(target) {
      const first = await visit(target);
      await drop(target, first);
      const second = await visit(target, { resume: first.ready.resume, seen: 0 });
      assert.equal(second.ready.resumed, true);
      assert.equal((await second.page.ask({ opcode: "echo" })).opcode, "echo");
      for (let i = 0; i < 30; i++) {
        const { ready } = await visit(target, { resume: first.ready.resume, seen: 0 });
        assert.deepEqual([ready.resumed, ready.reason], [false, "taken"]);
        assert.notEqual(ready.uuid, first.ready.uuid);
      }
      assert.equal((await second.page.packet()).status, "done");
      assert.equal((await second.page.ask({ opcode: "echo" })).opcode, "echo");
    },
  },
  {
    threats: [74],
    name: "the line of a replay says from where it came",
    logs: ["resume_replay"],
    async run(target) {
      const first = await visit(target);
      await drop(target, first);
      const { page } = await visit(target, { resume: first.ready.resume, seen: 0 });
      await page.ask({ opcode: "echo" });
      await visit(target, { resume: first.ready.resume, seen: 0 });
      assert.equal((await target.hub.log.first("resume_replay", target.from)).ip, "127.0.0.1");
    },
  },
  {
    threats: [73, 76],
    name: "200 guesses of secrets and counts that do not fit open nothing",
    async run(target) {
      const own = await visit(target);
      const start = String(own.ready.resume).slice(0, 9);
      await many(200, 20, async (i) => {
        const { page, ready } = await visit(target, { resume: `${start}${"A".repeat(28)}${String(i).padStart(4, "0")}`, seen: 0 });
        assert.equal(ready.resumed, false);
        page.socket.destroy();
      });
      for (const seen of [1e9, -1, 0.5, "0", null, 2 ** 53, undefined]) {
        const victim = await visit(target);
        await drop(target, victim);
        const { ready } = await visit(target, { resume: victim.ready.resume, seen });
        assert.deepEqual([ready.resumed, ready.reason], [false, "gap"], String(seen));
      }
      assert.equal((await own.page.ask({ opcode: "echo" })).opcode, "echo");
    },
  },
];

const twice: readonly Attack[] = [
  {
    threats: [75],
    name: "one secret on two sockets at once: one has the page and gets each message once, the other is closed with 4001",
    async run(target) {
      const sender = await backendOf(target);
      for (let round = 0; round < 10; round++) {
        const first = await visit(target);
        await drop(target, first);
        const uuid = String(first.ready.uuid);
        for (let n = 0; n < 5; n++) assert.equal((await sender.ask({ opcode: "feedback", uuid, n })).status, "held");
        const pages = await Promise.all([0, 1].map(() => RawPage.connect(target.t, target.wsPort, { subprotocol: true })));
        for (const page of pages) page.say({ opcode: "hello", resume: first.ready.resume, seen: 0 });
        const closed = await Promise.race(pages.map((page, i) => page.closed.then(({ code }) => ({ i, code }))));
        assert.equal(closed.code, 4001);
        const rightful = pages[1 - closed.i] as RawPage;
        const ready = await rightful.packet();
        assert.deepEqual([ready.resumed, ready.uuid], [true, uuid]);
        for (let n = 5; n < 10; n++) assert.equal((await sender.ask({ opcode: "feedback", uuid, n })).status, "sent");
        for (let n = 0; n < 10; n++) assert.equal((await rightful.packet()).n, n);
        rightful.say({ opcode: "quit" });
        await rightful.closed;
        assert.deepEqual(rightful.packets.drain(), []);
      }
    },
  },
];

/** Pages that may wait to come back. */
const MAX_HELD = 100;

const crowd: readonly Attack[] = [
  {
    threats: [77],
    name: "1,000 pages that are dropped: no more than `maxHeld` are kept, and those dropped longest go first",
    async run(target) {
      const visits: Visit[] = [];
      await many(1_000, 10, async () => {
        const each = await visit(target);
        each.page.socket.resetAndDestroy();
        visits.push(each);
      });
      const { peers } = await until(
        () => target.hub.status(),
        (status) => status.peers.pages === MAX_HELD + 1,
      );
      assert.deepEqual([peers.pages, peers.away], [MAX_HELD + 1, MAX_HELD]);
      const [oldest, newest] = [visits[0] as Visit, visits.at(-1) as Visit];
      const { ready } = await visit(target, { resume: oldest.ready.resume, seen: 0 });
      assert.deepEqual([ready.resumed, ready.reason], [false, "expired"]);
      assert.equal((await visit(target, { resume: newest.ready.resume, seen: 0 })).ready.resumed, true);
    },
  },
];

const heavy: readonly Attack[] = [
  {
    threats: [77, 33],
    name: "what waits for pages that are away is bounded in bytes for all of them together",
    async run(target) {
      const sender = await backendOf(target);
      const answers = new Set<string>();
      for (let i = 0; i < 30; i++) {
        const each = await visit(target);
        await drop(target, each);
        for (let n = 0; n < 10; n++) {
          const next = await sender.ask({ opcode: "feedback", uuid: each.ready.uuid, message: "x".repeat(100 * KiB) });
          answers.add(next.status === "refused" ? errorOf(next).code : String(next.status));
        }
      }
      assert.deepEqual([...answers].sort(), ["held", "over-budget"]);
      const { bytes, limit } = (await target.hub.status()).buffered;
      assert.ok(bytes < 1.25 * limit, `${bytes}`);
    },
  },
];

const replaced: readonly Attack[] = [
  {
    threats: [75],
    name: "who takes a page over while it is connected ends the older connection with 4001",
    async run(target) {
      const first = await visit(target);
      const second = await visit(target, { resume: first.ready.resume, seen: 0 });
      await closesWith(first.page, 4001);
      assert.equal((await second.page.ask({ opcode: "echo" })).opcode, "echo");
    },
  },
];

export const RESUME: readonly AttackGroup[] = [
  { name: "resume", hub: { args: ["--origins", "https://other.example"] }, attacks: [...secrets, ...twice, ...replaced] },
  { name: "resume: a crowd", hub: { args: ["--max-held", String(MAX_HELD)] }, attacks: crowd },
  { name: "resume: much that waits", hub: { args: ["--max-buffered", "8388608"] }, attacks: heavy },
];

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { Packet } from "../../protocol/index.js";
import { LineClient } from "../support/line-client.js";
import { OriginalClient } from "../transports/support-original-client.js";
import { RawPage } from "../transports/support-raw-page.js";
import type { Attack, AttackGroup } from "./attack.js";
import { backendOf, closesWith, errorOf, KiB, untilNext } from "./steps.js";

const addressing: readonly Attack[] = [
  {
    threats: [45],
    name: "a page may report to a page whose UUID it knows, and to nobody as somebody else",
    async run(target) {
      const [anna, bob] = [await RawPage.open(target.t, target.wsPort, {}), await RawPage.open(target.t, target.wsPort, {})];
      anna.say({ opcode: "feedback", uuid: bob.uuid, fromUUID: target.bystander, message: target.secret });
      assert.deepEqual(await bob.packet(), { opcode: "feedback", fromUUID: anna.uuid, message: target.secret });
      assert.equal((await anna.packet()).status, "sent");
    },
  },
  {
    threats: [46],
    name: "who guesses UUIDs is answered `gone`, always alike, is logged once and slowed down",
    logs: ["peer.guesses"],
    async run({ t, wsPort, hub, from }) {
      const page = await RawPage.open(t, wsPort, { window: 256 });
      const count = 2_000;
      for (let ref = 0; ref < count; ref++) page.say({ opcode: "feedback", uuid: randomUUID(), ref });
      for (let ref = 0; ref < 100; ref++) assert.deepEqual(await page.packet(), { opcode: "next", fyi: "", ref, status: "gone" });
      await hub.log.first("peer.guesses", from);
      const before = (await hub.status()).answered;
      await assert.rejects(
        (async () => {
          for (let ref = 100; ref < count; ref++) await page.packets.next(200);
        })(),
        /Nothing came/,
        "it waits for its answers",
      );
      assert.ok((await hub.status()).answered - before < count / 2 + 1_000);
      assert.equal(page.socket.destroyed, false);
    },
  },
  {
    threats: [48],
    name: "feedback to who takes no pushes is refused, to a page that is away held, to one that has left gone",
    async run(target) {
      const { t, wsPort, tcpPort } = target;
      const page = await RawPage.open(t, wsPort, {});
      const words = await LineClient.open(t, tcpPort);
      words.write(`feedback ${page.uuid} hello\n`);
      assert.equal(await words.lines.next(), "next sent 1");
      const original = await OriginalClient.open(t, tcpPort);
      const { uuid } = await original.packet();
      for (const deaf of [(await page.packet()).fromUUID, uuid])
        assert.equal(errorOf(await page.ask({ opcode: "feedback", uuid: deaf })).code, "not-a-page");
      const away = await RawPage.open(t, wsPort, {});
      away.socket.resetAndDestroy();
      await target.hub.log.first("peer.away", target.from);
      assert.deepEqual([(await page.ask({ opcode: "feedback", uuid: away.uuid })).status], ["held"]);
      const left = await RawPage.open(t, wsPort, {});
      left.say({ opcode: "quit" });
      await left.closed;
      assert.equal((await page.ask({ opcode: "feedback", uuid: left.uuid })).status, "gone");
    },
  },
];

const BIG = "x".repeat(60 * KiB);

const floods: readonly Attack[] = [
  {
    threats: [47],
    name: "128 MiB for a page that does not read: it is closed with 1008 at `maxQueued`, and its sender hears of it",
    logs: ["peer.closed"],
    async run(target) {
      const slow = await RawPage.open(target.t, target.wsPort, undefined);
      slow.socket.pause();
      const sender = await backendOf(target);
      const report = { opcode: "feedback", uuid: slow.uuid, message: BIG + target.secret };
      let sent = 0;
      let last = await sender.ask(report);
      for (; last.status === "sent" && sent < 2_200; last = await sender.ask(report)) sent++;
      assert.equal(last.status, "gone", `after ${sent}`);
      slow.socket.resume();
      await closesWith(slow, 1008);
    },
  },
  {
    threats: [47, 48],
    name: "128 MiB for pages that are away are held up to `maxQueued` each, and the sender is told which",
    async run(target) {
      const { t, wsPort, hub } = target;
      const pages = await Promise.all(Array.from({ length: 4 }, () => RawPage.open(t, wsPort, {})));
      for (const page of pages) page.socket.resetAndDestroy();
      const sender = await backendOf(target);
      for (const { uuid } of pages) {
        const statuses = new Set<unknown>();
        for (let i = 0; i < 500; i++) statuses.add((await sender.ask({ opcode: "feedback", uuid, message: BIG })).status);
        assert.ok(statuses.has("held") && statuses.has("gone"), [...statuses].join());
      }
      assert.ok((await hub.status()).buffered.bytes < 5 * 2 ** 21);
    },
  },
  {
    threats: [49],
    name: "a storm of broadcasts: those that do not read are cut, one that reads gets each of them",
    async run(target) {
      const { t, wsPort } = target;
      const open = (): Promise<RawPage> => RawPage.open(t, wsPort, undefined, { path: "/php" });
      const reader = await open();
      const deaf = await Promise.all(Array.from({ length: 10 }, open));
      for (const page of deaf) page.socket.pause();
      const sender = await backendOf(target, { window: 4 });
      const count = 1_000;
      let heard = 0;
      const reading = (async () => {
        for (; heard < count; heard++) assert.equal((await reader.packet()).n, heard);
      })();
      const say = (n: number): void => sender.say({ opcode: "broadcast", resource: "/php", n, message: BIG.slice(0, 20 * KiB) });
      for (let n = 0; n < count + 4; n++) {
        if (n < count) say(n);
        if (n >= 4) assert.equal((await sender.packet()).status, "sent");
      }
      await reading;
      for (const page of deaf) {
        page.socket.resume();
        await closesWith(page, 1008);
      }
      assert.equal(reader.socket.destroyed, false);
    },
  },
];

const jobs: readonly Attack[] = [
  {
    threats: [52],
    name: "nobody but its page cancels a job, a job that has ended takes no more progress, and to cancel it again changes nothing",
    async run(target) {
      const { t, wsPort } = target;
      const [owner, other] = [await RawPage.open(t, wsPort, {}), await RawPage.open(t, wsPort, {})];
      const backend = await backendOf(target);
      const job = { uuid: owner.uuid, job: "import", run: "one" };
      assert.equal((await backend.ask({ opcode: "progress", ...job, at: 1, of: 9 })).status, "sent");
      const { error } = await other.ask({ opcode: "cancel", ...job });
      assert.equal((error as { code: string }).code, "not-yours");
      const stranger = await backend.ask({ opcode: "cancel", ...job });
      assert.equal((stranger.error as { code: string }).code, "not-yours");
      assert.equal(errorOf(await other.ask({ opcode: "progress", ...job, at: 9 })).code, "not-a-backend");
      assert.equal((await backend.ask({ opcode: "end", ...job, state: "done" })).status, "sent");
      assert.equal(errorOf(await backend.ask({ opcode: "progress", ...job, at: 2 })).code, "job-ended");
      let packet: Packet = await owner.packet();
      while (packet.opcode !== "end") packet = await owner.packet();
      for (let i = 0; i < 2; i++) assert.equal((await owner.ask({ opcode: "cancel", job: "import" })).state, "done");
    },
  },
];

const html: readonly Attack[] = [
  {
    threats: [50],
    name: "the demo's pages carry a strict policy and no script or handler of their own",
    async run({ hub, wsPort, t }) {
      for (const path of ["/", "/records", "/board"]) {
        const { headers, body } = await hub.fetch(wsPort, path);
        assert.match(String(headers["content-security-policy"]), /^default-src 'self';/);
        assert.doesNotMatch(body, /<script(?![^>]*\bsrc=)[^>]*>|\son\w+\s*=|javascript:/i);
      }
      const page = await RawPage.open(t, wsPort, {});
      const message = "<img src=x onerror=alert(1)>";
      page.say({ opcode: "feedback", uuid: page.uuid, message });
      assert.equal((await page.packet()).message, message, "text is text: it is the page that must show it so");
      await untilNext(page);
    },
  },
];

const guesses: readonly Attack[] = [
  {
    threats: [46],
    name: "who guesses UUIDs over one connection after the other is slowed down too",
    logs: ["peer.guesses"],
    async run({ t, wsPort }) {
      const guess = async (page: RawPage): Promise<void> => {
        for (let ref = 0; ref < 99; ref++) page.say({ opcode: "feedback", uuid: randomUUID(), ref });
        for (let ref = 0; ref < 99; ref++) assert.equal((await page.packets.next(300)).status, "gone");
        page.say({ opcode: "quit" });
      };
      await guess(await RawPage.open(t, wsPort, { window: 256 }));
      for (let i = 0; i < 3; i++) await assert.rejects(guess(await RawPage.open(t, wsPort, { window: 256 })), /Nothing came within 300 ms/);
    },
  },
];

export const FEEDBACK: readonly AttackGroup[] = [
  { name: "feedback", hub: {}, attacks: [...addressing, ...floods, ...jobs] },
  { name: "feedback: who guesses addresses", hub: {}, attacks: guesses },
  { name: "feedback: the demo", hub: { args: ["--demo"] }, attacks: html },
];

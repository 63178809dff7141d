import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { clientFrame } from "../transports/support-frames.js";
import { handshake, RawPage } from "../transports/support-raw-page.js";
import { openSocket, untilClosed } from "../transports/support-sockets.js";
import type { Attack, AttackGroup, Target } from "./attack.js";
import { HubProcess } from "./hub-process.js";
import { KiB, many, statusOf } from "./steps.js";
import { until } from "./until.js";
import { openFiles } from "./vital-signs.js";

const KEY = "s3cr3t-key-of-backends";

const logs: readonly Attack[] = [
  {
    threats: [85],
    name: "control characters in names, paths, origins and opcodes are escaped in the log",
    logs: ["peer.opened", "peer.refused", "handshake.refused"],
    async run(target) {
      const { t, wsPort, hub, from } = target;
      const evil = '\u001b[31m\r\n{"level":"error","event":"hub.crashed"}\u0085\u009b2J\u2028\u202e';
      await RawPage.open(t, wsPort, { ident: evil, tags: { [evil]: evil } });
      assert.equal(await statusOf(target, { headers: { Origin: "http://evil\x9b31m\x85.example" } }), 403);
      assert.equal((await (await RawPage.connect(t, wsPort, { path: "/%c2%9b31m%e2%80%a8" })).packet()).code, 4404);
      const hello = await RawPage.connect(t, wsPort, { subprotocol: true });
      hello.say({ opcode: evil });
      assert.equal((await hello.packet()).code, 1002);
      const { fields } = hub.log.of("peer.opened", from)[0] ?? {};
      assert.match(String(fields?.ident), /hub\.crashed/, "it is there, as a text");
    },
  },
  {
    threats: [87],
    name: "the backends' key stands in no command line, no log, no page and no answer of the hub",
    async run({ hub, wsPort }) {
      const texts = [readFileSync(`/proc/${hub.pid}/cmdline`, "utf8"), ...hub.log.lines.map(({ raw }) => raw)];
      for (const path of ["/status", "/metrics", "/"]) texts.push((await hub.fetch(hub.ports.admin, path)).body);
      for (const path of ["/", "/signalbox.js"]) texts.push((await hub.fetch(wsPort, path)).body);
      for (const text of texts) assert.ok(!text.includes(KEY));
    },
  },
  {
    threats: [87],
    name: "a first packet that is no hello leaves nothing of it in the log",
    async run({ t, wsPort, secret }) {
      for (const packet of [{ opcode: secret }, { opcode: "hello", window: secret }, { opcode: "hello", tags: secret }]) {
        const page = await RawPage.connect(t, wsPort, { subprotocol: true });
        page.say(packet);
        assert.equal((await page.packet()).code, 1002);
      }
    },
  },
];

const COMPUTING_APP = `export default {
  name: "computing",
  opcodes: { compute({ ms }) { const end = performance.now() + ms; while (performance.now() < end); } },
};`;

const stalls: readonly Attack[] = [
  {
    threats: [82],
    name: "an app that computes shows in the lag of the event loop",
    async run({ t, wsPort, hub }) {
      const page = await RawPage.open(t, wsPort, {}, { path: "/computing" });
      assert.equal((await page.ask({ opcode: "compute", ms: 400 })).status, "done");
      const { body } = await hub.fetch(hub.ports.admin, "/metrics");
      assert.ok(Number(/^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(body)?.[1]) > 0.3, "the largest lag is there");
    },
  },
  {
    threats: [82],
    name: "an app that computes for 400 ms is warned of in the log",
    logs: ["hub.stalled"],
    async run({ t, wsPort }) {
      const page = await RawPage.open(t, wsPort, {}, { path: "/computing" });
      assert.equal((await page.ask({ opcode: "compute", ms: 400 })).status, "done");
    },
  },
];

const signals: readonly Attack[] = [
  {
    threats: [88],
    name: "SIGHUP is no reason to stop",
    async run({ hub, wsPort, t }) {
      for (let i = 0; i < 3; i++) hub.child.kill("SIGHUP");
      assert.equal((await (await RawPage.open(t, wsPort, {})).ask({ opcode: "echo" })).opcode, "echo");
    },
  },
  {
    threats: [88],
    name: "a second SIGTERM ends it at once, though a page and its handler do not",
    async run({ t }) {
      const app = 'export default { name: "never", opcodes: { never: () => new Promise(() => {}) } };';
      const files = { "signalbox.config.json": JSON.stringify({ resources: { "/": "./never.mjs" } }), "never.mjs": app };
      const hub = await HubProcess.start({ files, args: ["--stop-timeout", "60000"] });
      t.after(() => hub.kill());
      const page = await RawPage.open(t, hub.ports.ws, {});
      page.say({ opcode: "never" });
      const idle = await RawPage.open(t, hub.ports.ws, {});
      await until(
        () => hub.status(),
        (status) => status.peers.pages === 2,
      );
      hub.child.kill("SIGTERM");
      assert.equal((await idle.closed).code, 1012, "it stops");
      hub.child.kill("SIGTERM");
      assert.equal(await hub.ended, 1);
    },
  },
  {
    threats: [88, 84],
    name: "a standard output that is closed, and a log that is closed later, are no reason to stop",
    async run({ t }) {
      const hub = await HubProcess.start({ stdout: "closed" });
      t.after(() => hub.kill());
      assert.equal((await (await RawPage.open(t, hub.ports.ws, {})).ask({ opcode: "echo" })).opcode, "echo");
      hub.child.stderr?.destroy();
      for (let i = 0; i < 5; i++) {
        const page = await RawPage.open(t, hub.ports.ws, {});
        page.say({ opcode: "quit" });
        assert.equal((await page.closed).code, 1000);
      }
      assert.equal(hub.endedWith, undefined);
      assert.equal(await hub.stop(), 0);
    },
  },
];

/** File descriptors of a hub that has few. */
const MAX_FILES = 96;

/** More connections than the hub has files, kept open. */
async function exhaust({ t, wsPort }: Target): Promise<{ sockets: Socket[]; upgraded: number }> {
  const sockets = await Promise.all(Array.from({ length: 2 * MAX_FILES }, () => openSocket(t, wsPort)));
  let upgraded = 0;
  await Promise.all(
    sockets.map((socket) => {
      const answered = new Promise<void>((resolve) => {
        socket.once("close", resolve).once("data", (bytes) => {
          if (/ 101 /.test(bytes.toString())) upgraded++;
          resolve();
        });
      });
      socket.write(handshake(wsPort));
      return answered;
    }),
  );
  return { sockets, upgraded };
}

const files: readonly Attack[] = [
  {
    threats: [83],
    name: "more connections than files: those that are there are served, and others come in when some have left",
    async run(target) {
      const { t, wsPort, hub } = target;
      const { sockets, upgraded } = await exhaust(target);
      assert.ok(upgraded > 0 && upgraded < MAX_FILES, `${upgraded} came in`);
      assert.ok(hub.log.of("listener.error", target.from).length <= 20);
      for (const socket of sockets) socket.destroy();
      await until(
        () => openFiles(hub.pid),
        (open) => open < MAX_FILES / 2,
      );
      assert.equal((await (await RawPage.open(t, wsPort, {})).ask({ opcode: "echo" })).opcode, "echo");
    },
  },
  {
    threats: [83],
    name: "who is too many for the hub's files is told so with 503, and operators can still look",
    async run(target) {
      const { limit } = (await target.hub.status()).peers;
      assert.ok(limit < MAX_FILES);
      await exhaust(target);
      assert.equal((await target.hub.status()).state, "ready");
    },
  },
];

/** A page from one of many addresses of this host, so that each has lines of its own in the log. */
function refusedFrom({ t, wsPort }: Target, i: number): Promise<unknown> {
  const socket = connect({ host: "127.0.0.1", port: wsPort, localAddress: `127.1.${i >> 8}.${i & 255}` });
  t.after(() => socket.destroy());
  const closed = untilClosed(socket);
  const close = clientFrame(Buffer.from([0x03, 0xe8]), { opcode: 8 });
  socket.on("error", () => {});
  socket.end(Buffer.concat([Buffer.from(handshake(wsPort, { path: `/${"x".repeat(1_000)}` })), close]));
  return closed;
}

const LINES = 2_000;

const pipes: readonly Attack[] = [
  {
    threats: [84],
    name: "a log that nobody reads holds up nobody",
    async run(target) {
      await many(LINES, 20, (i) => refusedFrom(target, i % 1_000).then(() => undefined));
      const page = await RawPage.open(target.t, target.wsPort, {});
      assert.equal((await page.ask({ opcode: "echo" })).opcode, "echo");
      const before = target.hub.log.lines.length;
      target.hub.child.stderr?.resume();
      await target.hub.log.first("peer.refused", before);
    },
  },
  {
    threats: [84],
    name: "of a log that nobody reads a bounded part waits, and what was left out is counted",
    async run(target) {
      const { hub } = target;
      hub.child.stderr?.pause();
      await many(LINES, 20, (i) => refusedFrom(target, i % 1_000).then(() => undefined));
      hub.child.stderr?.resume();
      await hub.log.first("log.dropped", target.from);
      assert.ok(hub.log.lines.length - target.from < LINES / 2 + (64 * KiB) / 100);
    },
  },
];

export const PROCESS: readonly AttackGroup[] = [
  { name: "process: its log", hub: { env: { SIGNALBOX_BACKEND_KEY: KEY } }, attacks: logs },
  {
    name: "process: apps that compute",
    hub: { files: { "signalbox.config.json": JSON.stringify({ resources: { "/computing": "./app.mjs" } }), "app.mjs": COMPUTING_APP } },
    attacks: stalls,
  },
  { name: "process: signals", hub: {}, attacks: signals },
  { name: "process: few files", hub: { maxFiles: MAX_FILES }, attacks: files },
  { name: "process: a log that nobody reads", hub: { stderr: "unread" }, attacks: pipes },
];

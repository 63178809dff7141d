import assert from "node:assert/strict";
import { clientFrame } from "../transports/support-frames.js";
import { type HandshakeOptions, handshake, KEY, RawPage, refusedBy } from "../transports/support-raw-page.js";
import { flood, openSocket, untilClosed } from "../transports/support-sockets.js";
import type { Attack, AttackGroup, Target } from "./attack.js";
import { closesWith, KiB, many, refusal, resets, somethingFrom, statusOf } from "./steps.js";
import { until } from "./until.js";

const FOREIGN_ORIGINS = [
  "http://evil.example",
  "null",
  "http://127.0.0.1.evil.example:PORT",
  "http://evil127.0.0.1:PORT",
  "http://127.0.0.1:1",
  "https://127.0.0.1:PORT",
  "HTTP://127.0.0.1:PORT.",
  "http://127.0.0.1:PORT/path",
  "http://evil\x9b31m.example",
];

const MALFORMED: readonly { options: HandshakeOptions; status: number }[] = [
  { options: { headers: { "Sec-WebSocket-Key": undefined } }, status: 400 },
  { options: { headers: { "Sec-WebSocket-Key": KEY.slice(4) } }, status: 400 },
  { options: { method: "POST" }, status: 405 },
  { options: { version: "HTTP/1.0" }, status: 400 },
  { options: { headers: { Upgrade: "h2c" } }, status: 404 },
  { options: { headers: { "Content-Length": "4", "Transfer-Encoding": "chunked" } }, status: 400 },
];

const origins: readonly Attack[] = [
  {
    threats: [1, 2],
    name: "a page of a foreign origin, or of one that looks like the hub's, is refused before the upgrade, and its origin is logged escaped",
    logs: ["handshake.refused"],
    async run(target) {
      for (const origin of FOREIGN_ORIGINS) {
        const Origin = origin.replace("PORT", String(target.wsPort));
        assert.equal(await statusOf(target, { headers: { Origin, Cookie: `session=${target.secret}` } }), 403, origin);
      }
      const own = `http://127.0.0.1:${target.wsPort}`;
      assert.equal(await statusOf(target, { headers: { Origin: own } }), 101, "its own is let in");
      const logged = target.hub.log.of("handshake.refused", target.from).map(({ fields }) => fields?.origin);
      assert.ok(logged.includes("http://evil.example"));
    },
  },
  {
    threats: [19],
    name: "a foreign name that resolves to this host is refused, on the public port and on the operators'",
    async run(target) {
      const { hub, wsPort } = target;
      const Host = `attacker.example:${wsPort}`;
      assert.equal(await statusOf(target, { headers: { Host, Origin: `http://${Host}` } }), 403);
      assert.equal((await hub.fetch(wsPort, "/signalbox.js", { host: Host })).status, 403);
      assert.equal((await hub.fetch(hub.ports.admin, "/status", { host: "attacker.example" })).status, 403);
    },
  },
];

const requests: readonly Attack[] = [
  {
    threats: [3],
    name: "another version, or none, is answered 426 with the right one",
    async run(target) {
      for (const version of ["7", "8", "99", undefined]) {
        const { status, headers } = await refusal(target, { headers: { "Sec-WebSocket-Version": version } });
        assert.deepEqual([status, headers.get("sec-websocket-version")], [426, "13"]);
      }
    },
  },
  {
    threats: [4, 13],
    name: "malformed requests, two lengths in one, garbage and a TLS hello are answered 4xx and closed",
    logs: ["handshake.refused"],
    async run(target) {
      const { t, wsPort, secret } = target;
      for (const { options, status } of MALFORMED) assert.equal((await refusal(target, options)).status, status, JSON.stringify(options));
      const garbage = [Buffer.from("16030100c5010000c10303", "hex"), Buffer.alloc(2 * KiB, 0xff), `${secret}\r\n\r\n`];
      for (const request of garbage) assert.equal((await refusedBy(t, wsPort, request)).status, 400);
      const tunnel = await openSocket(t, wsPort);
      const closed = untilClosed(tunnel);
      tunnel.write("CONNECT evil.example:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
      assert.doesNotMatch((await closed).toString(), / (1|2)\d\d /);
    },
  },
  {
    threats: [13],
    name: "a handshake smuggled behind a body with two lengths opens nothing",
    async run({ t, wsPort }) {
      const smuggled = `POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${handshake(wsPort)}`;
      const socket = await openSocket(t, wsPort);
      const closed = untilClosed(socket);
      socket.write(smuggled);
      const text = (await closed).toString();
      assert.match(text, /^HTTP\/1\.1 400 /);
      assert.doesNotMatch(text, / 101 /);
    },
  },
  {
    threats: [5],
    name: "headers and URLs above 16 KiB are answered 431, and a flood of them is not read to its end",
    async run({ t, wsPort, secret }) {
      const start = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n";
      const long = [
        `${start}X: ${secret}${"x".repeat(20 * KiB)}\r\n\r\n`,
        `${start}${"X-Many: 1\r\n".repeat(3_000)}\r\n`,
        `GET /${"x".repeat(20 * KiB)}`,
      ];
      for (const request of long) assert.equal((await refusedBy(t, wsPort, request)).status, 431);
      for (const begin of [`${start}X: `, "GET /"]) {
        const socket = await openSocket(t, wsPort);
        const closed = untilClosed(socket);
        socket.write(begin);
        await flood(socket, Buffer.alloc(64 * KiB, "x"), 32 * 1024 * KiB);
        // Who is still writing may be told so by a reset.
        assert.match((await closed).toString(), /^(HTTP\/1\.1 431 |$)/);
      }
    },
  },
  {
    threats: [6],
    name: "subprotocols made for backtracking, 1,500 of them, and extensions that are names of the prototype are ignored or refused",
    async run(target) {
      const protocols = [`a${" ".repeat(15 * KiB)}b`, `${" ,".repeat(7 * KiB)}x`, "\t".repeat(15 * KiB), "a b", "a,a"];
      for (const each of protocols)
        assert.ok([101, 400].includes(await statusOf(target, { headers: { "Sec-WebSocket-Protocol": each } })), each.slice(0, 10));
      const lots = Array.from({ length: 1_500 }, (_, i) => `p${i}`).join(",");
      assert.equal(await statusOf(target, { headers: { "Sec-WebSocket-Protocol": lots } }), 101);
      for (const extension of [
        "constructor",
        "__proto__",
        'permessage-deflate; x="',
        ";;;,,,",
        `permessage-deflate${";".repeat(8 * KiB)}`,
      ]) {
        const page = await RawPage.connect(target.t, target.wsPort, { headers: { "Sec-WebSocket-Extensions": extension } });
        assert.deepEqual([page.head.status, page.head.headers.get("sec-websocket-extensions")], [101, undefined]);
      }
    },
  },
  {
    threats: [10],
    name: "paths that only look like something are unknown, malformed ones are refused before the upgrade",
    async run({ t, wsPort, ...target }) {
      for (const path of [
        "/nope",
        "/../..",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//host/x",
        "/__proto__",
        "/constructor",
        "/web/..",
        "/%c2%9b31m",
      ]) {
        const packet = await closesWith(await RawPage.connect(t, wsPort, { path }), 4404);
        assert.match(String(packet.error), /^No resource /);
      }
      for (const path of ["/%00", "/%zz", "/%", "*", "http://127.0.0.1/web", "/%ff", "/a%0d%0ab", "/%1b[31m"])
        assert.equal(await statusOf({ t, wsPort, ...target }, { path }), 400, path);
    },
  },
  {
    threats: [11],
    name: "paths made for regex backtracking cost nothing",
    async run(target) {
      for (const path of [`/${"a".repeat(7_000)}!`, `/${"*".repeat(7_000)}`, `/${"(a+)+".repeat(1_400)}`, `/${"../".repeat(2_300)}`])
        assert.equal(await statusOf(target, { path }), 400);
    },
  },
  {
    threats: [12, 28],
    name: "what comes in the same packet as the request is served after `ready`, in order",
    async run({ t, wsPort }) {
      const texts = ['{"opcode":"hello","window":9}', ...[1, 2, 3].map((ref) => JSON.stringify({ opcode: "echo", ref, n: ref }))];
      const page = await RawPage.connect(t, wsPort, { subprotocol: true, behind: Buffer.concat(texts.map((text) => clientFrame(text))) });
      assert.equal((await page.packet()).opcode, "ready");
      for (const n of [1, 2, 3]) {
        assert.deepEqual(await page.packet(), { opcode: "echo", n });
        assert.equal((await page.packet()).ref, n);
      }
    },
  },
  {
    threats: [14],
    name: "a UUID in the query gives nobody another's page",
    async run(target) {
      const { t, wsPort, bystander } = target;
      for (const path of [
        `/?uuid=${bystander}`,
        `/?resume=${bystander}`,
        `/?token=${bystander}`,
        `/web?uuid=${bystander}&resume=${bystander}`,
      ]) {
        const { uuid } = await (await RawPage.connect(t, wsPort, { path })).packet();
        assert.notEqual(uuid, bystander);
      }
      const page = await RawPage.open(t, wsPort, { uuid: bystander, resume: bystander, seen: 0 });
      assert.notEqual(page.uuid, bystander);
    },
  },
  {
    threats: [15],
    name: "what stands in queries, cookies and tokens stands in no line of the log and in no error",
    logs: ["peer.opened", "peer.refused", "handshake.refused"],
    async run(target) {
      const { t, wsPort, secret } = target;
      const headers = { Cookie: `session=${secret}`, Authorization: `Bearer ${secret}` };
      assert.equal(await statusOf(target, { path: `/?token=${secret}`, headers }), 101);
      for (const options of [{ path: `/%zz?token=${secret}` }, { path: `/?token=${secret}`, headers: { Origin: "http://evil.example" } }]) {
        const { status, body } = await refusal(target, { ...options, headers: { ...headers, ...options.headers } });
        assert.ok([400, 403].includes(status));
        assert.ok(!body.includes(secret));
      }
      const nowhere = await closesWith(await RawPage.connect(t, wsPort, { path: `/nope?token=${secret}`, headers }), 4404);
      assert.ok(!JSON.stringify(nowhere).includes(secret));
      const hello = await RawPage.open(t, wsPort, { token: secret, resume: secret, seen: 0 });
      assert.match(hello.uuid, /^[0-9a-f-]{36}$/);
    },
  },
  {
    threats: [17],
    name: "forwarded addresses are not believed of anybody who is not a listed proxy",
    logs: ["peer.opened"],
    async run(target) {
      for (const name of ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
        assert.equal(await statusOf(target, { headers: { [name]: "203.0.113.7" } }), 101);
      for (const { fields } of target.hub.log.of("peer.opened", target.from)) assert.equal(fields?.ip, "127.0.0.1");
    },
  },
  {
    threats: [18],
    name: "nothing for operators, and no file, stands on the public port",
    async run({ hub, wsPort, t }) {
      const paths = [
        "/metrics",
        "/console",
        "/status",
        "/health/live",
        "/.env",
        "/../package.json",
        "/%2e%2e/package.json",
        "/signalbox.js/../..",
        "/__proto__",
      ];
      for (const path of paths) {
        const { status, body } = await hub.fetch(wsPort, path);
        assert.equal(status, 404, path);
        assert.doesNotMatch(body, /[0-9a-f]{8}-[0-9a-f]{4}|node:|\.ts|\/bin\//);
      }
      const socket = await openSocket(t, wsPort);
      const closed = untilClosed(socket);
      socket.write("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 50331648\r\n\r\n");
      await flood(socket, Buffer.alloc(64 * KiB), 48 * 1024 * KiB);
      socket.end();
      assert.match((await closed).toString(), /^(HTTP\/1\.1 405 |$)/);
    },
  },
  {
    threats: [18],
    name: "thousands of requests on one connection: the first is answered, then it is closed, and takes nobody's place",
    async run({ t, wsPort }) {
      const requests = Buffer.from("GET /signalbox.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".repeat(500));
      for (const reads of [true, false]) {
        const socket = await openSocket(t, wsPort);
        let answers = 0;
        socket.on("data", (bytes) => {
          answers += bytes.toString("latin1").split("HTTP/1.1 200").length - 1;
        });
        if (!reads) socket.pause();
        await flood(socket, requests, requests.length * 400);
        assert.ok(answers <= 1, `${answers} answers`);
      }
    },
  },
];

/** 198.51.100.0/24 is for documentation: nobody's. */
const ATTACKER = "198.51.100.7";
const SILENT = 50;
const RESETS = 300;

const addresses: readonly Attack[] = [
  {
    threats: [8],
    name: `${RESETS} pages that reset before and right after the answer are forgotten: their address has all its connections again`,
    async run(target) {
      const { t, wsPort } = target;
      const headers = { "X-Forwarded-For": ATTACKER };
      const request = handshake(wsPort, { headers });
      await resets(target, wsPort, RESETS, (socket) => void socket.write(request));
      await resets(target, wsPort, RESETS, (socket) => {
        socket.write(request);
        return somethingFrom(socket).then(() => undefined);
      });
      const { peers } = await until(
        () => target.hub.status(),
        ({ peers }) => peers.pages === 1,
      );
      assert.equal(peers.pages, 1, "the bystander's");
      await many(100, 20, async () => {
        assert.equal((await RawPage.connect(t, wsPort, { headers })).head.status, 101);
      });
      assert.equal(await statusOf(target, { headers }), 429);
    },
  },
  {
    threats: [16, 17],
    name: "500 connections from one address: past maxPerAddress 429, however the address is dressed up, and the others come in",
    logs: ["handshake.refused"],
    async run(target) {
      const { t, wsPort } = target;
      const spoofs = [ATTACKER, `127.0.0.1, ${ATTACKER}`, `203.0.113.9, ${ATTACKER}`, `${ATTACKER}, 127.0.0.1`];
      const statuses = new Map<number, number>();
      await many(500, 20, async (i) => {
        const page = await RawPage.connect(t, wsPort, { headers: { "X-Forwarded-For": spoofs[i % spoofs.length] as string } });
        statuses.set(page.head.status, (statuses.get(page.head.status) ?? 0) + 1);
      });
      assert.deepEqual(Object.fromEntries(statuses), { 101: 100, 429: 400 });
      assert.equal(await statusOf(target, { headers: { "X-Forwarded-For": "198.51.100.8" } }), 101);
    },
  },
];

const slow: readonly Attack[] = [
  {
    threats: [7],
    name: `${3 * SILENT} handshakes that do not come to an end are closed, and no more of them are begun than may be`,
    logs: ["handshake.dropped"],
    async run({ t, wsPort }) {
      const request = handshake(wsPort, { headers: { "X-Slow": "x".repeat(8 * KiB) } });
      const sockets = await Promise.all(Array.from({ length: 3 * SILENT }, () => openSocket(t, wsPort)));
      const closed = Promise.all(sockets.map(untilClosed));
      for (const socket of sockets.slice(0, SILENT)) socket.write("GET / HT");
      const dripping = setInterval(() => sockets.slice(0, 2 * SILENT).forEach((socket) => void socket.write("x")), 100);
      t.after(() => clearInterval(dripping));
      for (const socket of sockets.slice(SILENT, 2 * SILENT)) socket.write(request.slice(0, 200));
      const dropped = await untilClosed(await openSocket(t, wsPort));
      assert.equal(dropped.length, 0, "above maxHandshakes");
      for (const bytes of await closed) assert.doesNotMatch(bytes.toString(), / 101 /);
      assert.equal((await RawPage.connect(t, wsPort)).head.status, 101, "there is room again");
    },
  },
  {
    threats: [7],
    name: "pages that upgrade and never say hello are closed with 4008",
    logs: ["peer.refused"],
    async run({ t, wsPort }) {
      const pages = await Promise.all(Array.from({ length: SILENT }, () => RawPage.connect(t, wsPort, { subprotocol: true })));
      await Promise.all(pages.map((page) => closesWith(page, 4008)));
    },
  },
  {
    threats: [9, 63],
    name: "pages that vanish without a word are found out by the heartbeat, and one that answers is not closed",
    logs: ["peer.closed"],
    async run(target: Target) {
      const { t, wsPort, hub } = target;
      const well = await RawPage.open(t, wsPort, {});
      const gone = await Promise.all(Array.from({ length: 20 }, () => RawPage.open(t, wsPort, undefined, { deaf: true })));
      for (const page of gone) page.socket.pause();
      const { peers } = await until(
        () => hub.status(),
        ({ peers }) => peers.pages === 2,
      );
      assert.equal(peers.pages, 2, "the bystander and the one that answers");
      assert.equal((await well.ask({ opcode: "echo" })).opcode, "echo");
    },
  },
];

export const HANDSHAKE: readonly AttackGroup[] = [
  { name: "handshake: who may come in", hub: {}, attacks: [...origins, ...requests] },
  { name: "handshake: from one address", hub: { args: ["--trusted-proxies", "127.0.0.1", "--log-level", "info"] }, attacks: addresses },
  {
    name: "handshake: that takes its time",
    hub: { args: ["--handshake-timeout", "500", "--max-handshakes", String(3 * SILENT), "--ping-interval", "200", "--grace", "200"] },
    attacks: slow,
  },
];

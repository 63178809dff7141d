import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { Packet } from "../../protocol/index.js";
import type { App } from "../../server/app.js";
import type { HubSettings } from "../../server/main.js";
import { startHub, type TestHub } from "../support/hub.js";
import { TestInbox } from "../support/inbox.js";
import { LineClient } from "../support/line-client.js";
import { attack, noUncaughtErrors } from "./support-bystander.js";
import { clientFrame, type FrameParts, fragments, OP } from "./support-frames.js";
import { Gate } from "./support-gate.js";
import { boundedMemory } from "./support-memory.js";
import { type HandshakeOptions, handshake, KEY, RawPage, refusedBy } from "./support-raw-page.js";
import { bytesOf, openSocket, untilClosed, writeApart } from "./support-sockets.js";
import { BAD_HELLOS } from "./support-talker.js";

const KiB = 1024;

noUncaughtErrors();

/** The HTTP status with which a handshake is answered. */
async function statusOf(t: TestContext, hub: TestHub, options: HandshakeOptions): Promise<number> {
  const page = await RawPage.connect(t, hub.wsPort, options);
  page.socket.destroy();
  return page.head.status;
}

/** The next packet must be `close` with this code, and so must be the close frame behind it [END-3]. */
async function closesWith(page: RawPage, code: number, error = /./): Promise<void> {
  const close = await page.packet();
  assert.deepEqual({ opcode: close.opcode, code: close.code }, { opcode: "close", code });
  assert.match(String(close.error), error);
  assert.equal((await page.closed).code, code);
}

/** An origin, what a handshake with it is answered; `PORT` stands for the hub's. */
interface OriginRow {
  readonly what: string;
  readonly origin: string | readonly string[] | undefined;
  readonly host?: string;
  readonly status: 101 | 403;
}

const OWN_ORIGIN: readonly OriginRow[] = [
  { what: "no origin: no browser", origin: undefined, status: 101 },
  { what: "its own", origin: "http://127.0.0.1:PORT", status: 101 },
  { what: "its own by another name of this host", origin: "http://localhost:PORT", host: "localhost:PORT", status: 101 },
  { what: "its own in capitals", origin: "HTTP://LOCALHOST:PORT", host: "localhost:PORT", status: 101 },
  { what: "a foreign one", origin: "http://evil.example", status: 403 },
  { what: "null", origin: "null", status: 403 },
  { what: "an empty one", origin: "", status: 403 },
  { what: "its own and a foreign one", origin: ["http://127.0.0.1:PORT", "http://evil.example"], status: 403 },
  { what: "another port", origin: "http://127.0.0.1:1", status: 403 },
  { what: "no port", origin: "http://127.0.0.1", status: 403 },
  { what: "another scheme", origin: "https://127.0.0.1:PORT", status: 403 },
  { what: "another name of this host than was asked for", origin: "http://localhost:PORT", status: 403 },
  { what: "its own as part of a foreign name", origin: "http://127.0.0.1.evil.example", status: 403 },
  { what: "its own as part of a foreign name, with the port", origin: "http://127.0.0.1.evil.example:PORT", status: 403 },
  { what: "its own as a user of a foreign name", origin: "http://127.0.0.1:PORT@evil.example", status: 403 },
  { what: "its own in front of more", origin: "http://127.0.0.1:PORT.evil.example", status: 403 },
  { what: "its own with a path", origin: "http://127.0.0.1:PORT/evil", status: 403 },
  { what: "a file", origin: "file://", status: 403 },
];

const LISTED_ORIGIN: readonly OriginRow[] = [
  { what: "the listed one", origin: "https://app.example", status: 101 },
  { what: "the listed one with its port", origin: "https://app.example:443", status: 101 },
  { what: "the listed one in capitals", origin: "https://APP.example", status: 101 },
  { what: "the hub's own still", origin: "http://127.0.0.1:PORT", status: 101 },
  { what: "another scheme", origin: "http://app.example", status: 403 },
  { what: "another port", origin: "https://app.example:8443", status: 403 },
  { what: "a name below", origin: "https://sub.app.example", status: 403 },
  { what: "a name behind", origin: "https://app.example.evil.example", status: 403 },
  { what: "a name that ends in it", origin: "https://evilapp.example", status: 403 },
  { what: "null", origin: "null", status: 403 },
];

const ANY_ORIGIN: readonly OriginRow[] = [
  { what: "a foreign one", origin: "http://evil.example", status: 101 },
  { what: "null", origin: "null", status: 101 },
];

const ORIGINS: readonly { rule: string; settings: HubSettings; rows: readonly OriginRow[] }[] = [
  { rule: "by default", settings: {}, rows: OWN_ORIGIN },
  { rule: "with a listed origin", settings: { origins: ["https://app.example"] }, rows: LISTED_ORIGIN },
  { rule: "with `*`", settings: { origins: ["*"] }, rows: ANY_ORIGIN },
];

interface HostRow {
  readonly host: string | readonly string[] | undefined;
  readonly status: 101 | 400 | 403;
}

const OWN_HOST: readonly HostRow[] = [
  { host: "127.0.0.1:PORT", status: 101 },
  { host: "127.0.0.1", status: 101 },
  { host: "localhost:PORT", status: 101 },
  { host: "LocalHost", status: 101 },
  { host: "app.localhost:PORT", status: 101 },
  { host: "[::1]:PORT", status: 101 },
  { host: "attacker.example:PORT", status: 403 },
  { host: "127.0.0.1.attacker.example", status: 403 },
  { host: "localhost.attacker.example", status: 403 },
  { host: "notlocalhost", status: 403 },
  { host: "127.0.0.1@attacker.example", status: 403 },
  { host: "attacker.example#127.0.0.1", status: 403 },
  { host: "127.0.0.1/attacker.example", status: 403 },
  { host: "192.0.2.1", status: 403 },
  { host: "", status: 403 },
  { host: undefined, status: 403 },
];

const LISTED_HOST: readonly HostRow[] = [
  { host: "hub.intranet:PORT", status: 101 },
  { host: "HUB.intranet", status: 101 },
  { host: "localhost", status: 101 },
  { host: "other.intranet", status: 403 },
  { host: "hub.intranet.attacker.example", status: 403 },
];

const HOSTS: readonly { rule: string; settings: HubSettings; rows: readonly HostRow[] }[] = [
  { rule: "of this host", settings: {}, rows: OWN_HOST },
  { rule: "that is listed", settings: { allowedHosts: ["hub.intranet"] }, rows: LISTED_HOST },
  { rule: "at all, with `*`", settings: { allowedHosts: ["*"] }, rows: [{ host: "attacker.example", status: 101 }] },
];

/** A text, or all texts of a list, with the hub's port. */
function withPort<T extends string | readonly string[] | undefined>(text: T, hub: TestHub): T {
  const fill = (each: string): string => each.replace("PORT", String(hub.wsPort));
  return (typeof text === "string" ? fill(text) : (text as readonly string[] | undefined)?.map(fill)) as T;
}

describe("3 Opening: who may come in", () => {
  for (const { rule, settings, rows } of ORIGINS) {
    test(`[OPEN-7] Origin ${rule}: ${rows.length} of them, compared as scheme, host and port`, async (t) => {
      const hub = await startHub(t, settings);
      for (const { what, origin, host = "127.0.0.1:PORT", status } of rows) {
        const headers = { Origin: withPort(origin, hub), Host: withPort(host, hub) };
        assert.equal(await statusOf(t, hub, { headers }), status, `${what}: ${origin}`);
      }
    });
  }

  for (const { rule, settings, rows } of HOSTS) {
    test(`[OPEN-7] Host: a name ${rule} is answered, a foreign one that was made to lead here is refused`, async (t) => {
      const hub = await startHub(t, settings);
      for (const { host, status } of rows) {
        assert.equal(await statusOf(t, hub, { headers: { Host: withPort(host, hub) } }), status, `${host}`);
      }
    });
  }

  test("[OPEN-7] DNS rebinding: Origin and Host agree on a foreign name, and are refused all the same", async (t) => {
    const hub = await startHub(t);
    const host = `attacker.example:${hub.wsPort}`;
    assert.equal(await statusOf(t, hub, { headers: { Host: host, Origin: `http://${host}` } }), 403);
    const plain = await refusedBy(t, hub.wsPort, `GET /signalbox.js HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    assert.equal(plain.status, 403, "nor is a page served");
  });

  test("[OPEN-6] a refused origin is logged, cut, and never reaches the dialog", (t) =>
    attack(t, {}, async (hub) => {
      const origin = `http://evil.example/${"x".repeat(1_000)}`;
      assert.equal(await statusOf(t, hub, { headers: { Origin: origin } }), 403);
      const [line] = hub.log.of("handshake.refused");
      assert.deepEqual({ status: line?.status, origin: line?.origin }, { status: 403, origin: origin.slice(0, 200) });
      assert.equal(hub.log.of("peer.opened").length, 1, "the bystander's");
    }));
});

/** Handshakes that are refused, and how. */
const MALFORMED: readonly { what: string; options: HandshakeOptions; status: number; header?: [name: string, value: string] }[] = [
  { what: "version 7", options: { headers: { "Sec-WebSocket-Version": "7" } }, status: 426, header: ["sec-websocket-version", "13"] },
  { what: "version 8", options: { headers: { "Sec-WebSocket-Version": "8" } }, status: 426, header: ["sec-websocket-version", "13"] },
  {
    what: "no version",
    options: { headers: { "Sec-WebSocket-Version": undefined } },
    status: 426,
    header: ["sec-websocket-version", "13"],
  },
  { what: "POST", options: { method: "POST" }, status: 405, header: ["allow", "GET"] },
  { what: "HEAD", options: { method: "HEAD" }, status: 405, header: ["allow", "GET"] },
  { what: "no key", options: { headers: { "Sec-WebSocket-Key": undefined } }, status: 400 },
  { what: "a short key", options: { headers: { "Sec-WebSocket-Key": KEY.slice(4) } }, status: 400 },
  { what: "a long key", options: { headers: { "Sec-WebSocket-Key": `AAAA${KEY}` } }, status: 400 },
  { what: "a key that is not base64", options: { headers: { "Sec-WebSocket-Key": `${"!".repeat(22)}==` } }, status: 400 },
  { what: "two keys", options: { headers: { "Sec-WebSocket-Key": [KEY, KEY] } }, status: 400 },
  { what: "an upgrade to something else", options: { headers: { Upgrade: "h2c" } }, status: 404 },
  { what: "HTTP/1.0", options: { version: "HTTP/1.0" }, status: 400 },
  { what: "a subprotocol that is no token", options: { headers: { "Sec-WebSocket-Protocol": "a b" } }, status: 400 },
  { what: "a path that is not percent-encoded", options: { path: "/%zz" }, status: 400 },
  { what: "a path with half an escape", options: { path: "/%2" }, status: 400 },
  { what: "a path with NUL", options: { path: "/%00" }, status: 400 },
  { what: "a path with a line end", options: { path: "/a%0d%0ab" }, status: 400 },
  { what: "a path that is not UTF-8", options: { path: "/%ff" }, status: 400 },
  { what: "a path of 1,025 characters", options: { path: `/${"x".repeat(1_024)}` }, status: 400 },
  { what: "a whole URL as path", options: { path: "http://127.0.0.1/web" }, status: 400 },
  { what: "an asterisk as path", options: { path: "*" }, status: 400 },
];

const UNKNOWN_PATHS = [
  "/nope",
  "/__proto__",
  "/constructor",
  "/toString",
  "//host/x",
  "//web",
  "/../..",
  "/%2e%2e/%2e%2e/etc/passwd",
  "/web/",
  "/web/x",
  "/WEB",
  "/%2577eb",
  `/${"a".repeat(1_023)}`,
  `/${"a/".repeat(500)}`,
];

describe("3 Opening: the request", () => {
  for (const { what, options, status, header } of MALFORMED) {
    test(`[OPEN-6] ${what} is answered ${status}, closed, and nobody came in`, async (t) => {
      const hub = await startHub(t);
      const answer = await refusedBy(t, hub.wsPort, handshake(hub.wsPort, options));
      assert.equal(answer.status, status);
      if (header) assert.equal(answer.headers.get(header[0]), header[1]);
      assert.deepEqual(hub.log.of("peer.opened"), []);
    });
  }

  const GARBAGE = [
    { what: "binary garbage", request: Buffer.from("00ff10027f\r\n\r\n", "latin1"), status: 400 },
    { what: "a TLS hello", request: Buffer.from("16030100c5010000c10303", "hex"), status: 400 },
    { what: "a header of 64 KiB", request: `GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: ${"x".repeat(64 * KiB)}\r\n\r\n`, status: 431 },
    { what: "3,000 headers", request: `GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n${"X-Many: 1\r\n".repeat(3_000)}\r\n`, status: 431 },
    { what: "a URL of 128 KiB", request: `GET /${"x".repeat(128 * KiB)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`, status: 431 },
  ];
  for (const { what, request, status } of GARBAGE) {
    test(`[OPEN-6] ${what} in place of a handshake is answered ${status} and closed`, (t) =>
      attack(t, {}, async (hub) => {
        assert.equal((await refusedBy(t, hub.wsPort, request)).status, status);
      }));
  }

  test("[OPEN-5] paths that only look like something are unknown resources: 4404", (t) =>
    attack(t, {}, async (hub) => {
      for (const path of UNKNOWN_PATHS) {
        const page = await RawPage.connect(t, hub.wsPort, { path });
        assert.equal(page.head.status, 101, path);
        await closesWith(page, 4404, /^No resource `\/.*there is .*\/web/);
      }
    }));

  test("[OPEN-5] paths are compared after one decoding, without the query", async (t) => {
    const hub = await startHub(t, { resources: { "/orders/*": new Gate().app, "/Bestände": new Gate().app } });
    for (const path of ["/web?uuid=1&token=x", "/%77eb", "/orders/7", "/orders/7/lines", "/Best%C3%A4nde"]) {
      assert.equal((await (await RawPage.connect(t, hub.wsPort, { path })).packet()).opcode, "ready", path);
    }
  });

  test("[OPEN-2] frames in the same segment as the request are served after `ready`, in order", async (t) => {
    const hub = await startHub(t);
    const echoes = [1, 2, 3].map((ref) => clientFrame(JSON.stringify({ opcode: "echo", ref, n: ref })));
    const hello = clientFrame('{"opcode":"hello","window":3}');
    for (const [subprotocol, behind] of [
      [false, echoes],
      [true, [hello, ...echoes]],
    ] as const) {
      const page = await RawPage.connect(t, hub.wsPort, { subprotocol, behind: Buffer.concat(behind) });
      assert.equal((await page.packet()).opcode, "ready");
      for (const n of [1, 2, 3]) {
        assert.deepEqual(await page.packet(), { opcode: "echo", n });
        assert.equal((await page.packet()).ref, n);
      }
    }
  });

  test("a handshake written byte by byte is a handshake", async (t) => {
    const hub = await startHub(t);
    const socket = await openSocket(t, hub.wsPort);
    const answer = new Promise<Buffer>((resolve) => socket.once("data", resolve));
    await writeApart(socket, bytesOf(handshake(hub.wsPort)));
    assert.match((await answer).toString(), /^HTTP\/1\.1 101 /);
  });
});

describe("3 Opening: limits", () => {
  test("handshakes that do not come to an end are closed after handshakeTimeout: silent, half a request, a byte at a time", (t) =>
    attack(t, { handshakeTimeout: 200 }, async (hub) => {
      const request = handshake(hub.wsPort, { headers: { "X-Slow": "x".repeat(8 * KiB) } });
      const beginnings = ["", "GET / HT", request.slice(0, -2)];
      const sockets = await Promise.all(beginnings.map(() => openSocket(t, hub.wsPort)));
      const closed = sockets.map(untilClosed);
      for (const [i, beginning] of beginnings.entries()) sockets[i]?.write(beginning);
      const slow = await openSocket(t, hub.wsPort);
      const slowClosed = untilClosed(slow);
      const dripping = setInterval(() => slow.write("x"), 20);
      slow.write(request.slice(0, -8 * KiB));
      slow.once("close", () => clearInterval(dripping));
      for (const bytes of await Promise.all([...closed, slowClosed])) assert.doesNotMatch(bytes.toString(), / 101 /);
    }));

  test("above maxHandshakes the newest is dropped at once; one that is over makes room", (t) =>
    attack(t, { maxHandshakes: 2 }, async (hub) => {
      const silent = await openSocket(t, hub.wsPort);
      const other = await openSocket(t, hub.wsPort);
      const dropped = await openSocket(t, hub.wsPort);
      assert.equal((await untilClosed(dropped)).length, 0);
      assert.equal(hub.log.of("handshake.dropped")[0]?.reason, "maxHandshakes");
      const upgraded = new Promise<Buffer>((resolve) => silent.once("data", resolve));
      silent.write(handshake(hub.wsPort));
      assert.match((await upgraded).toString(), / 101 /);
      assert.equal(await statusOf(t, hub, {}), 101);
      assert.equal(other.destroyed, false);
    }));

  test("[OPEN-6] above maxConnections a handshake is answered 503 with Retry-After; a page that left makes room", (t) => {
    const left = new TestInbox<string>();
    const app: App = { opcodes: { never() {} }, close: (peer) => left.push(peer.uuid) };
    return attack(t, { maxConnections: 2, resources: { "/": app } }, async (hub) => {
      const page = await RawPage.open(t, hub.wsPort, {});
      const answer = await refusedBy(t, hub.wsPort, handshake(hub.wsPort));
      assert.deepEqual([answer.status, answer.headers.get("retry-after")], [503, "5"]);
      page.say({ opcode: "quit" });
      assert.equal(await left.next(), page.uuid);
      assert.equal(await statusOf(t, hub, {}), 101);
    });
  });

  test("[OPEN-6] while the hub stops a handshake is answered 503 with Retry-After", async (t) => {
    const gate = new Gate();
    const hub = await startHub(t, { resources: { "/": gate.app } });
    const busy = await RawPage.open(t, hub.wsPort, {});
    busy.say({ opcode: "hold" });
    const held = await gate.started.next();
    const late = await openSocket(t, hub.wsPort);
    const closed = untilClosed(late);
    const request = handshake(hub.wsPort);
    await writeApart(late, [Buffer.from(request.slice(0, 20))]);
    const stopped = hub.stop();
    late.write(request.slice(20));
    assert.match((await closed).toString(), /^HTTP\/1\.1 503 .*\r\nretry-after: 2\r\n/is);
    held.finish();
    assert.equal((await busy.packet()).status, "done");
    await stopped;
  });
});

describe("3 Opening: hello", () => {
  test("[OPEN-3] anything but a right `hello` as first packet closes the connection: 1002", (t) =>
    attack(t, {}, async (hub) => {
      for (const first of [...BAD_HELLOS, "", "bufferON", "{", '["hello"]', "7"]) {
        const page = await RawPage.connect(t, hub.wsPort, { subprotocol: true });
        page.say(first);
        await closesWith(page, 1002, /^Expected /);
      }
      assert.equal(hub.log.of("peer.opened").length, 1, "nobody but the bystander was ever reachable");
    }));

  test("[OPEN-3] no `hello` within handshakeTimeout: 4008, naming the option; a page that owes none may be silent", (t) =>
    attack(t, { handshakeTimeout: 50 }, async (hub) => {
      const silent = await RawPage.open(t, hub.wsPort);
      const page = await RawPage.connect(t, hub.wsPort, { subprotocol: true });
      await closesWith(page, 4008, /`handshakeTimeout` 50 ms/);
      assert.equal((await silent.ask({ opcode: "echo" })).opcode, "echo");
    }));

  test("[OPEN-4] a second `hello`, and one of a page that was given `ready` without it, is refused as late", async (t) => {
    const hub = await startHub(t);
    for (const page of [await RawPage.open(t, hub.wsPort, {}), await RawPage.open(t, hub.wsPort)]) {
      const next = await page.ask({ opcode: "hello", ref: 1 });
      assert.deepEqual([next.ref, next.status, (next.error as Packet).code], [1, "refused", "late-hello"]);
      assert.equal((await page.ask({ opcode: "echo" })).opcode, "echo");
    }
  });

  test("a page may offer any subprotocols; the hub takes its own, or none", async (t) => {
    const hub = await startHub(t);
    for (const [offered, taken] of [
      ["chat, signalbox.1", "signalbox.1"],
      ["chat", undefined],
    ] as const) {
      const page = await RawPage.connect(t, hub.wsPort, { headers: { "Sec-WebSocket-Protocol": offered } });
      assert.equal(page.head.headers.get("sec-websocket-protocol"), taken);
    }
  });

  test("no extension is taken, whatever is offered", async (t) => {
    const hub = await startHub(t);
    for (const offered of ["permessage-deflate; client_max_window_bits", "constructor", ";;,=", "x".repeat(8 * KiB)]) {
      const page = await RawPage.connect(t, hub.wsPort, { headers: { "Sec-WebSocket-Extensions": offered } });
      assert.deepEqual([page.head.status, page.head.headers.get("sec-websocket-extensions")], [101, undefined]);
      assert.equal((await page.packet()).opcode, "ready");
    }
  });
});

/** Frames that break RFC 6455, and the close code they must be answered with. */
const BROKEN: readonly { what: string; frames: readonly [string | Uint8Array, FrameParts][]; code: number }[] = [
  { what: "an unmasked frame", frames: [["{}", { masked: false }]], code: 1002 },
  { what: "RSV1", frames: [["{}", { rsv: 4 }]], code: 1002 },
  { what: "RSV2", frames: [["{}", { rsv: 2 }]], code: 1002 },
  { what: "RSV3", frames: [["{}", { rsv: 1 }]], code: 1002 },
  { what: "the reserved opcode 3", frames: [["{}", { opcode: 3 }]], code: 1002 },
  { what: "the reserved opcode 7", frames: [["{}", { opcode: 7 }]], code: 1002 },
  { what: "the reserved control opcode 11", frames: [["", { opcode: 11 }]], code: 1002 },
  { what: "the reserved control opcode 15", frames: [["", { opcode: 15 }]], code: 1002 },
  { what: "a ping in fragments", frames: [["", { opcode: OP.ping, fin: false }]], code: 1002 },
  { what: "a ping of 126 bytes", frames: [["x".repeat(126), { opcode: OP.ping }]], code: 1002 },
  { what: "a continuation of nothing", frames: [["{}", { opcode: OP.continuation }]], code: 1002 },
  {
    what: "a new text inside a fragmented one",
    frames: [
      ["{", { fin: false }],
      ["}", {}],
    ],
    code: 1002,
  },
  { what: "a close frame of one byte", frames: [[Buffer.of(3), { opcode: OP.close }]], code: 1002 },
  { what: "a close frame with a code that never goes over the wire", frames: [[Buffer.of(3, 238), { opcode: OP.close }]], code: 1002 },
  { what: "a close frame whose reason is not UTF-8", frames: [[Buffer.of(3, 232, 255), { opcode: OP.close }]], code: 1007 },
  { what: "the byte FF in a text", frames: [[Buffer.of(255), {}]], code: 1007 },
  { what: "an overlong slash in a text", frames: [[Buffer.of(0xc0, 0xaf), {}]], code: 1007 },
  { what: "a surrogate in a text", frames: [[Buffer.of(0xed, 0xa0, 0x80), {}]], code: 1007 },
  { what: "half a character in a text", frames: [[Buffer.of(0xc3), {}]], code: 1007 },
  {
    what: "invalid UTF-8 over two fragments",
    frames: [
      [Buffer.of(0xc3), { fin: false }],
      [Buffer.of(0xff), { opcode: OP.continuation }],
    ],
    code: 1007,
  },
  { what: "a binary frame", frames: [["{}", { opcode: OP.binary }]], code: 1003 },
  { what: "a declared length of 1 GiB", frames: [["x", { declared: 2n ** 30n }]], code: 1009 },
  { what: "a declared length of 2^40", frames: [["x", { declared: 2n ** 40n }]], code: 1009 },
  { what: "a declared length of 2^63", frames: [["x", { declared: 2n ** 63n }]], code: 1009 },
];

const FIRST_FRAGMENT = clientFrame("", { fin: false });
const EMPTY_FRAGMENT = clientFrame("", { opcode: OP.continuation, fin: false });

describe("2 Packets: frames", () => {
  for (const { what, frames, code } of BROKEN) {
    test(`[END-3] ${what} is closed with ${code}, said in a packet first, and nothing behind it is served`, (t) =>
      attack(t, {}, async (hub) => {
        const page = await RawPage.open(t, hub.wsPort, {});
        page.write(
          ...frames.map(([payload, parts]) => clientFrame(payload, parts)),
          clientFrame('{"opcode":"broadcast","message":"evil"}'),
        );
        await closesWith(page, code);
      }));
  }

  test("[CHUNK-5] a declared length allocates nothing: it is refused on the header", (t) =>
    attack(t, {}, (hub) =>
      boundedMemory(async () => {
        const pages = await Promise.all(Array.from({ length: 50 }, () => RawPage.open(t, hub.wsPort, {})));
        for (const page of pages) page.write(clientFrame("", { declared: 2n ** 40n }));
        await Promise.all(pages.map((page) => closesWith(page, 1009, /`maxMessage`/)));
      }),
    ));

  test("[PKT-2] a message in fragments, with a ping between them, is one message", async (t) => {
    const hub = await startHub(t);
    const page = await RawPage.open(t, hub.wsPort, {});
    // Cut inside the two bytes of `ä` as well.
    const [head, middle, tail] = fragments([Buffer.from('{"opcode":"echo","text":"\u00c3', "latin1"), Buffer.of(0xa4), '"}']) as [
      Buffer,
      Buffer,
      Buffer,
    ];
    page.write(head, clientFrame("between", { opcode: OP.ping }), middle, clientFrame("", { opcode: OP.pong }), tail);
    assert.equal(await page.pongs.next(), "between");
    assert.deepEqual(await page.packet(), { opcode: "echo", text: "ä" });
  });

  test("[PKT-2] 1,024 fragments are one message", async (t) => {
    const hub = await startHub(t);
    const page = await RawPage.open(t, hub.wsPort, {});
    page.write(FIRST_FRAGMENT, ...Array<Buffer>(1_022).fill(EMPTY_FRAGMENT), clientFrame('{"opcode":"echo"}', { opcode: OP.continuation }));
    assert.deepEqual(await page.packet(), { opcode: "echo" });
  });

  for (const count of [1_025, 300_000]) {
    test(`${count} fragments are too many: closed with 1008, said in a packet first`, (t) =>
      attack(t, {}, (hub) =>
        boundedMemory(async () => {
          const page = await RawPage.open(t, hub.wsPort, {});
          page.write(FIRST_FRAGMENT, Buffer.concat(Array<Buffer>(count - 1).fill(EMPTY_FRAGMENT)));
          await closesWith(page, 1008, /fragments/);
        }),
      ));
  }

  test("[PKT-2] frames written byte by byte are frames, of every length form", async (t) => {
    const hub = await startHub(t);
    const page = await RawPage.open(t, hub.wsPort, {});
    for (const length of [0, 100, 200]) {
      const packet = { opcode: "echo", text: "x".repeat(length) };
      await writeApart(page.socket, bytesOf(clientFrame(JSON.stringify(packet))));
      assert.deepEqual(await page.packet(), packet);
      assert.equal((await page.packet()).status, "done");
    }
  });

  test("[PKT-2] texts of every length come back as they were, at the edges of the three length forms", async (t) => {
    const hub = await startHub(t);
    const page = await RawPage.open(t, hub.wsPort, {});
    const empty = JSON.stringify({ opcode: "echo", text: "" }).length;
    for (const length of [125, 126, 127, 65_535, 65_536, 65_537, 1_048_576]) {
      const packet = { opcode: "echo", text: "x".repeat(length - empty) };
      assert.deepEqual(await page.ask(packet), packet);
      assert.equal((await page.packet()).status, "done");
    }
  });

  test("a close frame of the page is answered with its own code", async (t) => {
    const hub = await startHub(t);
    const page = await RawPage.open(t, hub.wsPort, {});
    page.write(clientFrame(Buffer.of(3, 233), { opcode: OP.close }));
    assert.equal((await page.closed).code, 1001);
  });
});

/** Texts of the storm, in bytes: each length form of a frame, and more than one write of the hub takes. */
const STORM_SIZES = [10, 125, 126, 5_000, 65_535, 65_536, 200_000];
const STORM = 420;
/** `ws` ends a connection with 60 pongs on their way. */
const PINGS_AT_ONCE = 40;
const MAX_PING = 125;

/** Sends a broadcast of each size, over and over, each when the one before was accepted. */
async function storm(sender: LineClient, from: number, count: number): Promise<void> {
  for (let n = from; n < from + count; n++) {
    const text = String(n % 10).repeat(STORM_SIZES[n % STORM_SIZES.length] as number);
    assert.equal((await sender.ask({ opcode: "broadcast", n, text })).status, "sent");
  }
}

/** What the page must have got of it, in order and whole. */
async function weathered(page: RawPage, from: number, count: number): Promise<void> {
  for (let n = from; n < from + count; n++) {
    const { opcode, n: got, text } = await page.packet();
    assert.deepEqual({ opcode, got }, { opcode: "broadcast", got: n });
    assert.ok(text === String(n % 10).repeat(STORM_SIZES[n % STORM_SIZES.length] as number), `text ${n} is as it was sent`);
  }
}

/** Pings of every length there is, as many as may be under way, each answered before the next round; until told to stop. */
async function pingAll(page: RawPage, goOn: () => boolean): Promise<number> {
  let rounds = 0;
  for (; goOn(); rounds++) {
    const payloads = Array.from({ length: PINGS_AT_ONCE }, (_, i) =>
      `${rounds}.${i}.`.padEnd((rounds * PINGS_AT_ONCE + i) % (MAX_PING + 1), "p"),
    );
    page.write(...payloads.map((payload) => clientFrame(payload.slice(0, MAX_PING), { opcode: OP.ping })));
    for (const payload of payloads) assert.equal(await page.pongs.next(), payload.slice(0, MAX_PING));
    await turn();
  }
  return rounds;
}

describe("frames written beside `ws`", () => {
  /** A hub with room for a storm, a page that reads strictly, and a backend to broadcast. */
  async function scene(t: TestContext, settings: HubSettings = {}): Promise<{ page: RawPage; sender: LineClient }> {
    const hub = await startHub(t, { maxQueued: 64 * 1024 * KiB, maxRate: 1_000_000, maxByteRate: 1_000_000_000, ...settings });
    const page = await RawPage.open(t, hub.wsPort, {});
    const sender = await LineClient.open(t, hub.tcpPort);
    await sender.hello();
    return { page, sender };
  }

  test("[PKT-2] pings are answered, whole and in order, while broadcasts are written to the same socket", async (t) => {
    // The hub's own pings stand between them, too.
    const { page, sender } = await scene(t, { pingInterval: 50 });
    let storming = true;
    const pinged = pingAll(page, () => storming);
    await Promise.all([storm(sender, 0, STORM), weathered(page, 0, STORM)]);
    storming = false;
    assert.ok((await pinged) > 1, "pongs stood between broadcasts");
    page.say({ opcode: "quit" });
    assert.equal((await page.closed).code, 1000);
  });

  test("[PKT-2] a pong that is due while broadcasts wait for the socket stands between two frames, never inside one", async (t) => {
    const { page, sender } = await scene(t);
    for (let round = 0; round < 3; round++) {
      page.socket.pause();
      await storm(sender, round * STORM, STORM);
      const pongs = Array.from({ length: PINGS_AT_ONCE }, (_, i) => `${round}.${i}`);
      for (const pong of pongs) page.write(clientFrame(pong, { opcode: OP.ping }));
      // The echo's round trip is the hub's time to answer the pings, with its socket full.
      assert.equal((await sender.ask({ opcode: "echo" })).opcode, "echo");
      assert.equal((await sender.packet()).status, "done");
      page.socket.resume();
      await weathered(page, round * STORM, STORM);
      for (const pong of pongs) assert.equal(await page.pongs.next(), pong);
    }
  });

  test("[END-3] a close packet and its close frame stand behind all that waited for the socket", async (t) => {
    const { page, sender } = await scene(t);
    page.socket.pause();
    await storm(sender, 0, STORM);
    page.write(clientFrame("x", { opcode: OP.binary }));
    assert.equal((await sender.ask({ opcode: "feedback", uuid: page.uuid })).status, "gone", "the hub has seen it");
    page.socket.resume();
    await weathered(page, 0, STORM);
    await closesWith(page, 1003);
  });
});

describe("10 Ends: heartbeat", () => {
  test("[WIN-7] a flood of pings, each round read, is closed with 1008; some rounds are nothing", (t) =>
    attack(t, { maxRate: 200 }, async (hub) => {
      const page = await RawPage.open(t, hub.wsPort, {});
      let rounds = 0;
      // The burst, and less than may be owed: ten seconds' worth.
      await pingAll(page, () => rounds++ < 10);
      assert.equal((await page.ask({ opcode: "echo" })).opcode, "echo");
      await assert.rejects(pingAll(page, () => rounds++ < 1_000));
      assert.equal((await page.closed).code, 1008);
    }));

  test("[WIN-7] a flood of pongs that nobody asked for is closed with 1008", (t) =>
    attack(t, { maxRate: 200 }, async (hub) => {
      const page = await RawPage.open(t, hub.wsPort, {});
      page.write(...Array.from({ length: 5_000 }, () => clientFrame("", { opcode: OP.pong })));
      assert.equal((await page.closed).code, 1008);
    }));

  test("[END-5] a page that answers no ping is closed, one that answers is not", (t) =>
    attack(t, { pingInterval: 20, grace: 0 }, async (hub) => {
      const deaf = await RawPage.open(t, hub.wsPort, { ident: "deaf" }, { deaf: true });
      assert.equal((await deaf.closed).code, 1006);
      assert.deepEqual(
        hub.log.of("peer.closed").map(({ ident, why }) => ({ ident, why })),
        [{ ident: "deaf", why: "heartbeat" }],
      );
    }));

  test("[WIN-6] a page that the hub does not read is not judged by its heartbeat", (t) => {
    const gate = new Gate();
    return attack(t, { pingInterval: 20, resources: { "/": gate.app } }, async (hub) => {
      const busy = await RawPage.open(t, hub.wsPort, {});
      busy.say({ opcode: "hold", ref: 1 });
      busy.say({ opcode: "echo", ref: 2 });
      const held = await gate.started.next();
      // Others that answer nothing come and go meanwhile: that is how long it was not read.
      for (let i = 0; i < 2; i++) await (await RawPage.open(t, hub.wsPort, {}, { deaf: true })).closed;
      held.finish();
      assert.equal((await busy.packet()).ref, 1);
      assert.equal((await busy.packet()).opcode, "echo");
      assert.equal((await busy.packet()).ref, 2);
      await (await RawPage.open(t, hub.wsPort, {}, { deaf: true })).closed;
      assert.equal((await busy.ask({ opcode: "echo" })).opcode, "echo", "and it is there when it is read again");
    });
  });
});

describe("10 Ends: connections that break", () => {
  const RESETS = 100;
  const WEB = { path: "/web" };
  /** When a page resets its connection; the hub must have forgotten it afterwards. */
  const MOMENTS: readonly { when: string; open(t: TestContext, hub: TestHub): Promise<RawPage> }[] = [
    { when: "right after the handshake", open: (t, hub) => RawPage.connect(t, hub.wsPort, WEB) },
    { when: "when `ready` was read", open: (t, hub) => RawPage.open(t, hub.wsPort, { ident: "resets" }, WEB) },
    {
      when: "inside a frame",
      async open(t, hub) {
        const page = await RawPage.open(t, hub.wsPort, { ident: "resets" }, WEB);
        page.write(clientFrame('{"opcode":"echo"}').subarray(0, 9));
        return page;
      },
    },
    {
      when: "inside a buffer",
      async open(t, hub) {
        const page = await RawPage.open(t, hub.wsPort, { ident: "resets" }, WEB);
        await page.ask("bufferON");
        page.say("x".repeat(100 * KiB));
        return page;
      },
    },
  ];
  for (const { when, open } of MOMENTS) {
    test(`[END-4] ${RESETS} pages that reset their connection ${when} leave nothing behind`, (t) => {
      const gone = new TestInbox<string>();
      const app: App = { opcodes: { never() {} }, close: (_peer, why) => gone.push(why) };
      return attack(t, { resources: { "/web": app }, grace: 0 }, (hub) =>
        boundedMemory(async () => {
          for (let i = 0; i < RESETS; i++) (await open(t, hub)).socket.resetAndDestroy();
          for (let i = 0; i < RESETS; i++) assert.equal(await gone.next(), "lost");
          assert.equal(hub.log.of("peer.opened").length, RESETS + 1, "all of them and the bystander came");
          assert.equal(hub.log.of("peer.closed").length, RESETS, "all but the bystander went");
          const page = await RawPage.open(t, hub.wsPort, {}, WEB);
          assert.equal((await page.ask({ opcode: "feedback", ident: "resets" })).status, "gone");
          assert.equal((await page.ask({ opcode: "broadcast", resource: "/web" })).n, 0, "and nobody is left on their resource");
        }),
      );
    });
  }

  test("[END-4] pages that reset before the answer to their handshake leave nothing behind", (t) =>
    attack(t, { maxHandshakes: 2 }, async (hub) => {
      for (let i = 0; i < RESETS; i++) {
        const socket = await openSocket(t, hub.wsPort);
        socket.write(handshake(hub.wsPort).slice(0, i));
        const closed = untilClosed(socket);
        socket.resetAndDestroy();
        await closed;
      }
      assert.equal(await statusOf(t, hub, {}), 101);
    }));
});

import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { after, before, describe, type TestContext, test } from "node:test";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import type { ClientOptions } from "ws";
import { SUBPROTOCOL } from "../../protocol/index.js";
import { Counters } from "../../server/counters.js";
import { TrustedProxies } from "../../server/forwarded.js";
import type { HubSettings } from "../../server/main.js";
import { BehindProxy } from "../../server/transports/behind-proxy.js";
import { TestClock } from "../support/clock.js";
import { startHub, type TestHub, TestLog } from "../support/hub.js";
import { LineClient } from "../support/line-client.js";
import { Page } from "../support/page.js";
import { noUncaughtErrors } from "../transports/support-bystander.js";
import { type Certificate, opensslMissing, selfSigned, signedBy } from "../transports/support-certificates.js";
import { clientFrame } from "../transports/support-frames.js";
import { handshake, refusedBy } from "../transports/support-raw-page.js";
import { bytesOf, cutsOf, openSocket, untilClosed, writeApart } from "../transports/support-sockets.js";
import { blockOf, COMMAND, INET, INET6, lineOf, UNSPEC } from "./support-proxy-header.js";

noUncaughtErrors();

const REMOTE = lineOf("TCP4", "1.2.3.4");
const REMOTE_V2 = blockOf({ family: INET, source: "1.2.3.4" });
const FROM_HERE = lineOf("TCP4", "127.0.0.1");
const ECHOED = 'next done {"opcode":"echo","message":"text"}\n';

/** A hub behind a proxy of this host. */
const behind = (t: TestContext, settings: HubSettings = {}): Promise<TestHub> =>
  startHub(t, { trustedProxies: ["127.0.0.1"], proxyProtocol: true, ...settings });

/** A page that the proxy passes on with this header. */
function passedOn(header: Uint8Array, options: ClientOptions = {}): ClientOptions {
  const createConnection = ((to: { host: string; port: number; secure?: boolean }) => {
    const socket = connect({ port: Number(to.port), host: to.host, noDelay: true });
    socket.write(header);
    return options.ca === undefined ? socket : connectTls({ ...to, socket, ca: options.ca });
  }) as unknown as NonNullable<ClientOptions["createConnection"]>;
  return { ...options, createConnection };
}

/** The address that the hub has logged for whoever came last. */
const lastIp = (hub: TestHub): unknown => hub.log.of("peer.opened").at(-1)?.ip;
const reasonOf = async (hub: TestHub): Promise<string> => String((await hub.log.untilLine("proxy.refused")).reason);

/** All that comes back for these parts, each read alone by the hub. */
async function said(t: TestContext, port: number, parts: Iterable<Uint8Array>): Promise<string> {
  const socket = await openSocket(t, port);
  const closed = untilClosed(socket);
  await writeApart(socket, parts);
  socket.end();
  return (await closed).toString();
}

describe("a page behind a proxy that writes PROXY headers", () => {
  for (const [version, header] of [
    [1, REMOTE],
    [2, REMOTE_V2],
  ] as const) {
    test(`comes from where the header says, version ${version}`, async (t) => {
      const hub = await behind(t);
      const page = await Page.open(t, `${hub.ws}/`, {}, passedOn(header));
      assert.equal(lastIp(hub), "1.2.3.4");
      assert.deepEqual(await page.ask({ opcode: "echo", text: "ä".repeat(50_000) }), { opcode: "echo", text: "ä".repeat(50_000) });
    });
  }

  test("is counted by its own address, one by one", async (t) => {
    const hub = await behind(t, { maxPerAddress: 1 });
    const first = await Page.open(t, `${hub.ws}/`, {}, passedOn(REMOTE));
    await assert.rejects(Page.connect(t, `${hub.ws}/`, true, passedOn(REMOTE_V2)), /HTTP 429/);
    await Page.open(t, `${hub.ws}/`, {}, passedOn(lineOf("TCP6", "2001:db8::1")));
    assert.equal(lastIp(hub), "2001:db8::1");
    first.socket.close();
    await first.closed;
    await Page.open(t, `${hub.ws}/`, {}, passedOn(REMOTE));
  });

  test("may say all it has to say in the segment of the header", async (t) => {
    const hub = await behind(t);
    const request = handshake(hub.wsPort, { headers: { "Sec-WebSocket-Protocol": SUBPROTOCOL } });
    const hello = clientFrame(JSON.stringify({ opcode: "hello" }));
    const quit = clientFrame(JSON.stringify({ opcode: "quit" }));
    const answers = await said(t, hub.wsPort, [Buffer.concat([REMOTE_V2, Buffer.from(request), hello, quit])]);
    assert.match(answers, /^HTTP\/1\.1 101 /);
    assert.match(answers, /"opcode":"ready"/);
    assert.equal(lastIp(hub), "1.2.3.4");
  });

  test("may come a byte at a time", async (t) => {
    const hub = await behind(t);
    const request = Buffer.concat([REMOTE_V2, Buffer.from("GET /signalbox.js HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")]);
    assert.match(await said(t, hub.wsPort, bytesOf(request)), /^HTTP\/1\.1 200 /);
  });

  test("is asked for the rest of its request in time", async (t) => {
    const hub = await behind(t, { handshakeTimeout: 100 });
    const socket = await openSocket(t, hub.wsPort);
    const closed = untilClosed(socket);
    socket.write(Buffer.concat([REMOTE, Buffer.from("GET / HTTP/1.1\r\n")]));
    assert.match((await closed).toString(), /^HTTP\/1\.1 408 /);
  });

  test("gets what it asks for by HTTP, and that is the end of its connection", async (t) => {
    const hub = await behind(t);
    const request = "GET /signalbox.js HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const answers = await said(t, hub.wsPort, [REMOTE, Buffer.from(request), Buffer.from(request)]);
    assert.deepEqual(answers.match(/HTTP\/1\.1 \d+/g), ["HTTP/1.1 200"]);
  });

  test("X-Forwarded-For and its kin are believed where the header names a trusted proxy, and only there", async (t) => {
    const hub = await behind(t, { trustedProxies: ["127.0.0.1", "10.0.0.1"] });
    const headers = { "x-forwarded-for": "9.9.9.9", "x-forwarded-proto": "https", "x-forwarded-host": "hub.intranet" };
    await Page.open(t, `${hub.ws}/`, {}, passedOn(REMOTE, { headers }));
    assert.equal(lastIp(hub), "1.2.3.4");
    const foreign = { headers: { ...headers, origin: "https://hub.intranet" } };
    await assert.rejects(Page.connect(t, `${hub.ws}/`, true, passedOn(REMOTE, foreign)), /HTTP 403/);
    await Page.open(t, `${hub.ws}/`, {}, passedOn(lineOf("TCP4", "10.0.0.1"), foreign));
    assert.equal(lastIp(hub), "9.9.9.9");
  });
});

describe("a backend behind a proxy that writes PROXY headers", () => {
  test("[OPEN-8] of another host needs the key, though its proxy is on this one", async (t) => {
    const hub = await behind(t, { backendKey: "s3cr3t" });
    const without = await said(t, hub.tcpPort, [REMOTE, Buffer.from('{"opcode":"hello"}\n')]);
    assert.match(without, /"code":4003/);
    assert.equal((await hub.log.untilLine("peer.refused")).ip, "1.2.3.4");
    const client = await LineClient.open(t, hub.tcpPort);
    client.write(REMOTE_V2);
    assert.equal((await client.hello({ token: "s3cr3t" })).opcode, "ready");
    assert.equal(lastIp(hub), "1.2.3.4");
  });

  test("[OPEN-8] of this host needs none, and a proxy that speaks for itself is of this host", async (t) => {
    const hub = await behind(t, { backendKey: "s3cr3t" });
    for (const header of [FROM_HERE, lineOf("TCP6", "::1"), blockOf({ command: COMMAND.local, family: UNSPEC })])
      assert.equal(await said(t, hub.tcpPort, [header, Buffer.from("echo text\n")]), ECHOED);
  });

  test("[OPEN-8] whom its proxy does not name is not of this host: it needs the key", async (t) => {
    const hub = await behind(t, { backendKey: "s3cr3t" });
    for (const header of [Buffer.from("PROXY UNKNOWN\r\n"), blockOf({ family: UNSPEC, transport: 0 })]) {
      assert.match(await said(t, hub.tcpPort, [header, Buffer.from('{"opcode":"hello"}\n')]), /"code":4003/);
      const client = await LineClient.open(t, hub.tcpPort);
      client.write(header);
      assert.equal((await client.hello({ token: "s3cr3t" })).opcode, "ready");
      assert.equal(lastIp(hub), "unknown");
    }
  });

  for (const [version, header] of [
    [1, FROM_HERE],
    [2, blockOf({ family: INET6, source: "::1", more: new Uint8Array(20) })],
  ] as const) {
    test(`is served wherever the network cuts the header and what it says, version ${version}`, async (t) => {
      const hub = await behind(t);
      const all = Buffer.concat([header, Buffer.from("echo text\n")]);
      for (const parts of cutsOf(all)) assert.equal(await said(t, hub.tcpPort, parts), ECHOED);
      assert.equal(await said(t, hub.tcpPort, bytesOf(all)), ECHOED);
      assert.equal(await said(t, hub.tcpPort, [all]), ECHOED);
    });
  }

  test("is read at its own pace", async (t) => {
    const hub = await behind(t);
    const lines = Array.from({ length: 2_000 }, (_, i) => `echo ${i}\n`);
    const answers = await said(t, hub.tcpPort, [Buffer.concat([FROM_HERE, Buffer.from(lines.join(""))])]);
    assert.equal(answers.split("\n").length, lines.length + 1);
  });

  test("a unix socket has no header", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "signalbox-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "hub.sock");
    await behind(t, { listen: [`unix:${path}`] });
    const socket = await openSocket(t, path);
    const closed = untilClosed(socket);
    socket.end("echo text\n");
    assert.equal((await closed).toString(), ECHOED);
  });
});

describe("a PROXY header that is not right", () => {
  const BAD: readonly [what: string, header: string | Uint8Array, reason: RegExp][] = [
    ["none", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", /^Expected a PROXY header/],
    ["a broken one", "PROXY TCP4 1.2.3.4\r\necho text\n", /^Expected two addresses/],
    ["one that is too long", Buffer.alloc(65_536, "PROXY UNKNOWN "), /^Expected the line/],
  ];
  for (const [what, header, reason] of BAD) {
    test(`${what}: the connection is closed without an answer, and why is logged`, async (t) => {
      const hub = await behind(t);
      for (const port of [hub.wsPort, hub.tcpPort]) {
        const socket = await openSocket(t, port);
        const closed = untilClosed(socket);
        socket.write(header);
        assert.equal((await closed).length, 0);
      }
      const lines = hub.log.of("proxy.refused");
      assert.equal(lines.length, 2);
      for (const line of lines) {
        assert.match(String(line.reason), reason);
        assert.equal(line.ip, "127.0.0.1");
      }
      assert.deepEqual(hub.log.of("peer.opened"), []);
    });
  }

  test("who says nothing, or not all of it, is closed in time", async (t) => {
    const hub = await behind(t, { handshakeTimeout: 50 });
    for (const [port, beginning] of [
      [hub.wsPort, ""],
      [hub.tcpPort, ""],
      [hub.tcpPort, REMOTE.subarray(0, 20)],
    ] as const) {
      const socket = await openSocket(t, port);
      const closed = untilClosed(socket);
      if (beginning.length > 0) socket.write(beginning);
      assert.equal((await closed).length, 0);
    }
    const reasons = hub.log.of("proxy.refused").map(({ reason }) => reason);
    assert.deepEqual(reasons, Array(3).fill("No PROXY header within `handshakeTimeout` 50 ms."));
  });

  test("who goes within it is logged, who only looks whether somebody listens is not", async (t) => {
    const hub = await behind(t);
    const silent = await openSocket(t, hub.tcpPort);
    const closed = untilClosed(silent);
    silent.end();
    await closed;
    assert.equal(await said(t, hub.tcpPort, [REMOTE.subarray(0, 20)]), "");
    assert.match(await reasonOf(hub), /ended within its PROXY header/);
    assert.equal(hub.log.of("proxy.refused").length, 1);
  });

  for (const scheme of ["ws", "tcp"] as const) {
    test(`at most \`maxHandshakes\` wait for it on ${scheme}://`, async (t) => {
      const hub = await behind(t, { maxHandshakes: 2 });
      const port = scheme === "ws" ? hub.wsPort : hub.tcpPort;
      const waiting = [await openSocket(t, port), await openSocket(t, port)];
      assert.equal((await untilClosed(await openSocket(t, port))).length, 0);
      assert.equal(hub.log.of("proxy.refused").length + hub.log.of("handshake.dropped").length, 1);
      for (const socket of waiting) assert.equal(socket.destroyed, false);
      const socket = waiting[0] as Socket;
      const closed = untilClosed(socket);
      socket.destroy();
      await closed;
      await said(t, port, [FROM_HERE]);
    });
  }

  test("a hub that stops does not wait for it", async (t) => {
    const hub = await behind(t);
    const all = [await openSocket(t, hub.wsPort), await openSocket(t, hub.tcpPort)].map(untilClosed);
    // The hub has accepted both before it is told to stop.
    await Page.open(t, `${hub.ws}/`, {}, passedOn(FROM_HERE));
    const start = performance.now();
    await hub.stop();
    await Promise.all(all);
    assert.ok(performance.now() - start < 5_000);
  });

  test("from whom is no trusted proxy it is not believed: it is a broken request", async (t) => {
    const hub = await behind(t, { trustedProxies: ["192.0.2.1"] });
    assert.equal((await refusedBy(t, hub.wsPort, Buffer.concat([FROM_HERE, Buffer.from(handshake(hub.wsPort))]))).status, 400);
    assert.match(await said(t, hub.tcpPort, [REMOTE, Buffer.from("echo text\n")]), /^next refused unknown-command [^\n]*\n$/);
    await Page.open(t, `${hub.ws}/`, {});
    assert.equal(lastIp(hub), "127.0.0.1");
    assert.deepEqual(hub.log.of("proxy.refused"), []);
  });

  test("nor where `proxyProtocol` is off", async (t) => {
    const hub = await behind(t, { proxyProtocol: false });
    assert.equal((await refusedBy(t, hub.wsPort, Buffer.concat([FROM_HERE, Buffer.from(handshake(hub.wsPort))]))).status, 400);
  });
});

describe("PROXY headers in front of TLS", { skip: opensslMissing() }, () => {
  let folder = "";
  let authority: Certificate;
  let own: Certificate;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "signalbox-proxy-"));
    authority = selfSigned(folder, "authority");
    own = signedBy(authority, folder, "hub");
  });
  after(() => rmSync(folder, { recursive: true }));

  const secure = (t: TestContext, listen: string, settings: HubSettings = {}): Promise<TestHub> =>
    behind(t, { listen: [listen], tlsCert: own.certFile, tlsKey: own.keyFile, ...settings });
  const portOf = (hub: TestHub): number => Number(new URL(String(hub.listeners[0]).replace(/^\w+:/, "https:")).port);

  test("a page over wss:// comes from where the header says", async (t) => {
    const hub = await secure(t, "wss://127.0.0.1:0");
    const page = await Page.open(t, hub.ws, {}, passedOn(REMOTE, { ca: authority.cert }));
    assert.equal(lastIp(hub), "1.2.3.4");
    assert.deepEqual(await page.ask({ opcode: "echo", text: "ä".repeat(50_000) }), { opcode: "echo", text: "ä".repeat(50_000) });
  });

  /** What a backend is told over TLS that begins behind a header, which is cut off what follows or stands in one segment with it. */
  async function saidOverTls(t: TestContext, port: number, header: Uint8Array, text: string): Promise<string> {
    const raw = await openSocket(t, port);
    raw.cork();
    raw.write(header);
    const socket = connectTls({ socket: raw, ca: authority.cert, servername: "localhost" });
    t.after(() => socket.destroy());
    process.nextTick(() => raw.uncork());
    socket.end(text);
    return (await untilClosed(socket)).toString();
  }

  test("[OPEN-8] a backend over tls:// does too, and needs the key", async (t) => {
    const hub = await secure(t, "tls://127.0.0.1:0", { backendKey: "s3cr3t" });
    const hello = (fields: object): string => `${JSON.stringify({ opcode: "hello", ...fields })}\n`;
    assert.match(await saidOverTls(t, portOf(hub), REMOTE, hello({})), /"code":4003/);
    assert.match(await saidOverTls(t, portOf(hub), REMOTE_V2, hello({ token: "s3cr3t" })), /"opcode":"ready"/);
    assert.equal(lastIp(hub), "1.2.3.4");
    assert.equal(await saidOverTls(t, portOf(hub), FROM_HERE, "echo text\n"), ECHOED);
  });

  for (const scheme of ["wss", "tls"]) {
    test(`${scheme}://: without a handshake behind it the connection is closed in time`, async (t) => {
      const hub = await secure(t, `${scheme}://127.0.0.1:0`, { handshakeTimeout: 50 });
      const socket = await openSocket(t, portOf(hub));
      const closed = untilClosed(socket);
      socket.write(REMOTE);
      await closed;
      if (scheme === "tls") assert.equal((await hub.log.untilLine("tls.refused")).ip, "1.2.3.4");
    });
  }

  test("nothing is remembered of a connection that is over", async (t) => {
    const server = createTlsServer({ cert: own.cert, key: own.key });
    const limits = { handshakeTimeout: 10_000, maxHandshakes: 10 };
    const behindProxy = new BehindProxy(new TrustedProxies(["127.0.0.1"]), {
      clock: new TestClock(),
      log: new TestLog(),
      counters: new Counters(),
      limits,
    });
    behindProxy.guard(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    const raw = await openSocket(t, (server.address() as AddressInfo).port);
    raw.write(REMOTE);
    connectTls({ socket: raw, ca: authority.cert, servername: "localhost" }).on("error", () => {});
    const [accepted] = (await once(server, "secureConnection")) as [Socket];
    accepted.on("error", () => {});
    const { remoteAddress, remotePort, localAddress } = accepted;
    assert.equal(behindProxy.addressOf({ remoteAddress, remotePort, localAddress }), "1.2.3.4");
    raw.destroy();
    await once(accepted, "close");
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(behindProxy.addressOf({ remoteAddress, remotePort, localAddress }), "127.0.0.1");
  });
});

describe("what a proxy of another host can say", () => {
  /** A listener whose connections come from where the test says. */
  function listener(): {
    arrive(from: string, header: Uint8Array): Socket;
    readonly handedOn: Socket[];
    behindProxy: BehindProxy;
    log: TestLog;
  } {
    const server = new EventEmitter();
    const handedOn: Socket[] = [];
    const log = new TestLog();
    const limits = { handshakeTimeout: 10_000, maxHandshakes: 10 };
    const behindProxy = new BehindProxy(new TrustedProxies(["10.0.0.1", "127.0.0.1"]), {
      clock: new TestClock(),
      log,
      counters: new Counters(),
      limits,
    });
    server.on("connection", (socket: Socket) => handedOn.push(socket));
    behindProxy.guard(server as Server);
    const arrive = (remoteAddress: string, header: Uint8Array): Socket => {
      const socket = Object.assign(new PassThrough(), { remoteAddress, remotePort: 4711 }) as unknown as Socket;
      server.emit("connection", socket);
      socket.write(header);
      return socket;
    };
    return { arrive, handedOn, behindProxy, log };
  }

  const CASES: readonly [what: string, proxy: string, header: Uint8Array, address: string][] = [
    ["where its client is", "10.0.0.1", REMOTE, "1.2.3.4"],
    ["not that it is on this host", "10.0.0.1", FROM_HERE, "10.0.0.1"],
    ["nor in IPv6", "10.0.0.1", blockOf({ family: INET6, source: "::1" }), "10.0.0.1"],
    ["nor with one family in the other", "10.0.0.1", lineOf("TCP6", "::ffff:127.0.0.1"), "10.0.0.1"],
    ["for itself it is itself", "10.0.0.1", blockOf({ command: COMMAND.local, family: INET, source: "127.0.0.1" }), "10.0.0.1"],
    ["one of this host can", "127.0.0.1", lineOf("TCP6", "::1"), "::1"],
    ["whoever is none has said nothing", "6.6.6.6", REMOTE, "6.6.6.6"],
  ];
  for (const [what, proxy, header, address] of CASES) {
    test(what, async () => {
      const { arrive, handedOn, behindProxy } = listener();
      const socket = arrive(proxy, header);
      await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(handedOn, [socket]);
      assert.equal(behindProxy.addressOf(socket), address);
    });
  }

  test("a connection that is over does not take the address of one that has come from the same port", async () => {
    const { arrive, behindProxy } = listener();
    const first = arrive("10.0.0.1", REMOTE);
    await new Promise((resolve) => setImmediate(resolve));
    const second = arrive("10.0.0.1", lineOf("TCP4", "5.6.7.8"));
    await new Promise((resolve) => setImmediate(resolve));
    first.destroy();
    await once(first, "close");
    assert.equal(behindProxy.addressOf(second), "5.6.7.8");
    second.destroy();
    await once(second, "close");
    assert.equal(behindProxy.addressOf(second), "10.0.0.1");
  });
});

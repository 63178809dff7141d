import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { Fault, REFUSALS, SUBPROTOCOL } from "../../protocol/index.js";
import type { Greeting } from "../../server/greeting.js";
import { PageGreeting } from "../../server/transports/page-greeting.js";
import { TestClock } from "../support/clock.js";
import { startHub, type TestHub } from "../support/hub.js";
import { TestInbox } from "../support/inbox.js";
import { noUncaughtErrors } from "./support-bystander.js";
import { opensslMissing, selfSigned } from "./support-certificates.js";
import { clientFrame } from "./support-frames.js";
import { handshake } from "./support-raw-page.js";
import { openSocket, untilClosed } from "./support-sockets.js";

noUncaughtErrors();

const FIRST_WORDS = { "Sec-WebSocket-Protocol": SUBPROTOCOL };
const HELLO = clientFrame('{"opcode":"hello"}');

/** Settles with what came, as soon as that is in it. */
function untilSaid(socket: Socket, what: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    socket.on("data", (bytes) => {
      said += bytes.toString("latin1");
      if (said.includes(what)) resolve(said);
    });
    socket.on("close", () => reject(new Error(`closed after ${JSON.stringify(said)}`)));
  });
}

async function upgraded(t: TestContext, port: number): Promise<Socket> {
  const socket = await openSocket(t, port);
  const answered = untilSaid(socket, " 101 ");
  socket.write(handshake(port, { headers: FIRST_WORDS }));
  await answered;
  return socket;
}

/** One more connection is closed without a word, and the log says why. */
async function assertDropped(t: TestContext, hub: TestHub, port: number): Promise<void> {
  const before = hub.log.of("handshake.dropped").length;
  const socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  assert.equal((await untilClosed(socket)).length, 0);
  assert.equal(hub.log.of("handshake.dropped").length, before + 1);
}

describe("3 Opening: whose handshake is not over", () => {
  test("a page that was let through the upgrade and says no hello; with its hello it makes room", async (t) => {
    const hub = await startHub(t, { maxHandshakes: 2 });
    const page = await upgraded(t, hub.wsPort);
    await upgraded(t, hub.wsPort);
    await assertDropped(t, hub, hub.wsPort);
    const ready = untilSaid(page, '"ready"');
    page.write(HELLO);
    await ready;
    await upgraded(t, hub.wsPort);
    await assertDropped(t, hub, hub.wsPort);
  });

  test("a hello that does not come whole counts as what waits for the hub", async (t) => {
    const hub = await startHub(t, { maxBuffered: 4_194_304 });
    const hello = clientFrame("x".repeat(1_000_000)).subarray(0, 999_000);
    const pages = await Promise.all(Array.from({ length: 8 }, () => upgraded(t, hub.wsPort)));
    const closed = pages.map(untilClosed);
    for (const page of pages) page.write(hello);
    await Promise.race(closed);
    assert.match(String((await hub.log.untilLine("peer.refused")).reason), /`maxBuffered`/);
  });

  test("[AUTH-9] one that was turned away, and goes on with a long message, is cut off", async (t) => {
    const hub = await startHub(t, { authenticate: [{ name: "nobody", authenticate: () => undefined }] });
    const socket = await openSocket(t, hub.wsPort);
    const told = untilSaid(socket, '"code":4401');
    socket.write(handshake(hub.wsPort, { headers: { "Sec-WebSocket-Protocol": `${SUBPROTOCOL}, ${REFUSALS}` } }));
    await told;
    const closed = untilClosed(socket);
    const message = clientFrame("x".repeat(1_000_000));
    for (let i = 0; i < 256; i++) socket.write(message);
    await closed;
    const taken = socket.bytesWritten - socket.writableLength;
    assert.ok(taken < 32_000_000, `${taken} bytes were taken of it`);
  });

  test("plain HTTP ends its connection, and takes no place behind its answer", async (t) => {
    const hub = await startHub(t, { maxHandshakes: 1 });
    for (const expects of ["", "", "Expect: 100-continue\r\n", "Expect: wonders\r\n", ""]) {
      const socket = await openSocket(t, hub.wsPort);
      const all = untilClosed(socket);
      socket.write(`GET /signalbox.js HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n${expects}\r\n`);
      assert.match((await all).toString("latin1"), /HTTP\/1\.1 200 .*\r\nConnection: close\r\n/s);
    }
    assert.deepEqual(hub.log.of("handshake.dropped"), []);
  });
});

/** Whoever is asked answers when the test says so. */
function slowly() {
  const asked = new TestInbox<() => void>();
  const authenticate = (): Promise<undefined> => new Promise((resolve) => asked.push(() => resolve(undefined)));
  return { asked, authenticate: [{ name: "slow", authenticate }] };
}

describe("3 Opening: while somebody is asked", () => {
  test("a page that has gone keeps the place of its address, and of its handshake, until the answer is there", async (t) => {
    const { asked, authenticate } = slowly();
    const hub = await startHub(t, { authenticate, trustedProxies: ["127.0.0.1"], maxPerAddress: 2 });
    const shake = (address: string): string => handshake(hub.wsPort, { headers: { "X-Forwarded-For": address } });
    const answers: (() => void)[] = [];
    for (let i = 0; i < 2; i++) {
      const socket = await openSocket(t, hub.wsPort);
      socket.write(shake("198.51.100.7"));
      answers.push(await asked.next());
      socket.resetAndDestroy();
    }
    const third = await openSocket(t, hub.wsPort);
    third.write(shake("198.51.100.7"));
    assert.match((await untilClosed(third)).toString(), /^HTTP\/1\.1 429 /);
    for (const answer of answers) answer();
    const fourth = await openSocket(t, hub.wsPort);
    fourth.write(shake("198.51.100.7"));
    (await asked.next())();
    assert.match((await untilClosed(fourth)).toString(), /^HTTP\/1\.1 401 /);
  });

  test("an answer that comes when the hub has stopped lets nobody in", async (t) => {
    const { asked, authenticate } = slowly();
    const hub = await startHub(t, { authenticate });
    const socket = await openSocket(t, hub.wsPort);
    const heard = untilClosed(socket);
    socket.write(handshake(hub.wsPort, { headers: { "Sec-WebSocket-Protocol": `${SUBPROTOCOL}, ${REFUSALS}` } }));
    const answer = await asked.next();
    await hub.stop();
    answer();
    assert.equal((await heard).length, 0);
    assert.deepEqual(hub.log.of("peer.refused"), []);
  });
});

describe("3 Opening: TLS is a part of the handshake", { skip: opensslMissing() }, () => {
  const listen = async (t: TestContext, scheme: "wss" | "tls") => {
    const folder = mkdtempSync(join(tmpdir(), "signalbox-arrivals-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const { certFile, keyFile, cert } = selfSigned(folder, "localhost");
    const tls = { tlsCert: certFile, tlsKey: keyFile };
    const hub = await startHub(t, { listen: [`${scheme}://127.0.0.1:0`], maxHandshakes: 2, ...tls });
    const port = Number(new URL(hub.listeners[0] as string).port);
    const options: ConnectionOptions = { port, host: "127.0.0.1", ca: cert, checkServerIdentity: () => undefined };
    const secure = (): Promise<Socket> =>
      new Promise((resolve, reject) => {
        const socket = connectTls(options, () => resolve(socket)).on("error", reject);
        t.after(() => socket.destroy());
      });
    return { hub, port, secure };
  };
  /** Those that say nothing at all, not even TLS. */
  const silent = (t: TestContext, port: number, count: number): Promise<Socket[]> =>
    Promise.all(Array.from({ length: count }, () => openSocket(t, port)));

  test("wss: one that does not come to an end counts, one that is over does not", async (t) => {
    const { hub, port, secure } = await listen(t, "wss");
    for (let i = 0; i < 3; i++) {
      const page = await secure();
      const answered = untilSaid(page, '"ready"');
      page.write(handshake(port));
      await answered;
    }
    const [one] = await silent(t, port, 2);
    await assertDropped(t, hub, port);
    one?.destroy();
    // Its place is free when the hub has seen the end, and until then this one is dropped too.
    for (;;) {
      const page = await secure().catch(() => undefined);
      if (page === undefined) continue;
      const answered = untilSaid(page, '"ready"');
      page.write(handshake(port));
      await answered;
      break;
    }
  });

  test("tls: the same for backends", async (t) => {
    const { hub, port, secure } = await listen(t, "tls");
    for (let i = 0; i < 3; i++) {
      const backend = await secure();
      const answered = untilSaid(backend, "next");
      backend.write("echo text\n");
      assert.match(await answered, /^next done /);
    }
    await silent(t, port, 2);
    await assertDropped(t, hub, port);
  });
});

describe("3 Opening: how long a page's words are waited for", () => {
  /** A page whose words are taken in by hand. */
  const open = (receive: (text: string) => ReturnType<Greeting["receive"]>) => {
    const clock = new TestClock();
    const ws = Object.assign(new EventEmitter(), { readyState: 1, pause() {}, resume() {} });
    const refused: string[] = [];
    const host = { welcome: () => {}, hear: () => {}, refuse: ({ kind }: Fault) => void refused.push(kind) };
    const greeting = new PageGreeting(ws, { receive } as Greeting, host, { clock, handshakeTimeout: 10_000 });
    const say = (text: string): boolean => ws.emit("message", Buffer.from(text), false);
    return { clock, refused, say, greeting };
  };

  test("one that says nothing is refused in time", () => {
    const { clock, refused } = open(() => undefined);
    clock.advance(9_999);
    assert.deepEqual(refused, []);
    clock.advance(1);
    assert.deepEqual(refused, ["no-hello"]);
  });

  test("one that has said hello is not: whoever is asked about it has a time of its own", () => {
    const { clock, refused, say } = open(() => new Promise(() => {}));
    say("hello");
    clock.advance(60_000);
    assert.deepEqual(refused, []);
  });

  test("one that is asked something has as long for its answer", () => {
    const { clock, refused, say } = open(() => undefined);
    clock.advance(9_000);
    say("hello");
    clock.advance(9_999);
    assert.deepEqual(refused, []);
    clock.advance(1);
    assert.deepEqual(refused, ["no-hello"]);
  });

  test("one that was refused hears no second reason", () => {
    const { clock, refused, say } = open(() => {
      throw new Fault("protocol", "That is no hello.");
    });
    say("nonsense");
    clock.advance(60_000);
    assert.deepEqual(refused, ["protocol"]);
  });

  test("nobody is waited for who has gone", () => {
    const { clock, refused, greeting } = open(() => undefined);
    greeting.stop();
    assert.equal(clock.pending, 0);
    clock.advance(60_000);
    assert.deepEqual(refused, []);
  });
});

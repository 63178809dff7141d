import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { type App, type Authenticator, type Credentials, type Identity, type User, unauthorized } from "../../server/main.js";
import { startHub } from "../support/hub.js";
import { LoopbackHub } from "../support/loopback.js";
import { Page } from "../support/page.js";
import { clientFrame } from "../transports/support-frames.js";
import { heldBytes } from "../transports/support-memory.js";
import { handshake, RawPage } from "../transports/support-raw-page.js";
import { flood, openSocket } from "../transports/support-sockets.js";

const ANNA: User = { id: "anna", name: "Anna", roles: [] };

/** Answers when it is told to; each question waits. */
class Slow implements Authenticator {
  readonly name = "slow";
  readonly afterHello = true;
  readonly backends = true;
  readonly #waiting: ((identity: Identity) => void)[] = [];
  #asked: (() => void) | undefined;

  authenticate({ token }: Credentials): Promise<Identity> | undefined {
    if (token === undefined) return undefined;
    if (token === "bad") throw unauthorized("This is no good token.");
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#asked?.();
    });
  }

  /** Settles when so many have asked. */
  async asked(count = 1): Promise<void> {
    while (this.#waiting.length < count) await new Promise<void>((resolve) => (this.#asked = resolve));
  }

  answer(identity: Identity = { user: ANNA }): void {
    for (const resolve of this.#waiting.splice(0)) resolve(identity);
  }
}

/** All that a TCP client hears until the hub ends. */
function hear(t: TestContext, port: number, text: string): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1" });
  t.after(() => socket.destroy());
  let heard = "";
  socket.on("data", (bytes) => {
    heard += bytes;
  });
  socket.end(text);
  return new Promise((resolve, reject) => socket.once("close", () => resolve(heard)).once("error", reject));
}

describe("[OPEN-2] while it is being found out who it is", () => {
  test("a page's messages wait, and are served behind ready, in order", async (t) => {
    const slow = new Slow();
    const hub = await startHub(t, { authenticate: [slow] });
    const page = await RawPage.connect(t, hub.wsPort, { subprotocol: true });
    page.say({ opcode: "hello", token: "good", window: 8 });
    for (let n = 0; n < 5; n++) page.say({ opcode: "echo", n });
    await slow.asked();
    for (let n = 5; n < 8; n++) page.say({ opcode: "echo", n });
    slow.answer();
    assert.equal((await page.packet()).opcode, "ready");
    for (let n = 0; n < 8; n++) {
      assert.equal((await page.packet()).n, n);
      assert.equal((await page.packet()).status, "done");
    }
  });

  test("[END-2] a backend that has ended its side already gets all its answers", async (t) => {
    const slow = new Slow();
    const hub = await startHub(t, { authenticate: [slow], trust: "nobody" });
    const heard = hear(t, hub.tcpPort, '{"opcode":"hello","token":"good"}\n{"opcode":"echo","ref":1}\n');
    await slow.asked();
    // Turns for its end to be read as well.
    for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve));
    slow.answer();
    const opcodes = (await heard)
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).opcode);
    assert.deepEqual(opcodes, ["ready", "echo", "next"]);
  });

  test("[END-6] a hub that stops lets nobody in any more", async (t) => {
    const slow = new Slow();
    let opened = 0;
    const app = { opcodes: { noop: () => 0 }, open: () => opened++ };
    const hub = await startHub(t, { authenticate: [slow], resources: { "/": app }, stopTimeout: 2_000 });
    const page = await RawPage.connect(t, hub.wsPort, { subprotocol: true });
    page.say({ opcode: "hello", token: "good" });
    await slow.asked();
    const stopped = hub.stop();
    slow.answer();
    assert.equal((await page.packet()).code, 1012);
    await stopped;
    assert.equal(opened, 0);
  });

  test("a page that has left meanwhile is nobody", async (t) => {
    const slow = new Slow();
    const hub = await startHub(t, { authenticate: [slow], grace: 0 });
    const page = await RawPage.connect(t, hub.wsPort, { subprotocol: true });
    page.say({ opcode: "hello", token: "good" });
    await slow.asked();
    page.socket.destroy();
    await page.closed;
    const other = RawPage.connect(t, hub.wsPort, { subprotocol: true });
    (await other).say({ opcode: "hello", token: "good" });
    await slow.asked(2);
    slow.answer();
    assert.equal((await (await other).packet()).opcode, "ready");
    const backend = await hear(t, hub.tcpPort, "broadcast hello\nquit\n");
    assert.match(backend, /^next sent 1$/m);
  });
});

test("[END-3] what a page goes on sending once it was refused is read and kept by nobody", async (t) => {
  const hub = await startHub(t, { authenticate: [new Slow()] });
  const before = await heldBytes();
  // One that does not care that it was refused, nor that the hub closes.
  const socket = await openSocket(t, hub.wsPort);
  socket.resume();
  socket.write(handshake(hub.wsPort, { headers: { "Sec-WebSocket-Protocol": "signalbox.1" } }));
  socket.write(clientFrame('{"opcode":"hello","token":"bad"}'));
  const frame = clientFrame("x".repeat(60_000));
  await flood(socket, frame, 2_000 * frame.length).catch(() => {});
  // A tenth of what was sent: some of it is still on its way out of this process.
  const held = (await heldBytes()) - before;
  assert.ok(held < 200 * frame.length, `held ${held} bytes more`);
  const bystander = await Page.connect(t, hub.ws, true);
  assert.equal((await bystander.ask({ opcode: "hello", token: "bad" })).code, 4401);
});

describe("[AUTH-5] a token whose answer comes late", () => {
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };

  test("is nothing to a page that has quit: nobody finds it any more", async () => {
    const slow = new Slow();
    const counting: App = { opcodes: { count: (_packet, _peer, { peers }) => [...peers].length } };
    const hub = new LoopbackHub({ apps: [counting], access: { authenticators: [slow] } });
    const page = hub.peer({ hello: {}, identity: { user: ANNA, tags: { floor: 1 } } });
    page.say({ opcode: "token", token: "good" });
    page.say({ opcode: "quit" });
    slow.answer({ user: ANNA, tags: { floor: 2 } });
    await settle();
    hub.clock.endTurn();
    assert.equal(page.closedWith()?.code, 1000);
    const backend = hub.peer({ kind: "backend", hello: {} });
    assert.equal(backend.ask({ opcode: "count" }).at(-1)?.result, 1);
  });

  test("does not take the place of a newer login", async () => {
    const slow = new Slow();
    const hub = new LoopbackHub({ access: { authenticators: [slow] } });
    const now = hub.clock.time();
    const page = hub.peer({ hello: {}, identity: { user: ANNA, expires: now + 60_000 } });
    page.say({ opcode: "token", token: "good" });
    const again = hub.peer({ hello: { resume: page.ready?.resume, seen: 0 }, identity: { user: ANNA, expires: now + 600_000 } });
    slow.answer({ user: ANNA, expires: now + 1_000 });
    await settle();
    hub.clock.advance(300_000);
    assert.equal(again.closedWith(), undefined);
  });
});

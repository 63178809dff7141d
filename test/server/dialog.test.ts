import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Fault, type Packet } from "../../protocol/index.js";
import type { App, Peer } from "../../server/app.js";
import { type Input, type State, TRANSITIONS } from "../../server/connection.js";
import { originalDialect, wordsDialect } from "../../server/dialect.js";
import { parseHello } from "../../server/hello.js";
import { LoopbackHub, type LoopbackPeer } from "../support/loopback.js";

/** An app whose `slow` messages are settled by the test, in any order. */
function slowApp(): { app: App; started: string[]; settle(name: string, value?: unknown): void; fail(name: string, error: Error): void } {
  const open = new Map<string, { resolve(value: unknown): void; reject(error: Error): void }>();
  const started: string[] = [];
  return {
    started,
    app: {
      name: "slow",
      opcodes: {
        slow({ name }) {
          started.push(String(name));
          return new Promise((resolve, reject) => open.set(String(name), { resolve, reject }));
        },
        now({ name }) {
          started.push(String(name));
          return name;
        },
        cancel({ name }) {
          started.push(`cancel ${name}`);
        },
      },
    },
    settle: (name, value) => open.get(name)?.resolve(value),
    fail: (name, error) => open.get(name)?.reject(error),
  };
}

/** Lets promises that have been settled go on. */
const microtasks = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const codeOf = (packet: Packet | undefined): unknown => (packet?.error as { code?: string } | undefined)?.code;
const refs = (peer: LoopbackPeer): unknown[] => peer.read().map((packet) => packet.ref);

describe("3 Opening", () => {
  test("[OPEN-1] ready carries the UUID, the window, the limits and the time, and whoever knows the UUID can send to it", () => {
    const loop = new LoopbackHub();
    const page = loop.peer();
    const other = loop.peer();
    assert.match(page.uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.deepEqual(other.ask({ opcode: "feedback", uuid: page.uuid, message: 1 }), [{ opcode: "next", fyi: "", status: "sent", n: 1 }]);
    assert.deepEqual(page.read(), [{ opcode: "feedback", message: 1, fromUUID: other.uuid }]);
  });

  test("[OPEN-2] what was sent together with hello is served after ready, in order", () => {
    const loop = new LoopbackHub();
    const peer = loop.peer({ hello: { window: 4 } });
    const late = loop.peer({ hello: { window: 2 } });
    assert.equal(late.connection.state, "open");
    peer.say({ opcode: "echo", ref: 1 });
    peer.say({ opcode: "echo", ref: 2 });
    assert.deepEqual(
      peer
        .read()
        .filter((packet) => packet.opcode === "next")
        .map((packet) => packet.ref),
      [1, 2],
    );
  });

  test("[OPEN-2] a cluster that takes its time delays ready and loses nothing, not even an end that comes meanwhile", async () => {
    const loop = new LoopbackHub();
    let enter: () => void = () => {};
    const reachable = new Promise<void>((resolve) => {
      enter = resolve;
    });
    const original = loop.hub.enter.bind(loop.hub);
    loop.hub.enter = ((peer: never) => reachable.then(() => original(peer))) as never;
    const peer = loop.peer({ hello: {} });
    peer.say({ opcode: "echo", ref: 1 });
    peer.say({ opcode: "echo", ref: 2 });
    assert.equal(peer.reading, false, "it is not read further while it becomes reachable");
    peer.connection.end("left", "normal");
    assert.deepEqual(peer.read(), []);
    enter();
    await microtasks();
    const packets = peer.read();
    assert.equal(packets[0]?.opcode, "ready");
    assert.deepEqual(
      packets.filter((packet) => packet.opcode === "next").map((packet) => packet.ref),
      [1, 2],
    );
    assert.equal(peer.closedWith()?.code, 1000);
  });

  for (const [what, first] of [
    ["another packet", { opcode: "echo" }],
    ["no JSON", "hello"],
    ["a window of 0", { opcode: "hello", window: 0 }],
    ["a window of text", { opcode: "hello", window: "8" }],
    ["tags that are a list", { opcode: "hello", tags: ["a"] }],
    ["an ident that is a number", { opcode: "hello", ident: 7 }],
  ] as const) {
    test(`[OPEN-3] ${what} where a hello is due is a fault that closes with 1002`, () => {
      const text = typeof first === "string" ? first : JSON.stringify(first);
      assert.throws(
        () => parseHello(text, 64),
        (error) => error instanceof Fault && error.code === 1002 && error.message.startsWith("Expected "),
      );
    });
  }

  test("[OPEN-4] a second hello is refused, and so is one from a peer that was given ready without it", () => {
    const loop = new LoopbackHub();
    for (const peer of [loop.peer({ hello: {} }), loop.peer()]) {
      const [next] = peer.ask({ opcode: "hello", ref: 1 });
      assert.equal(codeOf(next), "late-hello");
      assert.equal(next?.ref, 1);
    }
  });

  test("[WIN-1] the window granted is what was asked for, at most maxWindow", () => {
    const loop = new LoopbackHub({ limits: { maxWindow: 8 } });
    for (const [asked, granted] of [
      [1, 1],
      [8, 8],
      [9_999, 8],
    ] as const) {
      assert.equal(loop.peer({ hello: { window: asked } }).ready?.window, granted);
    }
  });
});

describe("4 next is the answer", () => {
  test("[NEXT-1] next comes in the order of the messages though handlers finish in another", async () => {
    const slow = slowApp();
    const peer = new LoopbackHub({ apps: [slow.app] }).peer({ hello: { window: 8 } });
    for (const name of ["a", "b"]) peer.say({ opcode: "slow", name, ref: name });
    peer.say({ opcode: "now", name: "c", ref: "c" });
    assert.deepEqual(slow.started, ["a", "b", "c"]);
    slow.settle("b", "B");
    await microtasks();
    assert.deepEqual(refs(peer), []);
    slow.settle("a");
    await microtasks();
    assert.deepEqual(peer.read(), [
      { opcode: "next", fyi: "", ref: "a", status: "done" },
      { opcode: "next", fyi: "", ref: "b", status: "done", result: "B" },
      { opcode: "next", fyi: "", ref: "c", status: "done", result: "c" },
    ]);
  });

  test("[NEXT-2] ref is echoed as it is, and a ref that is no name is refused", () => {
    const peer = new LoopbackHub().peer();
    assert.equal(peer.ask({ opcode: "broadcast", ref: "ä😀" })[0]?.ref, "ä😀");
    assert.equal(peer.ask({ opcode: "broadcast", ref: 0 })[0]?.ref, 0);
    assert.deepEqual(peer.ask({ opcode: "broadcast" })[0], { opcode: "next", fyi: "", status: "sent", n: 0 });
    for (const ref of [null, {}, [], true, "x".repeat(129)]) {
      const [next] = peer.ask({ opcode: "broadcast", ref });
      assert.equal(codeOf(next), "bad-message");
    }
  });

  test("[NEXT-6] cancel without an app that takes it is refused in a packet of its own opcode", () => {
    const peer = new LoopbackHub().peer();
    const packets = peer.ask({ opcode: "cancel", ref: 5 });
    assert.equal(packets.length, 1);
    assert.equal(packets[0]?.opcode, "cancel");
    assert.equal(packets[0]?.status, "refused");
    assert.equal(codeOf(packets[0]), "unknown-opcode");
  });

  test("[NEXT-7] a handler that throws or rejects is answered app-error, logged with its stack, and the peer lives", async () => {
    const errors: unknown[] = [];
    const app: App = {
      name: "broken",
      opcodes: {
        throws() {
          throw new Error("secret reason");
        },
        rejects: () => Promise.reject(new Error("secret reason")),
        unwritable: () => ({ big: 1n }),
        cyclic() {
          const value: Record<string, unknown> = {};
          value.value = value;
          return value;
        },
      },
      error: (error) => void errors.push(error),
    };
    const loop = new LoopbackHub({ apps: [app] });
    const peer = loop.peer();
    for (const opcode of Object.keys(app.opcodes)) {
      peer.say({ opcode, ref: opcode });
      await microtasks();
      const [next, ...more] = peer.read();
      assert.equal(codeOf(next), "app-error", opcode);
      assert.equal(next?.ref, opcode);
      assert.deepEqual(more, []);
      assert.ok(!JSON.stringify(next).includes("secret"));
    }
    assert.equal(loop.log.of("app.failed").filter((fields) => String(fields.stack).includes("secret reason")).length, 2);
    assert.equal(errors.length, 4);
    assert.equal(peer.ask({ opcode: "echo" }).length, 2);
  });

  test("[NEXT-7] a handler that never settles is answered app-timeout, its credit is free, and what it returns later is discarded", async () => {
    const slow = slowApp();
    const loop = new LoopbackHub({ apps: [slow.app], limits: { appTimeout: 30_000 } });
    const peer = loop.peer();
    peer.say({ opcode: "slow", name: "a", ref: 1 });
    peer.say({ opcode: "echo", ref: 2 });
    loop.clock.advance(29_000);
    assert.deepEqual(peer.read(), []);
    loop.clock.advance(3_000);
    const [first, ...rest] = peer.read();
    assert.equal(codeOf(first), "app-timeout");
    assert.deepEqual(
      rest.map((packet) => packet.opcode),
      ["echo", "next"],
    );
    slow.settle("a", "late");
    await microtasks();
    assert.deepEqual(peer.read(), []);
  });
});

describe("5 The window", () => {
  test("[WIN-2] handlers start in order, at most window of them under way", async () => {
    const slow = slowApp();
    const peer = new LoopbackHub({ apps: [slow.app] }).peer({ hello: { window: 2 } });
    for (const name of ["a", "b", "c", "d"]) peer.say({ opcode: "slow", name });
    assert.deepEqual(slow.started, ["a", "b"]);
    slow.settle("b");
    await microtasks();
    assert.deepEqual(slow.started, ["a", "b"], "b is under way until its next was written, behind that of a");
    slow.settle("a");
    await microtasks();
    assert.deepEqual(slow.started, ["a", "b", "c", "d"]);
  });

  test("[WIN-3] beyond the window the hub stops reading that peer, serves all others, and reads on when it is the message's turn", async () => {
    const slow = slowApp();
    const loop = new LoopbackHub({ apps: [slow.app] });
    const peer = loop.peer();
    peer.say({ opcode: "slow", name: "a" });
    assert.equal(peer.reading, true, "the window is full, and not exceeded");
    peer.say({ opcode: "slow", name: "b" });
    assert.equal(peer.reading, false);
    assert.equal(loop.peer().ask({ opcode: "echo" }).length, 2);
    slow.settle("a");
    await microtasks();
    assert.deepEqual(slow.started, ["a", "b"]);
    assert.equal(peer.reading, true);
  });

  test("[WIN-4] a peer that does not read its answers is not read, and goes on when it does", () => {
    const loop = new LoopbackHub({ limits: { maxQueued: 2 * 1024 * 1024 } });
    const peer = loop.peer({ hello: { window: 256 } });
    peer.stuck = true;
    const filler = "x".repeat(100_000);
    let said = 0;
    while (peer.reading && said < 1_000) peer.ask({ opcode: "echo", ref: ++said, filler });
    assert.equal(peer.reading, false);
    assert.ok(said > 5 && said < 20, `stopped after ${said} echoes of 100 kB`);
    peer.unstick();
    peer.read();
    assert.equal(peer.reading, true);
    assert.equal(peer.closedWith(), undefined, "never closed for that alone");
  });

  test("[WIN-5] cancel, reply and quit pass with all credit used up, and behind a message beyond the window they wait", async () => {
    const slow = slowApp();
    const peer = new LoopbackHub({ apps: [slow.app] }).peer();
    peer.say({ opcode: "slow", name: "a" });
    peer.say({ opcode: "cancel", name: "x" });
    assert.deepEqual(slow.started, ["a", "cancel x"]);
    assert.equal(peer.reading, true);
    peer.say({ opcode: "slow", name: "b" });
    peer.say({ opcode: "cancel", name: "y" });
    assert.deepEqual(slow.started, ["a", "cancel x"]);
    slow.settle("a");
    await microtasks();
    assert.deepEqual(slow.started, ["a", "cancel x", "b", "cancel y"], "y waited for b, which stood before it");
  });
});

describe("6 Chunks", () => {
  test("[CHUNK-1] control words and pieces get a next each, the last one is the answer with the ref of the joined packet", () => {
    const peer = new LoopbackHub().peer({ hello: { window: 8 } });
    for (const text of ["bufferON", '{"opcode":"broad', 'cast","ref":7,"message":"ä', '😀"}', "bufferOFF"]) peer.say(text);
    const packets = peer.read();
    assert.deepEqual(packets.slice(0, 4), Array(4).fill({ opcode: "next", fyi: "", status: "done" }));
    assert.deepEqual(packets[4], { opcode: "next", fyi: "", ref: 7, status: "sent", n: 0 });
  });

  test("[CHUNK-2] while a buffer is on everything but the control words is a piece, and is not trimmed", () => {
    const peer = new LoopbackHub().peer({ hello: { window: 8 } });
    const pieces = ['{"opcode":"echo","a":"', '{"opcode":"quit"}'.replaceAll('"', "'"), " bufferOFF", " ", '"}'];
    peer.say("bufferON");
    for (const piece of pieces) peer.say(piece);
    const echo = peer.ask("bufferOFF").find((packet) => packet.opcode === "echo");
    assert.deepEqual(echo, JSON.parse(pieces.join("")));
  });

  test("[CHUNK-4] bufferON twice and bufferOFF alone are refused, the buffer stays, and an empty one is no JSON", () => {
    const peer = new LoopbackHub().peer({ hello: { window: 8 } });
    const said = (text: string): unknown => codeOf(peer.ask(text).at(-1));
    assert.equal(said("bufferOFF"), "not-buffering");
    assert.equal(said("bufferON"), undefined);
    assert.equal(said('{"opcode":'), undefined);
    assert.equal(said("bufferON"), "already-buffering");
    peer.say('"echo"}');
    assert.equal(peer.ask("bufferOFF").find((packet) => packet.opcode === "echo")?.opcode, "echo");
    peer.ask("bufferON");
    assert.equal(said("bufferOFF"), "bad-json");
  });

  test("[CHUNK-5] pieces above maxMessage close the connection with a sentence that names the option", () => {
    const peer = new LoopbackHub({ limits: { maxMessage: 10_000 } }).peer();
    peer.ask("bufferON");
    let said = 0;
    while (!peer.closedWith() && said < 1_000) {
      peer.ask("x".repeat(36));
      said++;
    }
    assert.equal(said, 101, "36 bytes and 64 for each: the 101st passes 10,000");
    assert.equal(peer.closedWith()?.code, 1009);
    assert.match(String(peer.closedWith()?.reason), /maxMessage/);
  });

  test("[CHUNK-5] a buffer without a new piece for bufferTimeout closes the connection", () => {
    const loop = new LoopbackHub();
    const peer = loop.peer();
    peer.ask("bufferON");
    loop.clock.advance(25_000);
    peer.ask("piece");
    loop.clock.advance(29_000);
    assert.equal(peer.closedWith(), undefined);
    loop.clock.advance(3_000);
    assert.equal(peer.closedWith()?.code, 1008);
  });
});

describe("8 and 9 The other ways of speaking", () => {
  test("[WORD-1] the answer to plain words is always one line", () => {
    const peer = new LoopbackHub().peer({ dialect: wordsDialect, kind: "backend" });
    const ask = (line: string): string[] => {
      peer.say(line);
      return peer.texts();
    };
    assert.deepEqual(ask("broadcast a b"), ["next sent 0"]);
    assert.deepEqual(ask("echo a\u0007b"), ['next done {"opcode":"echo","message":"a\\u0007b"}']);
    assert.deepEqual(ask(`feedback ${"0".repeat(36)} x`), ["next gone"]);
    assert.match(ask("feedback short x")[0] ?? "", /^next refused bad-message /);
    assert.match(ask("nonsense a")[0] ?? "", /^next refused unknown-command /);
    assert.deepEqual(JSON.parse(ask('{"opcode":"echo","ref":1}')[0] ?? ""), {
      opcode: "next",
      fyi: "",
      ref: 1,
      status: "done",
      result: { opcode: "echo" },
    });
    assert.deepEqual(ask("quit"), ["next done"]);
    assert.equal(peer.closedWith()?.code, 1000);
  });

  test("[STD-4] words and original clients can not be addressed: refused not-a-page", () => {
    const loop = new LoopbackHub();
    const page = loop.peer();
    for (const dialect of [wordsDialect, originalDialect]) {
      const peer = loop.peer({ dialect, kind: "backend" });
      const [next] = page.ask({ opcode: "feedback", uuid: peer.connection.uuid, message: 1 });
      assert.equal(codeOf(next), "not-a-page");
      assert.deepEqual(peer.texts(), []);
    }
  });
});

describe("10 Ends and faults", () => {
  test("[END-1] quit: what is under way is answered, nothing behind it is served, and it is closed with 1000", async () => {
    const slow = slowApp();
    const loop = new LoopbackHub({ apps: [slow.app] });
    const peer = loop.peer({ hello: { window: 8 } });
    peer.say({ opcode: "slow", name: "a", ref: 1 });
    peer.say({ opcode: "quit" });
    peer.say({ opcode: "now", name: "b" });
    assert.deepEqual(loop.peer().ask({ opcode: "feedback", uuid: peer.uuid })[0]?.status, "gone");
    assert.equal(peer.closedWith(), undefined);
    slow.settle("a");
    await microtasks();
    assert.deepEqual(refs(peer), [1]);
    assert.deepEqual(slow.started, ["a"]);
    assert.equal(peer.closedWith()?.code, 1000);
  });

  test("[END-2] FIN: what was received is served and answered, then it is closed", async () => {
    const slow = slowApp();
    const peer = new LoopbackHub({ apps: [slow.app] }).peer();
    for (const name of ["a", "b"]) peer.say({ opcode: "slow", name, ref: name });
    peer.connection.end("left", "normal");
    for (const name of ["a", "b"]) {
      slow.settle(name);
      await microtasks();
    }
    assert.deepEqual(refs(peer), ["a", "b"]);
    assert.equal(peer.closedWith()?.code, 1000);
  });

  test("[END-4] messages read before a connection broke are served all the same", async () => {
    const slow = slowApp();
    const loop = new LoopbackHub({ apps: [slow.app] });
    const peer = loop.peer();
    for (const name of ["a", "b", "c"]) peer.say({ opcode: "slow", name });
    peer.connection.lost("lost");
    for (const name of ["a", "b", "c"]) {
      slow.settle(name);
      await microtasks();
    }
    assert.deepEqual(slow.started, ["a", "b", "c"]);
    assert.equal(peer.connection.state, "closed");
    assert.deepEqual(
      loop.log.of("peer.closed").map((fields) => fields.why),
      ["lost"],
    );
  });

  test("[END-6] the hub stops: handlers finish, what waits is not started, everybody is told 1012", async () => {
    const slow = slowApp();
    const loop = new LoopbackHub({ apps: [slow.app] });
    const busy = loop.peer();
    const idle = loop.peer();
    for (const name of ["a", "b"]) busy.say({ opcode: "slow", name, ref: name });
    const stopped = loop.hub.stop("Updating.");
    assert.equal(idle.closedWith()?.code, 1012);
    assert.deepEqual(idle.read(), [{ opcode: "close", error: "Updating.", code: 1012 }]);
    assert.equal(busy.closedWith(), undefined);
    slow.settle("a");
    await stopped;
    assert.deepEqual(slow.started, ["a"]);
    assert.deepEqual(
      busy.read().map((packet) => packet.ref ?? packet.error),
      ["a", "Updating."],
    );
    assert.equal(busy.closedWith()?.code, 1012);
  });

  test("[END-6] the hub does not wait longer than stopTimeout", async () => {
    const slow = slowApp();
    const loop = new LoopbackHub({ apps: [slow.app], limits: { stopTimeout: 1_000 } });
    const busy = loop.peer();
    busy.say({ opcode: "slow", name: "a" });
    const stopped = loop.hub.stop();
    loop.clock.advance(999);
    assert.equal(busy.closedWith(), undefined);
    loop.clock.advance(1);
    await stopped;
    assert.equal(busy.closedWith()?.code, 1012);
  });

  test("[END-7] a peer whose queue exceeds maxQueued is closed as slow, its queue is free at once, and the others get everything", () => {
    const loop = new LoopbackHub();
    const [deaf, good, sender] = [loop.peer(), loop.peer(), loop.peer()];
    deaf.stuck = true;
    const message = "x".repeat(16_384);
    let sent = 0;
    while (!deaf.closedWith() && sent < 1_000) {
      sender.ask({ opcode: "broadcast", message });
      sent++;
    }
    assert.equal(deaf.closedWith()?.code, 1008);
    assert.ok(sent >= 124 && sent <= 130, `closed after ${sent} messages of 16 KiB, 2 MiB`);
    assert.equal(good.read().length, sent);
    assert.deepEqual(
      loop.log.of("peer.closed").map((fields) => fields.why),
      ["slow"],
    );
  });

  test("[PKT-5] 20 malformed packets within 10 s close the connection, 19 and a pause do not", () => {
    const loop = new LoopbackHub();
    const bad = loop.peer();
    for (let i = 0; i < 19; i++) assert.equal(codeOf(bad.ask("{")[0]), "bad-json");
    loop.clock.advance(10_001);
    for (let i = 0; i < 19; i++) bad.ask("[]");
    assert.equal(bad.closedWith(), undefined);
    const last = bad.ask("7");
    assert.deepEqual(
      last.map((packet) => packet.opcode),
      ["next", "close"],
    );
    assert.equal(bad.closedWith()?.code, 1008);
  });

  test("an app can ask a peer a question, and is told when there will be no answer [ASK-1]", async () => {
    let peerInApp: Peer | undefined;
    const app: App = {
      name: "asking",
      opcodes: { unused: () => {} },
      open(peer) {
        peerInApp = peer;
      },
    };
    const loop = new LoopbackHub({ apps: [app] });
    const peer = loop.peer();
    const answer = peerInApp?.ask({ opcode: "question", text: "free it?" });
    const [question] = peer.read();
    assert.deepEqual(question, { opcode: "question", text: "free it?", ask: 1 });
    assert.deepEqual(peer.ask({ opcode: "reply", ask: 1, result: "yes" }), []);
    assert.equal(await answer, "yes");
    assert.equal(codeOf(peer.ask({ opcode: "reply", ask: 1 })[0]), "not-asked");
    const [failed, unanswered, late] = ["a", "b", "c"].map((text) =>
      assert.rejects(Promise.resolve(peerInApp?.ask({ opcode: "question", text }, 1_000))),
    );
    peer.ask({ opcode: "reply", ask: 2, error: "no" });
    await failed;
    loop.clock.advance(1_000);
    await Promise.all([unanswered, late]);
    const gone = assert.rejects(Promise.resolve(peerInApp?.ask({ opcode: "question" })));
    peer.connection.lost("lost");
    await gone;
  });
});

describe("12 The dialog as a table", () => {
  test("an input without an entry changes nothing: no state is left but by its row", () => {
    const inputs: Input[] = ["reachable", "lost", "resume", "end", "fault", "answered"];
    assert.deepEqual(TRANSITIONS.closed, {});
    for (const [state, row] of Object.entries(TRANSITIONS) as [State, Partial<Record<Input, State>>][]) {
      for (const input of Object.keys(row)) assert.ok(inputs.includes(input as Input), `${state} knows ${input}`);
    }
    const peer = new LoopbackHub().peer();
    peer.connection.fault("policy", "once");
    const closedWith = peer.closedWith();
    peer.connection.fault("protocol", "twice");
    peer.connection.end("left", "normal");
    peer.connection.lost("lost");
    peer.connection.stop("stop");
    assert.equal(peer.connection.state, "closed");
    assert.equal(peer.closedWith(), closedWith);
    assert.deepEqual(
      peer.ask({ opcode: "echo" }).map((packet) => packet.opcode),
      ["close"],
    );
  });
});

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import type { Packet } from "../../protocol/index.js";
import type { App } from "../../server/app.js";
import { LineClient } from "../support/line-client.js";
import { Page } from "../support/page.js";
import { attack, noUncaughtErrors } from "./support-bystander.js";
import { clientFrame, OP } from "./support-frames.js";
import { Gate } from "./support-gate.js";
import { boundedMemory } from "./support-memory.js";
import { RawPage } from "./support-raw-page.js";
import { flood, openSocket, untilClosed } from "./support-sockets.js";
import { WIRES } from "./support-talker.js";

const KiB = 1024;
const MiB = 1024 * KiB;
/** The size is looked at, not how fast it comes. */
const UNHURRIED = { maxRate: 1_000_000, maxByteRate: 1_000 * MiB };
/** A word that stands in what is sent, and must stand in no answer. */
const SECRET = "s3cr3t";
const STACK = /\n? {4}at |\.(js|ts):\d/;

noUncaughtErrors();

/** The error of a `next` that must be `refused`. */
function errorOf(next: Packet): { code: string; message: string } {
  assert.equal(next.opcode, "next");
  assert.equal(next.status, "refused", JSON.stringify(next).slice(0, 200));
  return next.error as { code: string; message: string };
}

const nested = (depth: number): string => `{"opcode":"echo","a":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;

interface Malformed {
  readonly what: string;
  readonly text: string;
  readonly code: string;
  /** On TCP an empty line is nothing at all. */
  readonly only?: "WebSocket";
}

const MALFORMED: readonly Malformed[] = [
  { what: "half a JSON text", text: `{"opcode":"${SECRET}`, code: "bad-json" },
  { what: "a text that is not JSON", text: SECRET, code: "bad-json" },
  { what: "JSON with something behind it", text: `{"opcode":"echo"} ${SECRET}`, code: "bad-json" },
  { what: "an empty text", text: "", code: "bad-json", only: "WebSocket" },
  { what: "null", text: "null", code: "bad-message" },
  { what: "a number", text: "42", code: "bad-message" },
  { what: "a string", text: `"${SECRET}"`, code: "bad-message" },
  { what: "an array", text: `["${SECRET}"]`, code: "bad-message" },
  { what: "no opcode", text: `{"message":"${SECRET}"}`, code: "bad-message" },
  { what: "an opcode that is a number", text: '{"opcode":7}', code: "bad-message" },
  { what: "an opcode that is null", text: '{"opcode":null}', code: "bad-message" },
  { what: "an opcode that is an array", text: '{"opcode":["echo"]}', code: "bad-message" },
  { what: "an empty opcode", text: '{"opcode":""}', code: "bad-message" },
  { what: "an opcode that only the prototype has", text: '{"__proto__":{"opcode":"echo"}}', code: "bad-message" },
  { what: "a ref that is an object", text: '{"opcode":"echo","ref":{}}', code: "bad-message" },
  { what: "65 levels", text: nested(65), code: "too-deep" },
  { what: "100,000 levels", text: nested(100_000), code: "too-deep" },
];

const UNKNOWN_OPCODES = [
  "nonsense",
  "constructor",
  "__proto__",
  "then",
  "toString",
  "onClose",
  "cancelled",
  "\u001b[31mred\r\n",
  "Ä".repeat(100_000),
];

const NO_UUIDS: readonly unknown[] = [42, 0, true, null, {}, [], [randomUUID()], { uuid: randomUUID() }];

const NO_TARGETS: readonly object[] = [
  {},
  { uuid: "" },
  { uuid: randomUUID(), ident: "x" },
  { ident: "x", tags: { a: 1 } },
  { tags: {} },
  { tags: [1] },
];

describe("2 Packets", () => {
  for (const wire of WIRES) {
    for (const { what, text, code, only } of MALFORMED) {
      if (only !== undefined && only !== wire.name) continue;
      test(`[PKT-5] ${wire.name}: ${what} is refused as ${code}, with a reason, and the dialog goes on`, (t) =>
        attack(t, {}, async (hub) => {
          const peer = await wire.open(t, hub);
          const error = errorOf(await peer.ask(text));
          assert.equal(error.code, code);
          assert.match(error.message, /^Expected .+, got .+\.$/);
          assert.doesNotMatch(error.message, new RegExp(SECRET));
          assert.equal((await peer.ask({ opcode: "echo" })).opcode, "echo");
        }));
    }

    test(`[PKT-4] ${wire.name}: 64 levels are not too deep, and brackets in a string are no levels`, (t) =>
      attack(t, {}, async (hub) => {
        const peer = await wire.open(t, hub);
        for (const text of [nested(64), JSON.stringify({ opcode: "echo", text: `\\"${"[".repeat(1000)}` })]) {
          assert.deepEqual(await peer.ask(text), JSON.parse(text));
          assert.equal((await peer.packet()).status, "done");
        }
      }));

    test(`[PKT-5] ${wire.name}: 20 malformed packets within 10 s are each answered, then the connection is closed with 1008`, (t) =>
      attack(t, {}, async (hub) => {
        const peer = await wire.open(t, hub);
        const malformed = MALFORMED.filter(({ only, text }) => only === undefined && text.length < KiB).map(({ text }) => text);
        for (let i = 0; i < 19; i++) errorOf(await peer.ask(malformed[i % malformed.length] as string));
        assert.equal((await peer.ask({ opcode: "echo" })).opcode, "echo", "19 are forgiven");
        assert.equal((await peer.packet()).status, "done");
        peer.say("one more");
        const { answers, close } = await peer.ends();
        assert.deepEqual(
          answers.map((next) => errorOf(next).code),
          ["bad-json"],
        );
        assert.equal(close.code, 1008);
        assert.match(String(close.error), /^20 malformed packets within 10 s\./);
      }));
  }

  test("[PKT-5] plain words: malformed packets are answered by JSON lines, 20 of them close the connection with 1008", (t) =>
    attack(t, {}, async (hub) => {
      const client = await LineClient.open(t, hub.tcpPort);
      client.write("{\n".repeat(20));
      for (let i = 0; i < 20; i++) assert.equal(errorOf(await client.packet()).code, "bad-json");
      assert.match(await client.lines.next(), /^close 1008 20 malformed packets/);
      await client.closed;
    }));
});

describe("3 Opening", () => {
  test("[OPEN-5] WebSocket: an unknown resource is closed with 4404, naming the path and the resources there are", (t) =>
    attack(t, { resources: { "/orders/*": new Gate().app } }, async (hub) => {
      const page = await RawPage.connect(t, hub.wsPort, { path: "/nope" });
      const close = await page.packet();
      assert.deepEqual({ opcode: close.opcode, code: close.code }, { opcode: "close", code: 4404 });
      for (const path of ["`/nope`", "/web", "/orders/*"]) assert.ok(String(close.error).includes(path), `${close.error}`);
      assert.equal((await page.closed).code, 4404);
    }));

  const UNKNOWN = [
    { dialect: "JSON", first: '{"opcode":"hello","resource":"/nope"}\n' },
    { dialect: "the original dialect", first: "php process\nGET /nope HTTP/1.1\n" },
  ];
  for (const { dialect, first } of UNKNOWN) {
    test(`[OPEN-5] TCP: an unknown resource in ${dialect} is told so and closed, and nothing behind it is obeyed`, (t) =>
      attack(t, {}, async (hub) => {
        const socket = await openSocket(t, hub.tcpPort);
        const closed = untilClosed(socket);
        socket.write(`${first}{"opcode":"broadcast","message":"evil"}\n`);
        const close = JSON.parse((await closed).toString()) as Packet;
        assert.deepEqual({ opcode: close.opcode, code: close.code }, { opcode: "close", code: 4404 });
        assert.match(String(close.error), /`\/nope`.*\/web/);
      }));
  }

  test("[OPEN-9] the request of a web page to the TCP port is closed at its first line, and no command in its body is obeyed", (t) =>
    attack(t, {}, async (hub, bystander) => {
      const socket = await openSocket(t, hub.tcpPort);
      const closed = untilClosed(socket);
      const commands = `broadcast evil\r\nfeedback ${bystander.uuid} evil\r\n{"opcode":"broadcast","message":"evil"}\r\n`;
      socket.write(`POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n\r\n${commands}`);
      assert.equal((JSON.parse((await closed).toString()) as Packet).code, 1002);
      assert.equal(hub.log.of("cross_protocol").length, 1);
      await bystander.echo();
    }));

  test("[OPEN-9] a TLS hello on the TCP port is closed at its first line, and nothing behind it is obeyed", (t) =>
    attack(t, {}, async (hub, bystander) => {
      const socket = await openSocket(t, hub.tcpPort);
      const closed = untilClosed(socket);
      socket.write(
        Buffer.concat([Buffer.from("16030100c5010000c10303", "hex"), Buffer.alloc(190, 0xfe), Buffer.from("\nbroadcast evil\n")]),
      );
      assert.equal((JSON.parse((await closed).toString()) as Packet).code, 1002);
      await bystander.echo();
    }));
});

/** What an app may do wrong, and what the log must say of it. */
const FAILING: Readonly<Record<string, { handler: () => unknown; logged: RegExp }>> = {
  throws: {
    handler() {
      throw new Error(SECRET);
    },
    logged: /s3cr3t/,
  },
  "throws a string": {
    handler() {
      throw SECRET;
    },
    logged: /s3cr3t/,
  },
  "throws undefined": {
    handler() {
      throw undefined;
    },
    logged: /undefined/,
  },
  "throws an object without a prototype": {
    handler() {
      throw Object.create(null);
    },
    logged: /./,
  },
  rejects: { handler: () => Promise.reject(new Error(SECRET)), logged: /s3cr3t/ },
  "rejects with undefined": { handler: () => Promise.reject(), logged: /undefined/ },
  "rejects with an object without a prototype": { handler: () => Promise.reject(Object.create(null)), logged: /./ },
  "returns what is no JSON": { handler: () => 1n, logged: /BigInt/ },
  "resolves to a circle": {
    async handler() {
      const circle: Record<string, unknown> = {};
      circle.circle = circle;
      return circle;
    },
    logged: /circular/i,
  },
  "returns what throws when it is written": {
    handler: () => ({
      toJSON() {
        throw new Error(SECRET);
      },
    }),
    logged: /s3cr3t/,
  },
};

describe("4 `next` is the answer", () => {
  for (const wire of WIRES) {
    for (const [what, { handler, logged }] of Object.entries(FAILING)) {
      test(`[NEXT-7] ${wire.name}: an app that ${what} is answered app-error and logged with the stack, and the peer lives`, (t) => {
        const app: App = { name: "failing", opcodes: { fail: handler } };
        return attack(t, { resources: { "/": app } }, async (hub) => {
          const peer = await wire.open(t, hub);
          const next = await peer.ask({ opcode: "fail", ref: 1 });
          const error = errorOf(next);
          assert.deepEqual({ ref: next.ref, code: error.code }, { ref: 1, code: "app-error" });
          assert.doesNotMatch(error.message, new RegExp(`${SECRET}|${STACK.source}`));
          const [line, ...more] = hub.log.of("app.failed");
          assert.deepEqual({ app: line?.app, more }, { app: "failing", more: [] });
          assert.match(String(line?.error), logged);
          assert.match(String(line?.stack), STACK);
          assert.equal((await peer.ask({ opcode: "echo" })).opcode, "echo");
        });
      });
    }
  }

  test("[NEXT-7] an app that never settles is answered app-timeout and logged; the peer lives, and what comes late is discarded", (t) => {
    const gate = new Gate();
    return attack(t, { resources: { "/": gate.app }, appTimeout: 50 }, async (hub) => {
      const peers = await Promise.all(WIRES.map((wire) => wire.open(t, hub)));
      for (const peer of peers) peer.say({ opcode: "hold", ref: 1 });
      for (const peer of peers) {
        const next = await peer.packet();
        const error = errorOf(next);
        assert.deepEqual({ ref: next.ref, code: error.code }, { ref: 1, code: "app-timeout" });
        assert.match(error.message, /`appTimeout` 50 ms/);
      }
      assert.equal(hub.log.of("app.failed").length, peers.length);
      for (const line of hub.log.of("app.failed")) assert.match(String(line.stack), STACK);
      for (const peer of peers) {
        (await gate.started.next()).finish("late");
        assert.deepEqual(await peer.ask({ opcode: "echo", ref: 2 }), { opcode: "echo" });
        assert.equal((await peer.packet()).ref, 2);
      }
    });
  });
});

describe("6 Chunks", () => {
  for (const wire of WIRES) {
    test(`[CHUNK-4] ${wire.name}: bufferOFF without bufferON is refused, and the dialog goes on`, (t) =>
      attack(t, {}, async (hub) => {
        const peer = await wire.open(t, hub);
        assert.equal(errorOf(await peer.ask("bufferOFF")).code, "not-buffering");
        assert.equal((await peer.ask({ opcode: "echo" })).opcode, "echo");
      }));

    test(`[CHUNK-4] ${wire.name}: a second bufferON is refused, and the buffer stays`, (t) =>
      attack(t, {}, async (hub) => {
        const peer = await wire.open(t, hub);
        assert.equal((await peer.ask("bufferON")).status, "done");
        assert.equal((await peer.ask('{"opcode":"echo",')).status, "done");
        assert.equal(errorOf(await peer.ask("bufferON")).code, "already-buffering");
        assert.equal((await peer.ask('"n":1}')).status, "done");
        assert.deepEqual(await peer.ask("bufferOFF"), { opcode: "echo", n: 1 });
        assert.equal((await peer.packet()).status, "done");
      }));

    test(`[CHUNK-4] ${wire.name}: an empty buffer is no JSON`, (t) =>
      attack(t, {}, async (hub) => {
        const peer = await wire.open(t, hub);
        assert.equal((await peer.ask("bufferON")).status, "done");
        assert.equal(errorOf(await peer.ask("bufferOFF")).code, "bad-json");
        assert.equal(errorOf(await peer.ask("bufferOFF")).code, "not-buffering");
      }));

    const PIECES = [
      { what: "endless pieces of 64 KiB", piece: "x".repeat(64 * KiB), count: 768, atOnce: 1 },
      { what: "300,000 pieces of one byte", piece: "x", count: 300_000, atOnce: 1_000 },
    ];
    for (const { what, piece, count, atOnce } of PIECES) {
      test(`[CHUNK-5] ${wire.name}: ${what} are closed with 1009 naming maxMessage, and the memory is free at once`, (t) =>
        attack(t, UNHURRIED, (hub) =>
          boundedMemory(async () => {
            const peer = await wire.open(t, hub);
            assert.equal((await peer.ask("bufferON")).status, "done");
            const bytes = Buffer.concat(Array<Buffer>(atOnce).fill(peer.bytes(piece)));
            await flood(peer.socket, bytes, bytes.length * (count / atOnce));
            const { answers, close } = await peer.ends();
            assert.equal(close.code, 1009);
            assert.match(String(close.error), /`maxMessage` 1048576 bytes/);
            assert.equal(answers.length, Math.floor(MiB / (piece.length + 64)), "what fitted was acknowledged, nothing else");
            assert.ok(answers.every((next) => next.status === "done"));
          }),
        ));
    }
  }
});

describe("7 The built-in opcodes", () => {
  for (const wire of WIRES) {
    test(`[STD-8] ${wire.name}: an unknown opcode is refused by its name, cut to 64 characters and escaped`, (t) =>
      attack(t, {}, async (hub) => {
        const peer = await wire.open(t, hub);
        for (const [ref, opcode] of UNKNOWN_OPCODES.entries()) {
          const next = await peer.ask({ opcode, ref });
          const { code, message } = errorOf(next);
          assert.deepEqual({ ref: next.ref, code }, { ref, code: "unknown-opcode" });
          assert.ok(message.includes(opcode.slice(0, 4).replace("\u001b", "\\u001b")), message);
          // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
          assert.doesNotMatch(message, /[\u0000-\u001f]|Ä{65}/);
        }
      }));

    test(`[NEXT-3] ${wire.name}: feedback to a UUID that nobody has is answered gone, at once`, (t) =>
      attack(t, {}, async (hub) => {
        const peer = await wire.open(t, hub);
        for (const uuid of [randomUUID(), "x", "__proto__", "constructor"]) {
          assert.deepEqual(await peer.ask({ opcode: "feedback", ref: 1, uuid }), { opcode: "next", fyi: "", ref: 1, status: "gone" });
        }
      }));

    test(`[STD-3] ${wire.name}: a uuid that is no string is refused and reaches nobody`, (t) =>
      attack(t, {}, async (hub, bystander) => {
        const peer = await wire.open(t, hub);
        for (const uuid of NO_UUIDS)
          assert.equal(errorOf(await peer.ask({ opcode: "feedback", uuid, message: "evil" })).code, "bad-message");
        await bystander.echo();
      }));

    test(`[STD-3] ${wire.name}: feedback to nobody, or to more than one kind of target, is refused and reaches nobody`, (t) =>
      attack(t, {}, async (hub, bystander) => {
        const peer = await wire.open(t, hub);
        for (const target of NO_TARGETS) {
          assert.equal(errorOf(await peer.ask({ opcode: "feedback", message: "evil", ...target })).code, "bad-message");
        }
        await bystander.echo();
      }));

    test(`[STD-2] ${wire.name}: a forged fromUUID is replaced in feedback by the hub's own, and dropped from a broadcast`, (t) =>
      attack(t, {}, async (hub) => {
        const peer = await wire.open(t, hub);
        // On its own resource, so that the bystander is left in peace.
        const page = await Page.open(t, `${hub.ws}/web`, {});
        assert.equal((await peer.ask({ opcode: "feedback", uuid: page.uuid, fromUUID: page.uuid })).status, "sent");
        assert.deepEqual(await page.packets.next(), { opcode: "feedback", fromUUID: peer.uuid });
        assert.equal((await peer.ask({ opcode: "broadcast", resource: "/web", n: 1, fromUUID: page.uuid })).status, "sent");
        assert.deepEqual(await page.packets.next(), { opcode: "broadcast", n: 1 });
      }));
  }

  test("[STD-8] plain words: an unknown command is refused by its name, cut and escaped, in one line", (t) =>
    attack(t, {}, async (hub) => {
      const client = await LineClient.open(t, hub.tcpPort);
      client.write("echo first\n");
      await client.lines.next();
      for (const word of ["nonsense", "constructor", "__proto__", "Echo", "\u001b[31mred", "Ä".repeat(100_000)]) {
        client.write(`${word} and more\n`);
        const line = await client.lines.next();
        assert.ok(line.startsWith("next refused unknown-command "), line);
        assert.ok(line.includes(word.slice(0, 4).replace("\u001b", "\\u001b")), line);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
        assert.doesNotMatch(line, /[\u0000-\u001f]|Ä{65}/);
      }
    }));

  test("[NEXT-3] plain words: feedback to a UUID that nobody has is answered `next gone`, to a word that is no UUID refused", (t) =>
    attack(t, {}, async (hub) => {
      const client = await LineClient.open(t, hub.tcpPort);
      client.write(`feedback ${randomUUID()} text\nfeedback nobody text\nfeedback\n`);
      assert.equal(await client.lines.next(), "next gone");
      assert.match(await client.lines.next(), /^next refused bad-message Expected a UUID/);
      assert.match(await client.lines.next(), /^next refused bad-message Expected a UUID/);
    }));

  test("[STD-2] plain words: fromUUID is the hub's own, whatever a JSON line says", (t) =>
    attack(t, {}, async (hub) => {
      const page = await Page.open(t, `${hub.ws}/web`, {});
      const client = await LineClient.open(t, hub.tcpPort);
      client.write(`feedback ${page.uuid} text\n`);
      client.say({ opcode: "feedback", uuid: page.uuid, fromUUID: page.uuid });
      const [plain, json] = [await page.packets.next(), await page.packets.next()];
      assert.equal(plain.message, "text");
      assert.match(String(plain.fromUUID), /^[0-9a-f-]{36}$/);
      assert.notEqual(plain.fromUUID, page.uuid);
      assert.deepEqual(json, { opcode: "feedback", fromUUID: plain.fromUUID });
    }));
});

/** What never ends: the bytes before it, those that are repeated, and the option that must be named. */
const ENDLESS = [
  { what: "an endless first line", before: "", option: "`maxFirstLine` 8192 bytes" },
  { what: "an endless line in JSON", before: '{"opcode":"hello"}\n{"opcode":"', option: "`maxMessage` 1048576 bytes" },
  { what: "an endless line in plain words", before: "echo first\necho ", option: "`maxMessage` 1048576 bytes" },
  {
    what: "an endless packet in the original dialect",
    before: 'php process\nGET / HTTP/1.1\n{"opcode":"',
    option: "`maxMessage` 1048576 bytes",
  },
];

describe("11 Limits", () => {
  const TOO_BIG = [
    { what: "one frame above maxMessage", frames: () => [clientFrame("x".repeat(MiB + 1))] },
    {
      what: "48 MiB in fragments",
      frames: () => [
        clientFrame("x".repeat(64 * KiB), { fin: false }),
        clientFrame("x".repeat(64 * KiB), { opcode: OP.continuation, fin: false }),
      ],
    },
  ];
  for (const { what, frames } of TOO_BIG) {
    test(`[END-3] WebSocket: ${what} is closed with 1009 naming maxMessage, and the memory is free at once`, (t) =>
      attack(t, {}, (hub) =>
        boundedMemory(async () => {
          const page = await RawPage.open(t, hub.wsPort, {});
          const [first, again = Buffer.alloc(64 * KiB)] = frames();
          page.write(first as Buffer);
          await flood(page.socket, again, 48 * MiB);
          const close = await page.packet();
          assert.deepEqual({ opcode: close.opcode, code: close.code }, { opcode: "close", code: 1009 });
          assert.match(String(close.error), /`maxMessage`/);
          assert.equal((await page.closed).code, 1009);
        }),
      ));
  }

  for (const { what, before, option } of ENDLESS) {
    test(`[END-3] TCP: ${what} is closed with 1009 naming the option, and the memory is free at once`, (t) =>
      attack(t, {}, (hub) =>
        boundedMemory(async () => {
          const socket = await openSocket(t, hub.tcpPort);
          const closed = untilClosed(socket);
          socket.write(before);
          await flood(socket, Buffer.alloc(64 * KiB, "x"), 48 * MiB);
          const text = (await closed).toString();
          assert.match(text, /(^|\n|\})(\{"opcode":"close".*"code":1009\}|close 1009 .*)\n?$/);
          assert.ok(text.includes(option), text);
        }),
      ));
  }

  test("a message of exactly maxMessage bytes is no fault, one byte more is, on both wires alike", (t) =>
    attack(t, { maxMessage: 2 * KiB }, async (hub) => {
      const frame = JSON.stringify({ opcode: "echo", text: "" }).length;
      for (const wire of WIRES) {
        const peer = await wire.open(t, hub);
        assert.equal((await peer.ask({ opcode: "echo", text: "x".repeat(2 * KiB - frame) })).opcode, "echo");
        assert.equal((await peer.packet()).status, "done");
        peer.say({ opcode: "echo", text: "x".repeat(2 * KiB - frame + 1) });
        assert.equal((await peer.ends()).close.code, 1009);
      }
    }));

  for (const wire of WIRES) {
    test(`[END-7] ${wire.name}: a peer that does not read is closed as slow at maxQueued, told so, and nobody else waits`, (t) =>
      attack(t, { maxMessage: 64 * KiB, maxQueued: 256 * KiB }, (hub) =>
        boundedMemory(async () => {
          const slow = await wire.open(t, hub, { ident: "slow" });
          const sender = await LineClient.open(t, hub.tcpPort);
          await sender.hello();
          slow.socket.pause();
          const report = { opcode: "feedback", uuid: slow.uuid, text: "x".repeat(60 * KiB) };
          let taken = 0;
          let last = await sender.ask(report);
          for (; last.status === "sent" && taken < 2_000; last = await sender.ask(report)) taken++;
          assert.equal(last.status, "gone", `closed after ${taken} reports`);
          assert.deepEqual(
            hub.log.of("peer.closed").map(({ ident, why }) => ({ ident, why })),
            [{ ident: "slow", why: "slow" }],
          );
          slow.socket.resume();
          let close = await slow.packet();
          let read = 0;
          for (; close.opcode === "feedback"; close = await slow.packet()) read++;
          assert.ok(read < taken, "its queue was dropped");
          assert.deepEqual({ opcode: close.opcode, code: close.code }, { opcode: "close", code: 1008 });
          assert.match(String(close.error), /`maxQueued` 262144 bytes/);
          await slow.closed();
        }),
      ));
  }
});

import assert from "node:assert/strict";
import type { Packet } from "../../protocol/index.js";
import { LineClient } from "../support/line-client.js";
import { clientFrame } from "../transports/support-frames.js";
import { RawPage } from "../transports/support-raw-page.js";
import { flood } from "../transports/support-sockets.js";
import type { Attack, AttackGroup } from "./attack.js";
import { backendOf, closesWith, errorOf, KiB, MiB, many, roundTrips, untilNext } from "./steps.js";
import { until } from "./until.js";

const nested = (depth: number): string => `{"opcode":"echo","a":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;

const window: readonly Attack[] = [
  {
    threats: [29],
    name: "5,000 messages at once are answered one by one, in order, and nobody is closed for that",
    async run(target) {
      const backend = await backendOf(target);
      backend.write(Array.from({ length: 5_000 }, (_, ref) => `{"opcode":"nonsense","ref":${ref}}\n`).join(""));
      for (let ref = 0; ref < 5_000; ref++) assert.equal((await backend.packet()).ref, ref);
      const page = await RawPage.open(target.t, target.wsPort, {});
      page.write(...Array.from({ length: 5_000 }, (_, ref) => clientFrame(`{"opcode":"nonsense","ref":${ref}}`)));
      for (let ref = 0; ref < 1_000; ref++) assert.equal((await page.packet()).ref, ref);
      assert.equal(page.socket.destroyed, false, "who is too fast is slowed down");
    },
  },
  {
    threats: [29, 58],
    name: "128 MiB of messages whose answers nobody reads are not read, and answered when somebody does",
    async run(target) {
      const page = await RawPage.open(target.t, target.wsPort, {});
      const backend = await backendOf(target);
      const echo = { opcode: "echo", text: target.secret + "x".repeat(64 * KiB) };
      const ways = [
        { peer: page, bytes: clientFrame(JSON.stringify(echo)) },
        { peer: backend, bytes: Buffer.from(`${JSON.stringify(echo)}\n`) },
      ];
      let over = 0;
      for (const { peer, bytes } of ways) {
        peer.socket.pause();
        void flood(peer.socket, bytes, 128 * MiB).then(() => over++);
      }
      // Each is time for the hub to read 64 KiB and more, if it did.
      await roundTrips(target, 1_000);
      assert.equal(over, 0, "neither is read to the end");
      for (const { peer } of ways) {
        peer.socket.resume();
        for (let i = 0; i < 20; i++) {
          assert.deepEqual(await peer.packet(), echo);
          assert.equal((await peer.packet()).status, "done");
        }
      }
    },
  },
  {
    threats: [29],
    name: "what needs no credit is no way around it: `seen` without end closes with 1008, answers to nothing wait unread",
    logs: ["peer.closed"],
    async run(target) {
      const { t, wsPort, hub } = target;
      const hasty = await RawPage.open(t, wsPort, {});
      const seen = Buffer.concat(Array<Buffer>(1_000).fill(clientFrame('{"opcode":"seen","n":0}')));
      await flood(hasty.socket, seen, 300 * seen.length);
      await closesWith(hasty, 1008);
      const deaf = await RawPage.open(t, wsPort, {});
      deaf.socket.pause();
      const replies = Buffer.concat(Array<Buffer>(1_000).fill(clientFrame('{"opcode":"reply","ask":1}')));
      let over = false;
      void flood(deaf.socket, replies, 1_000 * replies.length).then(() => {
        over = true;
      });
      await roundTrips(target, 300);
      assert.equal(over, false, "it is not read to the end");
      assert.ok((await hub.status()).buffered.bytes < 4 * MiB);
    },
  },
  {
    threats: [43],
    name: "nothing behind `quit` is served",
    async run({ t, wsPort, tcpPort, secret }) {
      const evil = JSON.stringify({ opcode: "broadcast", message: secret });
      const page = await RawPage.open(t, wsPort, {});
      page.write(clientFrame('{"opcode":"quit"}'), clientFrame(evil), clientFrame(evil));
      assert.equal((await page.closed).code, 1000);
      for (const first of ['{"opcode":"hello"}\n{"opcode":"quit"}\n', "echo x\nquit\n", 'php process\nGET / HTTP/1.1\n{"opcode":"quit"}']) {
        const client = await LineClient.open(t, tcpPort);
        client.write(`${first}${evil}\nbroadcast ${secret}\n`);
        await client.closed;
      }
    },
  },
];

const chunks: readonly Attack[] = [
  {
    threats: [30, 31],
    name: "control words out of place are refused, and an open buffer stays as it is",
    async run({ t, wsPort }) {
      const page = await RawPage.open(t, wsPort, {});
      assert.equal(errorOf(await page.ask("bufferOFF")).code, "not-buffering");
      assert.equal((await page.ask("bufferON")).status, "done");
      assert.equal(errorOf(await page.ask("bufferON")).code, "already-buffering");
      assert.equal(errorOf(await page.ask("bufferOFF")).code, "bad-json");
      assert.equal(errorOf(await page.ask("bufferOFF")).code, "not-buffering");
    },
  },
  {
    threats: [34],
    name: "a piece that only looks like a control word is a piece",
    async run({ t, wsPort }) {
      const page = await RawPage.open(t, wsPort, {});
      const pieces = ['{"opcode":"echo","text":"', " bufferOFF", "bufferOFF ", "bufferON ", "bufferoff", "", 'bufferOFF"}'];
      for (const text of ["bufferON", ...pieces]) assert.equal((await page.ask(text)).status, "done", text);
      const { text } = await page.ask("bufferOFF");
      assert.equal(text, " bufferOFFbufferOFF bufferON bufferoffbufferOFF");
    },
  },
  {
    threats: [32],
    name: "endless pieces, whether their answers are read or not, and 300,000 of one byte close with 1009",
    async run(target) {
      const { t, wsPort, secret } = target;
      const page = await RawPage.open(t, wsPort, {});
      assert.equal((await page.ask("bufferON")).status, "done");
      for (let i = 0; i < 15; i++) assert.equal((await page.ask("x".repeat(64 * KiB))).status, "done");
      page.say("x".repeat(64 * KiB));
      await closesWith(page, 1009);
      for (const piece of [`${secret}${"x".repeat(64 * KiB)}\n`, "x\n"]) {
        const backend = await backendOf(target);
        backend.write("bufferON\n");
        const thousand = Buffer.from(piece.length > 2 ? piece : piece.repeat(1_000));
        await flood(backend.socket, thousand, piece.length > 2 ? 48 * MiB : 300 * thousand.length);
        let packet = await backend.packet();
        while (packet.opcode === "next") packet = await backend.packet();
        assert.deepEqual([packet.opcode, packet.code], ["close", 1009]);
      }
    },
  },
  {
    threats: [33],
    name: "buffers that 200 pages leave behind when they are reset are freed",
    async run({ t, wsPort, hub }) {
      const piece = clientFrame("x".repeat(240 * KiB));
      const before = (await hub.status()).buffered.bytes;
      await many(200, 4, async (i) => {
        // Every other page may come back, so that its buffer is kept for the grace.
        const page = await RawPage.open(t, wsPort, i % 2 === 0 ? undefined : {});
        assert.equal((await page.ask("bufferON")).status, "done");
        page.write(piece);
        assert.equal((await page.packet()).status, "done");
        page.socket.resetAndDestroy();
      });
      const { buffered } = await until(
        () => hub.status(),
        (status) => status.buffered.bytes <= before,
      );
      assert.ok(buffered.bytes <= before, `${buffered.bytes - before} are still kept`);
    },
  },
  {
    threats: [33],
    name: "buffers that 60 pages hold open are counted, and close with 1008 after `bufferTimeout`",
    async run({ t, wsPort, hub }) {
      const pages = await Promise.all(Array.from({ length: 60 }, () => RawPage.open(t, wsPort, {})));
      for (const page of pages) page.write(clientFrame("bufferON"), clientFrame("x".repeat(480 * KiB)));
      for (const page of pages) for (let i = 0; i < 2; i++) assert.equal((await page.packet()).status, "done");
      assert.ok((await hub.status()).buffered.bytes >= 60 * 480 * KiB);
      await Promise.all(pages.map((page) => closesWith(page, 1008)));
      assert.ok((await hub.status()).buffered.bytes < MiB);
    },
  },
  {
    threats: [23, 33],
    name: "messages whose last byte does not come are counted, and closed after `bufferTimeout`",
    async run(target) {
      const { t, wsPort, hub } = target;
      const text = JSON.stringify({ opcode: "echo", text: "x".repeat(900 * KiB) });
      const pages = await Promise.all(Array.from({ length: 20 }, () => RawPage.open(t, wsPort, {})));
      for (const page of pages) page.write(clientFrame(text).subarray(0, -1));
      const backend = await backendOf(target);
      backend.write(text);
      const { buffered } = await until(
        () => hub.status(),
        (status) => status.buffered.bytes > 20 * 900 * KiB,
      );
      assert.ok(buffered.bytes > 20 * 900 * KiB, `${buffered.bytes} are counted`);
      await Promise.all(pages.map((page) => closesWith(page, 1008)));
      await backend.closed;
    },
  },
];

const MALFORMED = [
  "{",
  "x",
  "null",
  "42",
  '"text"',
  "[]",
  '{"opcode":7}',
  '{"opcode":null}',
  '{"opcode":["echo"]}',
  '{"opcode":""}',
  "NaN",
  "'x'",
];
const OPCODES = ["constructor", "__proto__", "then", "onClose", "toString", "hasOwnProperty", "\u001b[31mred\r\n", "x".repeat(200_000)];

const packets: readonly Attack[] = [
  {
    threats: [36],
    name: "what is no packet is refused with a reason and without a word of it; 20 of them close with 1008",
    async run({ t, wsPort, secret }) {
      const page = await RawPage.open(t, wsPort, {});
      for (let i = 0; i < 19; i++) {
        const { code, message } = errorOf(await page.ask(i === 0 ? `{"opcode":"${secret}` : (MALFORMED[i % MALFORMED.length] as string)));
        assert.ok(["bad-json", "bad-message"].includes(code));
        assert.ok(!message.includes(secret));
      }
      page.say("x");
      await closesWith(page, 1008);
    },
  },
  {
    threats: [37],
    name: "bombs of 100,000 levels are too deep, in one text, in pieces, in a hello and in a ref",
    async run({ t, wsPort }) {
      const page = await RawPage.open(t, wsPort, {});
      for (const bomb of [
        nested(100_000),
        nested(65),
        "[".repeat(1_000_000),
        '{"a":'.repeat(100_000),
        `{"opcode":"x","ref":${"[".repeat(9_999)}`,
      ])
        assert.equal(errorOf(await page.ask(bomb)).code, "too-deep");
      for (const text of ["bufferON", nested(100_000).slice(0, 100_000), nested(100_000).slice(100_000)])
        assert.equal((await page.ask(text)).status, "done");
      assert.equal(errorOf(await page.ask("bufferOFF")).code, "too-deep");
      const hello = await RawPage.connect(t, wsPort, { subprotocol: true });
      hello.say(nested(100_000).replace("echo", "hello"));
      await closesWith(hello, 1002);
    },
  },
  {
    threats: [38],
    name: "50,000 keys and numbers of 100,000 digits are echoed at once; what is not finite is no number",
    async run(target) {
      const page = await RawPage.open(target.t, target.wsPort, {});
      const keys = JSON.stringify({ opcode: "echo", ...Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`key${i}`, i])) });
      for (const text of [keys, `{"opcode":"echo","n":${"9".repeat(100_000)}}`, `{"opcode":"echo","n":0.${"1".repeat(100_000)}}`]) {
        assert.equal((await page.ask(text)).opcode, "echo");
        assert.equal((await page.packet()).status, "done");
      }
      const hello = await RawPage.connect(target.t, target.wsPort, { subprotocol: true });
      hello.say('{"opcode":"hello","window":1e999}');
      await closesWith(hello, 1002);
      const backend = await backendOf(target);
      backend.write(`{"opcode":"progress","uuid":"${page.uuid}","at":1e999}\n{"opcode":"lock","space":"s","ids":[1e999]}\n`);
      for (let i = 0; i < 2; i++) assert.equal(errorOf(await backend.packet()).code, "bad-message");
    },
  },
  {
    threats: [39],
    name: "keys of the prototype pollute nothing, wherever they stand",
    async run(target) {
      const page = await RawPage.open(target.t, target.wsPort, {});
      const evil = '{"polluted":true,"ident":"evil","status":"evil"}';
      const texts = [
        `{"opcode":"echo","__proto__":${evil},"constructor":{"prototype":${evil}}}`,
        `{"opcode":"echo","a":{"__proto__":${evil}}}`,
        `{"opcode":"set","key":"__proto__","value":${evil}}`,
        `{"opcode":"lock","space":"__proto__","ids":["__proto__","constructor","prototype"]}`,
        `{"opcode":"feedback","ident":"__proto__","message":${evil}}`,
        `{"opcode":"feedback","tags":{"__proto__":"x"},"message":${evil}}`,
      ];
      for (const text of texts) {
        page.say(text);
        await untilNext(page);
      }
      await RawPage.open(target.t, target.wsPort, { ident: "__proto__", tags: JSON.parse('{"__proto__":"x","constructor":"y"}') });
      const fresh = await RawPage.open(target.t, target.wsPort, {});
      const echo = await fresh.ask({ opcode: "echo" });
      assert.deepEqual(Object.keys(echo), ["opcode"]);
      assert.doesNotMatch(JSON.stringify(await target.hub.status()), /polluted|evil/);
    },
  },
  {
    threats: [40],
    name: "opcodes of the prototype, of control characters and of 200,000 characters are unknown, and named harmlessly",
    async run({ t, wsPort }) {
      const page = await RawPage.open(t, wsPort, {});
      for (const opcode of OPCODES) {
        const { code, message } = errorOf(await page.ask({ opcode }));
        assert.equal(code, "unknown-opcode");
        assert.ok(message.length < 300);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
        assert.doesNotMatch(message, /[\u0000-\u001f]/);
      }
    },
  },
  {
    threats: [41],
    name: "of duplicate keys the last counts",
    async run({ t, wsPort, bystander }) {
      const page = await RawPage.open(t, wsPort, {});
      assert.deepEqual(await page.ask('{"opcode":"feedback","n":1,"opcode":"echo","n":2}'), { opcode: "echo", n: 2 });
      assert.equal((await page.packet()).status, "done");
      page.say(`{"opcode":"feedback","uuid":"${bystander}","uuid":"${page.uuid}","message":1}`);
      assert.equal((await page.packet()).opcode, "feedback");
    },
  },
  {
    threats: [42],
    name: "lone surrogates, NUL, line separators and byte order marks pass in one line, and a mark in front of a packet is none",
    async run(target) {
      const backend = await backendOf(target);
      const page = await RawPage.open(target.t, target.wsPort, {});
      for (const text of ["\ud800", "\u0000", "\u2028\u2029\u0085", "\ufeff", "\r\n\v\f", "\u202e", '"\\']) {
        page.say({ opcode: "feedback", uuid: backend.uuid, text });
        assert.equal((await backend.packet()).text, text);
        assert.equal((await page.packet()).status, "sent");
      }
      page.say('\ufeff{"opcode":"echo"}');
      assert.equal(errorOf(await page.packet()).code, "bad-json");
    },
  },
];

/** Apps that fail in each way there is. */
const BAD_APP = `export default {
  name: "bad",
  opcodes: {
    throws() { throw new Error("Not today."); },
    rejects: () => Promise.reject(new Error("Not today.")),
    late: () => new Promise((_, reject) => setImmediate(reject)),
    circle() { const circle = {}; circle.circle = circle; return circle; },
    never: () => new Promise(() => {}),
    forgotten() { Promise.reject(new Error("Nobody awaits this.")); return 1; },
  },
};`;

const apps: readonly Attack[] = [
  {
    threats: [44],
    name: "an app that throws, rejects, or never settles is answered so and logged, with its stack in the log alone",
    logs: ["app.failed"],
    appsFail: true,
    async run({ t, wsPort, hub, from, secret }) {
      const page = await RawPage.open(t, wsPort, {}, { path: "/bad" });
      const ask = (opcode: string): Promise<Packet> => page.ask({ opcode, payload: secret });
      for (const opcode of ["throws", "rejects", "late", "circle"]) assert.equal(errorOf(await ask(opcode)).code, "app-error");
      assert.equal((await ask("forgotten")).status, "done");
      assert.equal(errorOf(await ask("never")).code, "app-timeout");
      assert.equal((await page.ask({ opcode: "echo" })).opcode, "echo");
      const logged = hub.log.of("app.failed", from).map(({ fields }) => String(fields?.stack ?? ""));
      assert.equal(logged.length, 6);
      assert.match(logged[0] as string, /Not today.*\n? {4}at /s);
    },
  },
];

export const DIALOG: readonly AttackGroup[] = [
  { name: "dialog", hub: { args: ["--grace", "200", "--buffer-timeout", "2000"] }, attacks: [...window, ...chunks, ...packets] },
  {
    name: "dialog: apps",
    hub: {
      args: ["--app-timeout", "200"],
      files: { "signalbox.config.json": JSON.stringify({ resources: { "/bad": "./bad.mjs" } }), "bad.mjs": BAD_APP },
    },
    attacks: apps,
  },
];

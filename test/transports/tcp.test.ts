import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { Answer, type Packet, Refusal } from "../../protocol/index.js";
import type { App } from "../../server/app.js";
import { startHub, type TestHub } from "../support/hub.js";
import { LineClient } from "../support/line-client.js";
import { Page } from "../support/page.js";
import { attack, noUncaughtErrors } from "./support-bystander.js";
import { Gate } from "./support-gate.js";
import { boundedMemory } from "./support-memory.js";
import { ORIGINAL_HELLO, OriginalClient } from "./support-original-client.js";
import { bytesOf, cutsOf, flood, openSocket, untilClosed, writeApart } from "./support-sockets.js";
import { BAD_HELLOS, textOf } from "./support-talker.js";

const KiB = 1024;
const EVIL = 'broadcast evil\n{"opcode":"broadcast","message":"evil"}\n';

noUncaughtErrors();

/** Writes all at once, then FIN; returns all that was answered until the hub closed. */
async function conversation(t: TestContext, port: number, bytes: string | Uint8Array): Promise<string> {
  const socket = await openSocket(t, port);
  const closed = untilClosed(socket);
  socket.end(bytes);
  return (await closed).toString();
}

/** The dialects in which peers came in, but for the bystander's. */
const dialectsOf = (hub: TestHub): unknown[] =>
  hub.log
    .of("peer.opened")
    .filter(({ kind }) => kind === "backend")
    .map(({ dialect }) => dialect);

/** An app with one word for each kind of answer. */
const answers: App = {
  name: "answers",
  opcodes: {
    answer: ({ kind }) => {
      switch (kind) {
        case "text":
          return "a text\nof two lines\u001b[31m";
        case "object":
          return { a: [1, "ü"] };
        case "later":
          return Promise.resolve(7);
        case "held":
          return new Answer("held", { held: 2 });
        case "cancel":
          return new Answer("cancel", { reason: "user" });
        case "refused":
          throw new Refusal("too-late", "Not\nnow.");
        case "error":
          throw new Error("secret");
        default:
          return undefined;
      }
    },
  },
  words: { answer: (kind) => ({ opcode: "answer", kind }) },
};

/** First lines, and the dialect that they decide for. */
const ACCEPTED: readonly { first: string; dialect: string }[] = [
  { first: '{"opcode":"hello"}\n', dialect: "json" },
  { first: '{"opcode":"hello"}\r\n', dialect: "json" },
  { first: '{ "resource" : "/php", "opcode" : "hello" }\n', dialect: "json" },
  { first: '\ufeff{"opcode":"hello"}\n', dialect: "json" },
  { first: '\n\r\n\n{"opcode":"hello"}\n', dialect: "json" },
  { first: ORIGINAL_HELLO, dialect: "original" },
  { first: "php process\r\nGET /php HTTP/1.1\r\n", dialect: "original" },
  { first: "\ufeffphp process\nGET / HTTP/1.0\n", dialect: "original" },
  { first: "echo text\n", dialect: "words" },
  { first: "echo\n", dialect: "words" },
  { first: "broadcast text\r\n", dialect: "words" },
  { first: "feedback nobody text\n", dialect: "words" },
  { first: "quit\n", dialect: "words" },
  { first: "answer text\n", dialect: "words" },
  { first: "\ufeffecho text\n", dialect: "words" },
  { first: '{"opcode":"echo"}\n', dialect: "words" },
  { first: '{"opcode":"goodbye"}\n', dialect: "words" },
  { first: "{ no JSON\n", dialect: "words" },
];

/** First lines that are none: what stands behind them must not be obeyed. */
const REFUSED: readonly (string | Buffer)[] = [
  ...["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"].map((method) => `${method} / HTTP/1.1`),
  "GET /php HTTP/1.1",
  "GET / HTTP/1.0",
  "GET / HTTP/2",
  "PRI * HTTP/2.0",
  "broadcast / HTTP/1.1",
  "echo evil HTTP/1.1",
  "quit HTTP/1.1",
  '{"opcode":"broadcast","message":"evil"} HTTP/1.1',
  "GET /",
  "nonsense",
  "Broadcast evil",
  "BROADCAST evil",
  " broadcast evil",
  "broadcast\tevil",
  "constructor evil",
  "__proto__ evil",
  "hello",
  "bufferON",
  '"broadcast"',
  '[{"opcode":"hello"}]',
  "php process ",
  "php  process",
  "PHP process",
  "SSH-2.0-OpenSSH_9.6",
  "USER anonymous",
  "EHLO evil.example",
  "*1",
  Buffer.from("16030100c5010000c10303fefefefe", "hex"),
  Buffer.from("echo \xff\xfe", "latin1"),
  Buffer.from("\x00\x01\x02\x80broadcast evil", "latin1"),
];

describe("3 Opening: the first line decides", () => {
  for (const { first, dialect } of ACCEPTED) {
    test(`[OPEN-9] ${JSON.stringify(first)} is ${dialect}, for good`, async (t) => {
      const hub = await startHub(t, { resources: { "/": answers } });
      assert.notEqual(await conversation(t, hub.tcpPort, first), "");
      assert.deepEqual(dialectsOf(hub), [dialect]);
      assert.deepEqual(hub.log.of("peer.refused"), []);
    });
  }

  for (const first of REFUSED) {
    const shown = typeof first === "string" ? JSON.stringify(first) : `the bytes ${first.toString("hex")}`;
    for (const end of ["\n", "\r\n"]) {
      test(`[OPEN-9] ${shown} with ${JSON.stringify(end)} closes the connection, and nothing behind it is obeyed`, (t) =>
        attack(t, {}, async (hub) => {
          const bytes = Buffer.concat([Buffer.from(first as string), Buffer.from(`${end}Host: 127.0.0.1\r\n\r\n${EVIL}`)]);
          const socket = await openSocket(t, hub.tcpPort);
          const closed = untilClosed(socket);
          socket.write(bytes);
          const said = (await closed).toString();
          assert.match(said, /^(\{"opcode":"close",.*"code":1002\}|next refused unknown-command .*)\n$/, "one line, that says why");
          assert.deepEqual(dialectsOf(hub), []);
        }));
    }
  }

  test("[OPEN-9] what looks like HTTP is logged as such, without a word of it", async (t) => {
    const hub = await startHub(t);
    await conversation(t, hub.tcpPort, "POST /s3cr3t HTTP/1.1\n\n");
    assert.equal(hub.log.of("cross_protocol").length, 1);
    assert.doesNotMatch(JSON.stringify(hub.log.lines), /s3cr3t/);
  });

  test("[ORIG-3] anything but `GET PATH HTTP/1.x` behind `php process` closes the connection", (t) =>
    attack(t, {}, async (hub) => {
      for (const second of [
        "GET /php",
        "POST /php HTTP/1.1",
        "GET php HTTP/1.1",
        "GET / b HTTP/1.1",
        "php process",
        '{"opcode":"hello"}',
        "echo",
      ]) {
        const client = await OriginalClient.open(t, hub.tcpPort, `php process\n${second}\n${EVIL}`);
        const { opcode, code } = await client.packet();
        assert.deepEqual({ opcode, code }, { opcode: "close", code: 1002 }, second);
        await client.closed;
      }
      assert.deepEqual(dialectsOf(hub), []);
    }));

  test("[OPEN-3] a `hello` with a field of the wrong type closes the connection: 1002", (t) =>
    attack(t, {}, async (hub) => {
      const hellos = BAD_HELLOS.map(textOf).filter((text) => text.includes('"hello"'));
      for (const hello of [...hellos, '{"opcode":"hello","resource":7}']) {
        const said = JSON.parse(await conversation(t, hub.tcpPort, `${hello}\n${EVIL}`)) as Packet;
        assert.deepEqual([said.opcode, said.code], ["close", 1002], hello);
        assert.match(String(said.error), /^Expected .+, got .+/);
      }
      assert.deepEqual(dialectsOf(hub), []);
    }));
});

describe("3 Opening: limits", () => {
  const SILENT = [
    { what: "says nothing", says: "" },
    { what: "says half a line", says: "echo te" },
    { what: "says only line ends", says: "\n\r\n" },
    { what: "says only `php process`", says: "php process\n" },
  ];
  for (const { what, says } of SILENT) {
    test(`[OPEN-3] a backend that ${what} is closed after localHandshakeTimeout: 4008; one that has spoken may be silent`, (t) =>
      attack(t, { localHandshakeTimeout: 50 }, async (hub) => {
        const spoken = await LineClient.open(t, hub.tcpPort);
        await spoken.hello();
        const socket = await openSocket(t, hub.tcpPort);
        const closed = untilClosed(socket);
        socket.write(says);
        const close = JSON.parse((await closed).toString()) as Packet;
        assert.deepEqual({ opcode: close.opcode, code: close.code }, { opcode: "close", code: 4008 });
        assert.match(String(close.error), /`localHandshakeTimeout` 50 ms/);
        assert.equal((await spoken.ask({ opcode: "echo" })).opcode, "echo");
      }));
  }

  test("the first line may have maxFirstLine bytes, its line end not counted; one more closes the connection: 1009", (t) =>
    attack(t, { maxFirstLine: 256 }, async (hub) => {
      const line = `echo ${"x".repeat(251)}`;
      for (const end of ["\n", "\r\n"]) assert.match(await conversation(t, hub.tcpPort, line + end), /^next done /);
      for (const end of ["\n", "\r\n", ""]) {
        const socket = await openSocket(t, hub.tcpPort);
        const closed = untilClosed(socket);
        socket.write(`${line}xx${end}`);
        const close = JSON.parse((await closed).toString()) as Packet;
        assert.deepEqual({ opcode: close.opcode, code: close.code }, { opcode: "close", code: 1009 });
        assert.match(String(close.error), /`maxFirstLine` 256 bytes/);
      }
    }));

  test("a later line may have maxMessage bytes, its line end not counted; one more closes the connection: 1009", (t) =>
    attack(t, { maxFirstLine: 256, maxMessage: 2 * KiB }, async (hub) => {
      const line = `echo ${"x".repeat(2 * KiB - 5)}`;
      for (const end of ["\n", "\r\n"]) {
        const said = (await conversation(t, hub.tcpPort, `echo\n${line}${end}${line}x${end}${EVIL}`)).split("\n");
        assert.ok(said[1]?.startsWith('next done {"opcode":"echo","message":"xxx'));
        assert.match(String(said[2]), /^close 1009 .*`maxMessage` 2048 bytes/);
        assert.deepEqual(said.slice(3), [""]);
      }
    }));

  test("above maxBackends a backend is closed with 1013 before it said anything; one that left makes room", (t) =>
    attack(t, { maxBackends: 2 }, async (hub) => {
      const [first] = [await LineClient.open(t, hub.tcpPort), await LineClient.open(t, hub.tcpPort)];
      await first.hello();
      const surplus = JSON.parse(await conversation(t, hub.tcpPort, EVIL)) as Packet;
      assert.deepEqual([surplus.opcode, surplus.code], ["close", 1013]);
      assert.match(String(surplus.error), /`maxBackends` 2 /);
      first.say({ opcode: "quit" });
      await first.closed;
      // The hub hears of the end of a socket when it has ended for the client.
      let said = "";
      for (let i = 0; i < 100 && said !== "next done\n"; i++) said = await conversation(t, hub.tcpPort, "quit\n");
      assert.equal(said, "next done\n");
    }));

  test("above maxConnections a backend is closed with 1013", (t) =>
    attack(t, { maxConnections: 1 }, async (hub) => {
      const surplus = JSON.parse(await conversation(t, hub.tcpPort, EVIL)) as Packet;
      assert.deepEqual([surplus.opcode, surplus.code], ["close", 1013]);
      assert.match(String(surplus.error), /`maxConnections` 1 /);
    }));
});

describe("2 Packets: lines", () => {
  test("[PKT-2] in JSON empty lines are ignored, CRLF is a line end, and the last line needs none before FIN", async (t) => {
    const hub = await startHub(t);
    const said = await conversation(t, hub.tcpPort, '\n{"opcode":"hello"}\r\n\r\n\n{"opcode":"echo","n":1}\r\n{"opcode":"echo","n":2}');
    const packets = said
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Packet);
    assert.deepEqual(
      packets.map(({ opcode, n }) => n ?? opcode),
      ["ready", 1, "next", 2, "next"],
    );
  });

  test("[PKT-3] invalid UTF-8 is refused as bad-utf8, never replaced, and the dialog goes on", (t) =>
    attack(t, {}, async (hub) => {
      const client = await LineClient.open(t, hub.tcpPort);
      await client.hello();
      for (const bytes of ["\xff", "\xc0\xaf", "\xed\xa0\x80", "\xc3"]) {
        client.write(Buffer.from(`{"opcode":"broadcast","text":"${bytes}"}\n`, "latin1"));
        assert.equal(((await client.packet()).error as Packet).code, "bad-utf8");
      }
      assert.equal((await client.ask({ opcode: "echo" })).opcode, "echo");
      const words = await LineClient.open(t, hub.tcpPort);
      words.write(Buffer.from("echo first\necho \xff\necho last\n", "latin1"));
      assert.match(await words.lines.next(), /^next done .*first/);
      assert.match(await words.lines.next(), /^next refused bad-utf8 /);
      assert.match(await words.lines.next(), /^next done .*last/);
    }));

  test("[PKT-2] what would end a line elsewhere passes through JSON unharmed: NUL, U+2028, a byte order mark, a lone surrogate", async (t) => {
    const hub = await startHub(t);
    const client = await LineClient.open(t, hub.tcpPort);
    await client.hello();
    const text = "\u0000\u0085\u2028\u2029\ufeff\r\n\ud800";
    assert.deepEqual(await client.ask({ opcode: "echo", text }), { opcode: "echo", text });
  });

  for (const { dialect, first, line } of [
    { dialect: "JSON", first: '{"opcode":"hello"}\n', line: (n: number) => `{"opcode":"nonsense","ref":${n}}\n` },
    { dialect: "plain words", first: "", line: (n: number) => `echo ${n}\n` },
  ]) {
    test(`[NEXT-1] 1,000 lines of ${dialect} in one packet are answered one by one, in order`, async (t) => {
      const hub = await startHub(t);
      const lines = Array.from({ length: 1_000 }, (_, n) => line(n)).join("");
      const said = (await conversation(t, hub.tcpPort, first + lines)).trimEnd().split("\n");
      const numbers = said.slice(first === "" ? 0 : 1).map((answer) => Number(/"(?:ref":|message":")(\d+)/.exec(answer)?.[1]));
      assert.deepEqual(
        numbers,
        Array.from({ length: 1_000 }, (_, n) => n),
      );
    });
  }
});

describe("3 Opening: JSON", () => {
  test("[OPEN-2] what came together with `hello` is served behind `ready`, in order", async (t) => {
    const hub = await startHub(t);
    const client = await LineClient.open(t, hub.tcpPort);
    client.write('{"opcode":"hello","window":2}\n{"opcode":"nonsense","ref":1}\n{"opcode":"nonsense","ref":2}\n');
    const ready = await client.packet();
    assert.deepEqual([ready.opcode, ready.window], ["ready", 2]);
    assert.deepEqual([(await client.packet()).ref, (await client.packet()).ref], [1, 2]);
  });

  test("[OPEN-4] a second `hello` is refused as late, and so is one in plain words or in the original dialect", async (t) => {
    const hub = await startHub(t);
    for (const first of ['{"opcode":"hello"}\n', "echo first\n", ORIGINAL_HELLO]) {
      const said = await conversation(t, hub.tcpPort, `${first}{"opcode":"hello"}\n{"opcode":"nonsense"}\n`);
      const codes = [...said.matchAll(/"error":\{"code":"([a-z-]+)"/g)].map(([, code]) => code);
      assert.deepEqual(codes, ["late-hello", "unknown-opcode"], first);
    }
  });

  test("[STD-4] a backend that said `hello` is reached by UUID and ident, and by no broadcast [STD-5]", async (t) => {
    const hub = await startHub(t);
    const client = await LineClient.open(t, hub.tcpPort);
    const { uuid } = await client.hello({ ident: "importer" });
    const page = await Page.open(t, hub.ws, {});
    assert.equal((await page.ask({ opcode: "broadcast", message: "not for you" })).n, 0);
    for (const target of [{ uuid }, { ident: "importer" }]) {
      assert.equal((await page.ask({ opcode: "feedback", ...target })).n, 1);
      assert.deepEqual(await client.packet(), { opcode: "feedback", fromUUID: page.uuid });
    }
  });

  test("[END-1] `quit` has no answer, nothing behind it is served, and the hub closes", (t) =>
    attack(t, {}, async (hub) => {
      const client = await LineClient.open(t, hub.tcpPort);
      await client.hello();
      client.write(`{"opcode":"quit"}\n${EVIL}`);
      await client.closed;
      assert.deepEqual(client.lines.drain(), []);
    }));
});

describe("8 Plain words", () => {
  test("[WORD-1] feedback reaches the page and is answered `next sent 1`; all behind the UUID is the text, as it is", async (t) => {
    const hub = await startHub(t);
    const page = await Page.open(t, hub.ws, {});
    const client = await LineClient.open(t, hub.tcpPort);
    for (const message of ["Hello from cron", "  two  blanks  ", 'a "quoted" \\ text', "ä😀", ""]) {
      client.write(`feedback ${page.uuid} ${message}\n`);
      assert.equal(await client.lines.next(), "next sent 1");
      const { opcode, message: got } = await page.packets.next();
      assert.deepEqual({ opcode, got }, { opcode: "feedback", got: message });
    }
  });

  test("[WORD-1] broadcast is answered with the number of pages, also with none", async (t) => {
    const hub = await startHub(t);
    const client = await LineClient.open(t, hub.tcpPort);
    client.write("broadcast to nobody\n");
    assert.equal(await client.lines.next(), "next sent 0");
    const pages = [await Page.open(t, hub.ws, {}), await Page.open(t, `${hub.ws}/web`)];
    client.write("broadcast Prices updated\n");
    assert.equal(await client.lines.next(), "next sent 2");
    for (const page of pages) assert.deepEqual(await page.packets.next(), { opcode: "broadcast", message: "Prices updated" });
  });

  const ANSWERS = [
    ["echo a text", 'next done {"opcode":"echo","message":"a text"}'],
    ["echo", 'next done {"opcode":"echo","message":""}'],
    ["answer", "next done"],
    ["answer text", "next done a text\\u000aof two lines\\u001b[31m"],
    ["answer object", 'next done {"a":[1,"ü"]}'],
    ["answer later", "next done 7"],
    ["answer held", "next held 2"],
    ["answer cancel", "next cancel user"],
    ["answer refused", "next refused too-late Not\\u000anow."],
    ["answer error", "next refused app-error The app that handles `answer` failed; the hub's log says why."],
    ["quit", "next done"],
  ] as const;
  for (const [line, answer] of ANSWERS) {
    test(`[WORD-1] \`${line}\` is answered by exactly one line`, async (t) => {
      const hub = await startHub(t, { resources: { "/": answers } });
      assert.equal(await conversation(t, hub.tcpPort, `${line}\n`), `${answer}\n`);
    });
  }

  test("[WORD-2] a line that starts with { is a packet, answered by exactly one line of JSON, and plain words go on behind it", async (t) => {
    const hub = await startHub(t);
    const said = await conversation(t, hub.tcpPort, 'echo 1\n{"opcode":"echo","ref":2}\n{"opcode":\necho 4\n');
    const [first = "", second = "", third = "", ...rest] = said.split("\n");
    assert.match(first, /^next done /);
    assert.deepEqual(JSON.parse(second), { opcode: "next", fyi: "", ref: 2, status: "done", result: { opcode: "echo" } }, "[STD-7]");
    assert.equal((JSON.parse(third).error as Packet).code, "bad-json");
    assert.deepEqual(rest, ['next done {"opcode":"echo","message":"4"}', ""]);
  });

  test("[WORD-4] CRLF is a line end, empty lines are ignored, and a last line without line end counts before FIN", async (t) => {
    const hub = await startHub(t);
    const said = await conversation(t, hub.tcpPort, "\r\necho 1\r\n\n\r\necho 2\n\necho 3");
    assert.deepEqual(said.match(/"message":"[^"]*"/g), ['"message":"1"', '"message":"2"', '"message":"3"']);
  });

  test("[WORD-5] after a half-close all lines are served and answered, however long that takes, then the hub closes", async (t) => {
    const gate = new Gate();
    const hub = await startHub(t, { resources: { "/": gate.app } });
    const said = conversation(t, hub.tcpPort, "hold a\nhold b\nhold c");
    for (const name of ["a", "b", "c"]) {
      const held = await gate.started.next();
      assert.equal(held.packet.name, name);
      held.finish(`${name} is done`);
    }
    assert.equal(await said, "next done a is done\nnext done b is done\nnext done c is done\n");
    assert.equal(gate.most, 1, "[WIN-1] one at a time");
  });

  test("[WORD-1] `quit` is answered behind all before it, and nothing behind it is served", (t) =>
    attack(t, {}, async (hub) => {
      assert.equal(await conversation(t, hub.tcpPort, `echo\nquit\n${EVIL}`), 'next done {"opcode":"echo","message":""}\nnext done\n');
    }));

  test("[OPEN-9] a later line that ends in ` HTTP/1.x` closes the connection, and nothing behind it is obeyed", (t) =>
    attack(t, {}, async (hub) => {
      for (const line of ["GET / HTTP/1.1", "broadcast evil HTTP/1.0", '{"opcode":"broadcast"} HTTP/1.1', "HTTP/1.1 HTTP/1.1"]) {
        const said = await conversation(t, hub.tcpPort, `echo first\n${line}\r\n${EVIL}`);
        assert.match(said, /^next done .*\nclose 1002 .*HTTP.*\n$/, "[WORD-6]");
      }
      assert.equal(hub.log.of("cross_protocol").length, 4);
    }));

  test("[STD-4] a client in plain words is sent no pushes: feedback to it is refused, a broadcast passes it by", async (t) => {
    const gate = new Gate();
    const hub = await startHub(t, { resources: { "/": gate.app } });
    const client = await LineClient.open(t, hub.tcpPort);
    client.write("hold\n");
    const held = await gate.started.next();
    const page = await Page.open(t, hub.ws, {});
    const next = await page.ask({ opcode: "feedback", uuid: held.peer.uuid });
    assert.equal((next.error as Packet).code, "not-a-page");
    assert.equal((await page.ask({ opcode: "broadcast" })).n, 0);
    assert.equal(held.peer.send({ opcode: "push" }), false);
    held.finish();
    client.write("echo fence\n");
    assert.equal(await client.lines.next(), "next done");
    assert.match(await client.lines.next(), /fence/);
  });

  test("[WORD-1] chunks are no words: bufferON is an unknown command", async (t) => {
    const hub = await startHub(t);
    assert.match(await conversation(t, hub.tcpPort, "echo\nbufferON\n"), /^next done .*\nnext refused unknown-command .*\n$/);
  });
});

/** A text with all that could be taken for an end of a packet. */
const NASTY = `}{ "}" \\" \\\\" {[ ]} \n\t ä😀 \\u007d ${"{".repeat(200)}${"}".repeat(201)}`;

describe("9 The original dialect", () => {
  test("`ready`, then packets in lock-step, either way without line ends", async (t) => {
    const hub = await startHub(t);
    const page = await Page.open(t, `${hub.ws}/web`);
    const client = await OriginalClient.open(t, hub.tcpPort);
    const { opcode, uuid } = await client.packet();
    assert.equal(opcode, "ready");
    const next = { opcode: "next", fyi: "", status: "sent", n: 1 };
    assert.deepEqual(await client.ask({ opcode: "feedback", uuid: page.uuid, message: "1" }), next);
    assert.deepEqual(await page.packets.next(), { opcode: "feedback", message: "1", fromUUID: uuid });
    assert.deepEqual(await client.ask({ opcode: "broadcast", message: "2" }), next);
    assert.deepEqual(await page.packets.next(), { opcode: "broadcast", message: "2" });
    assert.doesNotMatch(client.received, /\n/);
  });

  test("[ORIG-1] a packet of more than 400 bytes, with braces and escapes in its strings, arrives as it was sent", async (t) => {
    const hub = await startHub(t);
    const page = await Page.open(t, `${hub.ws}/web`);
    const client = await OriginalClient.open(t, hub.tcpPort);
    await client.packet();
    assert.ok(JSON.stringify(NASTY).length > 400);
    assert.equal((await client.ask({ opcode: "feedback", uuid: page.uuid, message: NASTY, list: [[{}]] })).status, "sent");
    const { message, list } = await page.packets.next();
    assert.deepEqual({ message, list }, { message: NASTY, list: [[{}]] });
  });

  test("[ORIG-1] several packets in one segment, with white space between them or none, are each answered, in order", async (t) => {
    const hub = await startHub(t);
    const packets = [1, 2, 3].map((ref) => JSON.stringify({ opcode: "nonsense", ref, text: NASTY }));
    for (const between of ["", "\n", "\r\n", " \t "]) {
      const client = await OriginalClient.open(t, hub.tcpPort, ORIGINAL_HELLO + packets.join(between) + between);
      assert.equal((await client.packet()).opcode, "ready");
      for (const ref of [1, 2, 3]) assert.equal((await client.packet()).ref, ref);
      assert.doesNotMatch(client.received, /\n/);
    }
  });

  test("[ORIG-2] it is sent no pushes: feedback to it is refused, a broadcast passes it by, its echo is a result", async (t) => {
    const hub = await startHub(t);
    const client = await OriginalClient.open(t, hub.tcpPort);
    const { uuid } = await client.packet();
    const page = await Page.open(t, hub.ws, {});
    assert.equal(((await page.ask({ opcode: "feedback", uuid })).error as Packet).code, "not-a-page");
    assert.equal((await page.ask({ opcode: "broadcast" })).n, 0);
    const next = await client.ask({ opcode: "echo", n: 1 });
    assert.deepEqual(next, { opcode: "next", fyi: "", status: "done", result: { opcode: "echo", n: 1 } });
  });

  test("[ORIG-2] `quit` is answered by a `next`, nothing behind it is served, and the hub closes", (t) =>
    attack(t, {}, async (hub) => {
      const client = await OriginalClient.open(t, hub.tcpPort, `${ORIGINAL_HELLO}{"opcode":"quit"}{"opcode":"broadcast"}`);
      assert.equal((await client.packet()).opcode, "ready");
      assert.deepEqual(await client.packet(), { opcode: "next", fyi: "", status: "done" });
      await client.closed;
      assert.deepEqual(client.packets.drain(), []);
    }));

  test("[ORIG-2] what is no object closes the connection: 1002, bufferON with a hint", (t) =>
    attack(t, {}, async (hub) => {
      for (const text of ["bufferON", "bufferOFF", "}", "]", '"text"', "7", "echo", "[]"]) {
        const client = await OriginalClient.open(t, hub.tcpPort, `${ORIGINAL_HELLO}${text}{"opcode":"broadcast"}`);
        assert.equal((await client.packet()).opcode, "ready");
        const { opcode, code, error } = await client.packet();
        assert.deepEqual({ opcode, code }, { opcode: "close", code: 1002 }, text);
        assert.match(String(error), /chunks need the JSON dialect/);
        await client.closed;
      }
    }));

  test("[PKT-5] braces that match around no JSON are refused, and the dialog goes on", async (t) => {
    const hub = await startHub(t);
    const client = await OriginalClient.open(t, hub.tcpPort, `${ORIGINAL_HELLO}{nonsense}{]{"opcode":"nonsense"}`);
    assert.equal((await client.packet()).opcode, "ready");
    for (const code of ["bad-json", "bad-json", "unknown-opcode"]) assert.equal(((await client.packet()).error as Packet).code, code);
  });

  test("[PKT-3] invalid UTF-8 in a packet is refused, and the dialog goes on", async (t) => {
    const hub = await startHub(t);
    const first = Buffer.from(`${ORIGINAL_HELLO}{"opcode":"echo","text":"\xff"}{"opcode":"nonsense"}`, "latin1");
    const client = await OriginalClient.open(t, hub.tcpPort, first);
    assert.equal((await client.packet()).opcode, "ready");
    for (const code of ["bad-utf8", "unknown-opcode"]) assert.equal(((await client.packet()).error as Packet).code, code);
  });

  test("[END-2] FIN behind the last packet: all is answered, then the hub closes; half a packet is none", async (t) => {
    const hub = await startHub(t);
    const said = await conversation(t, hub.tcpPort, `${ORIGINAL_HELLO}{"opcode":"nonsense","ref":1}{"opcode":"nons`);
    assert.match(said, /^\{"opcode":"ready".*\}\{"opcode":"next","fyi":"","ref":1,.*\}\}$/);
  });
});

/** Conversations in each dialect that reach a page once, whose UUID is put in for `PAGE`. */
const CONVERSATIONS = [
  {
    dialect: "json",
    text: '{"opcode":"hello","window":2}\r\n\n{"opcode":"feedback","ref":1,"uuid":"PAGE","text":"ä😀"}\n{"opcode":"echo","a":"}{"}\nbufferON\n{"opcode":\n"nonsense"}\nbufferOFF\nno JSON',
  },
  { dialect: "words", text: '\ufeffecho 1\r\n\r\nfeedback PAGE ä😀\n{"opcode":"echo","ref":2}\nnonsense\necho last' },
  {
    dialect: "original",
    text: 'php process\nGET /php HTTP/1.1\n{"opcode":"feedback","uuid":"PAGE","text":"}\\"{ä😀"} \n{"opcode":"nonsense"}{"opcode":"echo","a":[[]]}',
  },
];

describe("2 Packets: however the network cuts them", () => {
  for (const { dialect, text } of CONVERSATIONS) {
    test(`[PKT-2] ${dialect}: a conversation in one segment, cut in two at every byte, or byte by byte has the same effect`, async (t) => {
      const hub = await startHub(t);
      const page = await Page.open(t, hub.ws, {});
      const bytes = Buffer.from(text.replace("PAGE", page.uuid));
      /** What it is answered, and what the page gets of it. */
      const effect = async (parts: Iterable<Uint8Array>): Promise<[string, Packet]> => {
        const socket = await openSocket(t, hub.tcpPort);
        const closed = untilClosed(socket);
        await writeApart(socket, parts);
        socket.end();
        const { fromUUID, ...got } = await page.packets.next();
        assert.equal(typeof fromUUID, "string");
        return [(await closed).toString().replace(/"uuid":"[^"]*"|"time":\d+/g, ""), got];
      };
      const whole = await effect([bytes]);
      assert.match(whole[0], dialect === "words" ? /"message":"last"\}\n$/ : /"refused"|"result"/);
      for (const parts of cutsOf(bytes)) assert.deepEqual(await effect(parts), whole, `cut at byte ${parts[0].length}`);
      assert.deepEqual(await effect(bytesOf(bytes)), whole, "byte by byte");
      assert.deepEqual(dialectsOf(hub), Array(bytes.length + 1).fill(dialect));
    });
  }
});

describe("10 Ends: connections that break", () => {
  const RESETS = 100;
  const MOMENTS = [
    { when: "inside the first line", says: '{"opcode":"hel' },
    { when: "behind `php process`", says: "php process\n" },
    { when: "inside a later line", says: '{"opcode":"hello","ident":"resets"}\n{"opcode":"broad' },
    { when: "inside a buffer", says: `{"opcode":"hello","ident":"resets"}\nbufferON\n${"x".repeat(60 * KiB)}\n` },
    { when: "inside plain words", says: "echo first\nbroad" },
    { when: "inside an original packet", says: `${ORIGINAL_HELLO}{"opcode":"broad` },
  ];
  for (const { when, says } of MOMENTS) {
    test(`[END-4] ${RESETS} backends that reset their connection ${when} leave nothing behind, and half a line is none`, (t) =>
      attack(t, { maxBackends: RESETS }, (hub) =>
        boundedMemory(async () => {
          for (let i = 0; i < RESETS; i++) {
            const socket = await openSocket(t, hub.tcpPort);
            await writeApart(socket, [Buffer.from(says)]);
            socket.resetAndDestroy();
          }
          const client = await LineClient.open(t, hub.tcpPort);
          await client.hello();
          assert.equal((await client.ask({ opcode: "feedback", ident: "resets" })).status, "gone");
          const [opened, closed] = [hub.log.of("peer.opened"), hub.log.of("peer.closed")];
          assert.equal(opened.length - closed.length, 2, "the bystander and the one that looks");
          assert.ok(closed.every(({ why }) => why === "lost"));
        }),
      ));
  }

  test("[WIN-4] a backend that never reads its answers is not read any more: it is held up, and nobody else", (t) =>
    attack(t, {}, async (hub) => {
      const socket = await openSocket(t, hub.tcpPort);
      socket.pause();
      socket.write("echo\n");
      const line = Buffer.from(`echo ${"x".repeat(64 * KiB - 6)}\n`);
      const count = 1_024;
      let over = false;
      let flooded: Promise<void> | undefined;
      await boundedMemory(async () => {
        flooded = flood(socket, line, count * line.length).then(() => {
          over = true;
        });
        const other = await LineClient.open(t, hub.tcpPort);
        await other.hello();
        // Each round trip is time for the hub to read 64 KiB and more, if it did.
        for (let i = 0; i < count; i++) assert.equal((await other.ask({ opcode: "nonsense" })).opcode, "next");
        assert.equal(over, false, "the kernel's buffers are full");
      });
      assert.deepEqual(hub.log.of("peer.closed"), [], "it is not closed for that");
      // It reads at last, and nothing is missing.
      const answered = untilClosed(socket);
      socket.resume();
      await flooded;
      socket.end("quit\n");
      const answers = (await answered).toString().split("\n");
      assert.deepEqual(answers.slice(-2), ["next done", ""]);
      assert.equal(answers.filter((answer) => answer.startsWith('next done {"opcode":"echo","message":"xxx')).length, count);
      assert.equal(answers.length, 1 + count + 2);
    }));
});

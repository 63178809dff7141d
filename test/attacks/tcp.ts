import assert from "node:assert/strict";
import type { Socket } from "node:net";
import type { Packet } from "../../protocol/index.js";
import { LineClient } from "../support/line-client.js";
import { bytesOf, flood, openSocket, untilClosed, writeApart } from "../transports/support-sockets.js";
import type { Attack, AttackGroup, Target } from "./attack.js";
import { backendOf, errorOf, KiB, MiB, many, resets } from "./steps.js";
import { until } from "./until.js";
import { listensOn } from "./vital-signs.js";

/** Says something and reads until the hub closes. */
async function answerTo({ t, tcpPort }: Target, ...says: readonly (string | Uint8Array)[]): Promise<string> {
  const socket = await openSocket(t, tcpPort);
  const closed = untilClosed(socket);
  for (const text of says) socket.write(text);
  return (await closed).toString();
}

const codeOf = (answer: string): unknown => (JSON.parse(answer.trimEnd().split("\n").at(-1) as string) as Packet).code;

const HTTP_LINES = [
  "POST / HTTP/1.1",
  "GET /php HTTP/1.1",
  "OPTIONS * HTTP/1.1",
  "echo / HTTP/1.1",
  "PUT /php%20process HTTP/1.0",
  "PRI * HTTP/2.0",
  '{"opcode":"hello"} HTTP/1.1',
];

const first: readonly Attack[] = [
  {
    threats: [53],
    name: "48 MiB without a line end close with 1009, as first line and later, in each dialect",
    logs: ["peer.refused", "peer.closed"],
    async run(target) {
      for (const before of ["", '{"opcode":"hello"}\n{"opcode":"', "echo first\necho ", 'php process\nGET / HTTP/1.1\n{"opcode":"']) {
        const socket = await openSocket(target.t, target.tcpPort);
        const closed = untilClosed(socket);
        socket.write(before + target.secret);
        await flood(socket, Buffer.alloc(64 * KiB, "x"), 48 * MiB);
        assert.match((await closed).toString(), /"code":1009\}\n?$|\nclose 1009 .*\n$/);
      }
    },
  },
  {
    threats: [54],
    name: "binary garbage and a TLS hello are closed at the first line, or where that is too long",
    logs: ["peer.refused"],
    async run(target) {
      const tls = Buffer.concat([Buffer.from("16030100c5010000c10303", "hex"), Buffer.alloc(190, 0xfe)]);
      const evil = `\nbroadcast ${target.secret}\n`;
      for (const bytes of [tls, Buffer.alloc(2 * KiB, 0xff), Buffer.alloc(2 * KiB, 0)]) {
        const answer = await answerTo(target, bytes, evil);
        assert.match(answer, /"code":1002\}|^next refused unknown-command /);
      }
      assert.equal(codeOf(await answerTo(target, Buffer.alloc(9 * KiB, 0xff))), 1009);
    },
  },
  {
    threats: [55],
    name: "a request of a web page is closed at its first line and logged, and no command in its head or body is obeyed",
    logs: ["cross_protocol"],
    async run(target) {
      const evil = `broadcast ${target.secret}\r\nfeedback ${target.bystander} ${target.secret}\r\n{"opcode":"broadcast"}\r\n`;
      for (const line of HTTP_LINES) {
        const answer = await answerTo(target, `${line}\r\n${evil}Host: 127.0.0.1\r\n\r\n${evil}`);
        assert.equal(codeOf(answer), 1002, line);
      }
    },
  },
  {
    threats: [55],
    name: "a request line behind plain words, and anything but GET behind `php process`, closes too",
    logs: ["cross_protocol", "peer.refused"],
    async run(target) {
      const evil = `\nbroadcast ${target.secret}\n{"opcode":"broadcast"}`;
      assert.match(await answerTo(target, `echo first\nbroadcast x HTTP/1.1${evil}`), /\nclose 1002 /);
      for (const line of ["POST /php HTTP/1.1", "GET  /php HTTP/1.1", "GET /php", "broadcast x"])
        assert.equal(codeOf(await answerTo(target, `php process\n${line}${evil}`)), 1002, line);
    },
  },
  {
    threats: [59],
    name: "the port for backends listens on this host alone, and so does that for operators",
    async run({ hub, tcpPort, wsPort }) {
      for (const port of [tcpPort, wsPort, hub.ports.admin]) {
        assert.match(listensOn(hub.pid, port).join(), /^0100007F:[0-9A-F]{4}$/, "127.0.0.1");
      }
    },
  },
];

const RESETS = 200;

const lines: readonly Attack[] = [
  {
    threats: [58],
    name: `${RESETS} backends that reset in the middle of a line leave nothing behind; a half-close is answered to the end`,
    async run(target) {
      for (const says of [
        "",
        "broad",
        '{"opcode":"hello"}\n{"opcode":"broadcast","x":"',
        "echo x\nbroad",
        "php process\nGET / HTTP/1.1\n{",
      ])
        await resets(target, target.tcpPort, RESETS / 5, (socket: Socket) => void socket.write(says));
      const client = await LineClient.open(target.t, target.tcpPort);
      client.socket.end("echo a\necho b\nquit");
      for (const answer of [/"message":"a"/, /"message":"b"/, /^next done$/]) assert.match(await client.lines.next(), answer);
      await client.closed;
      const { peers } = await until(
        () => target.hub.status(),
        (status) => status.peers.backends === 0,
      );
      assert.equal(peers.backends, 0);
    },
  },
  {
    threats: [61],
    name: "invalid UTF-8 is refused, and CRLF, empty lines, a mark, and lines cut at every byte make no difference",
    async run(target) {
      const { t, tcpPort } = target;
      const backend = await backendOf(target);
      backend.write(Buffer.concat([Buffer.from('{"opcode":"echo","text":"'), Buffer.from("ff", "hex"), Buffer.from('"}\n')]));
      assert.equal(errorOf(await backend.packet()).code, "bad-utf8");
      const text = '\ufeff{"opcode":"hello"}\r\n\n{"opcode":"echo","text":"Ä😀"}\r\n{"opcode":"echo","n":1}\n';
      for (const ways of [[Buffer.from(text)], bytesOf(text)]) {
        const client = await LineClient.open(t, tcpPort);
        await writeApart(client.socket, ways);
        assert.equal((await client.packet()).opcode, "ready");
        assert.deepEqual(await client.packet(), { opcode: "echo", text: "Ä😀" });
        assert.equal((await client.packet()).status, "done");
        assert.deepEqual(await client.packet(), { opcode: "echo", n: 1 });
        assert.equal((await client.packet()).status, "done");
      }
      backend.write('{"opcode":"nonsense"}\n'.repeat(1_000));
      for (let i = 0; i < 1_000; i++) assert.equal(errorOf(await backend.packet()).code, "unknown-opcode");
    },
  },
  {
    threats: [62],
    name: "of 500 backends those above `maxBackends` are closed with 1013, and their place is free when others leave",
    logs: ["peer.refused"],
    async run(target) {
      const { t, tcpPort } = target;
      const answers = new Map<unknown, number>();
      const open: LineClient[] = [];
      await many(500, 20, async () => {
        const client = await LineClient.open(t, tcpPort);
        client.say({ opcode: "hello" });
        const { opcode, code } = await client.packet();
        answers.set(code ?? opcode, (answers.get(code ?? opcode) ?? 0) + 1);
        open.push(client);
      });
      assert.deepEqual(Object.fromEntries(answers), { ready: 256, 1013: 244 });
      for (const client of open) client.socket.destroy();
      await until(
        () => target.hub.status(),
        (status) => status.peers.backends === 0,
      );
      assert.match((await backendOf(target)).uuid, /^[0-9a-f-]{36}$/);
    },
  },
];

const silent: readonly Attack[] = [
  {
    threats: [57],
    name: "150 backends that say nothing, half a line, or half of the original's beginning are closed with 4008",
    logs: ["peer.refused"],
    async run(target) {
      const says = ["", "feedba", "php process\n"];
      const answers = await Promise.all(Array.from({ length: 150 }, (_, i) => answerTo(target, says[i % says.length] as string)));
      for (const answer of answers) assert.equal(codeOf(answer), 4008);
    },
  },
  {
    threats: [57],
    name: "a first line that comes a byte at a time is not waited for any longer",
    async run(target) {
      const socket = await openSocket(target.t, target.tcpPort);
      const closed = untilClosed(socket);
      const dripping = setInterval(() => void socket.write("x"), 50);
      target.t.after(() => clearInterval(dripping));
      assert.equal(codeOf((await closed).toString()), 4008);
    },
  },
];

export const TCP: readonly AttackGroup[] = [
  { name: "TCP", hub: {}, attacks: [...first, ...lines] },
  { name: "TCP: that takes its time", hub: { args: ["--local-handshake-timeout", "500"] }, attacks: silent },
];

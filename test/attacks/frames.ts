import assert from "node:assert/strict";
import { clientFrame, type FrameParts, fragments, OP } from "../transports/support-frames.js";
import { RawPage } from "../transports/support-raw-page.js";
import { bytesOf, flood, writeApart } from "../transports/support-sockets.js";
import type { Attack, AttackGroup, Target } from "./attack.js";
import { closesWith, errorOf, KiB, MiB, roundTrips } from "./steps.js";

/** What breaks RFC 6455, in one or more frames. */
const BROKEN: readonly {
  readonly what: string;
  readonly frames: readonly (readonly [payload: string | Uint8Array, parts: FrameParts])[];
}[] = [
  { what: "no mask", frames: [["{}", { masked: false }]] },
  ...[1, 2, 4].map((rsv) => ({ what: `reserved bits ${rsv}`, frames: [["{}", { rsv }]] as const })),
  ...[3, 4, 7, 0xb, 0xf].map((opcode) => ({ what: `opcode ${opcode}`, frames: [["", { opcode }]] as const })),
  { what: "a ping in fragments", frames: [["", { opcode: OP.ping, fin: false }]] },
  { what: "a long ping", frames: [["x".repeat(126), { opcode: OP.ping }]] },
  { what: "a continuation of nothing", frames: [["x", { opcode: OP.continuation }]] },
  {
    what: "a text inside a text",
    frames: [
      ["x", { fin: false }],
      ["x", {}],
    ],
  },
  { what: "a close frame of one byte", frames: [["x", { opcode: OP.close }]] },
  { what: "a close code that is never sent", frames: [[Buffer.from([0x03, 0xed]), { opcode: OP.close }]] },
  { what: "a close code of nobody", frames: [[Buffer.from([0x00, 0x01]), { opcode: OP.close }]] },
];

/** What is not UTF-8, as the parts of one message. */
const NOT_UTF8: readonly (readonly string[])[] = [
  ["ff"],
  ["c080"],
  ["eda080"],
  ["f4908080"],
  ["e282"],
  ["ce", "ff"],
  ["f0", "9f", "98"],
  ["61e2", "8261"],
];

/** In the same packet a broadcast, which nobody must hear. */
function writeWithEvil(page: RawPage, secret: string, ...frames: readonly Uint8Array[]): void {
  page.write(...frames, clientFrame(JSON.stringify({ opcode: "broadcast", message: secret })));
}

const malformed: readonly Attack[] = [
  {
    threats: [20],
    name: "frames that break RFC 6455 close with 1002, and nothing behind them is served",
    logs: ["peer.closed"],
    async run({ t, wsPort, secret }) {
      for (const { what, frames } of BROKEN) {
        const page = await RawPage.open(t, wsPort, {});
        writeWithEvil(page, secret, ...frames.map(([payload, parts]) => clientFrame(payload, parts)));
        assert.equal((await page.closed).code, 1002, what);
      }
    },
  },
  {
    threats: [21, 35],
    name: "text that is not UTF-8, also where it is cut in two, closes with 1007",
    async run({ t, wsPort, secret }) {
      for (const parts of NOT_UTF8) {
        const page = await RawPage.open(t, wsPort, {});
        writeWithEvil(page, secret, ...fragments(parts.map((part) => Buffer.from(part, "hex"))));
        await closesWith(page, 1007);
      }
      const page = await RawPage.open(t, wsPort, {});
      page.write(clientFrame(Buffer.from([0x03, 0xe8, 0xff]), { opcode: OP.close }));
      assert.equal((await page.closed).code, 1007, "the reason of a close frame");
    },
  },
  {
    threats: [35],
    name: "a piece that ends inside a character closes with 1007",
    async run({ t, wsPort }) {
      const page = await RawPage.open(t, wsPort, {});
      assert.equal((await page.ask("bufferON")).status, "done");
      page.write(clientFrame(Buffer.from("f09f98", "hex")));
      await closesWith(page, 1007);
    },
  },
  {
    threats: [27],
    name: "a binary frame closes with 1003, as first message too",
    async run({ t, wsPort }) {
      for (const page of [await RawPage.open(t, wsPort, {}), await RawPage.connect(t, wsPort, { subprotocol: true })]) {
        page.write(clientFrame("{}", { opcode: OP.binary }));
        await closesWith(page, 1003);
      }
    },
  },
];

const large: readonly Attack[] = [
  {
    threats: [22],
    name: "declared lengths of 1 GiB, 2^40 and 2^63 are refused on the header",
    async run({ t, wsPort }) {
      for (const declared of [2n ** 30n, 2n ** 40n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
        const pages = await Promise.all(Array.from({ length: 20 }, () => RawPage.open(t, wsPort, {})));
        for (const page of pages) page.write(clientFrame("x", { declared }));
        for (const page of pages) assert.ok([1002, 1009].includes((await page.closed).code));
      }
    },
  },
  {
    threats: [23],
    name: "48 MiB in one frame, or in fragments, close with 1009 at `maxMessage`",
    async run({ t, wsPort }) {
      const whole = await RawPage.open(t, wsPort, {});
      whole.write(clientFrame("", { declared: BigInt(48 * MiB) }));
      await flood(whole.socket, Buffer.alloc(64 * KiB, "x"), 48 * MiB);
      await closesWith(whole, 1009);
      const pieces = await RawPage.open(t, wsPort, {});
      pieces.write(clientFrame("x", { fin: false }));
      await flood(pieces.socket, clientFrame("x".repeat(64 * KiB), { opcode: OP.continuation, fin: false }), 48 * MiB);
      await closesWith(pieces, 1009);
    },
  },
  {
    threats: [24],
    name: "300,000 empty fragments close with 1008",
    async run({ t, wsPort }) {
      const page = await RawPage.open(t, wsPort, {});
      page.write(clientFrame("", { fin: false }));
      const thousand = Buffer.concat(Array<Buffer>(1_000).fill(clientFrame("", { opcode: OP.continuation, fin: false })));
      await flood(page.socket, thousand, 300 * thousand.length);
      await closesWith(page, 1008);
    },
  },
  {
    threats: [24],
    name: "frames that come byte by byte are frames",
    async run({ t, wsPort }) {
      const page = await RawPage.open(t, wsPort, {});
      await writeApart(page.socket, bytesOf(clientFrame(JSON.stringify({ opcode: "echo", text: "x".repeat(300) }))));
      assert.equal((await page.packet()).opcode, "echo");
    },
  },
  {
    threats: [25],
    name: "compression is not offered, and a compressed frame closes with 1002",
    async run({ t, wsPort }) {
      const headers = { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" };
      const page = await RawPage.open(t, wsPort, {}, { headers });
      assert.equal(page.head.headers.get("sec-websocket-extensions"), undefined);
      page.write(clientFrame(Buffer.alloc(512 * KiB, 0), { rsv: 4 }));
      await closesWith(page, 1002);
    },
  },
];

const PINGS = 300_000;
const ping = clientFrame("x".repeat(125), { opcode: OP.ping });
const thousandOf = (frame: Uint8Array): Buffer => Buffer.concat(Array<Uint8Array>(1_000).fill(frame));

/** Pings, or pongs that nobody asked for, as fast as they are taken. */
async function floodOf(page: RawPage, frame: Uint8Array): Promise<void> {
  const frames = thousandOf(frame);
  await flood(page.socket, frames, (PINGS / 1_000) * frames.length);
}

const control: readonly Attack[] = [
  {
    threats: [26],
    name: `${PINGS} pings whose pongs nobody reads take no memory and no line of the log each`,
    async run(target: Target) {
      const { t, wsPort } = target;
      const page = await RawPage.open(t, wsPort);
      page.socket.pause();
      const flooded = floodOf(page, ping);
      await roundTrips(target, 300);
      page.socket.destroy();
      await flooded;
      assert.ok(target.hub.log.lines.length - target.from < 20);
    },
  },
  {
    threats: [26],
    name: `${PINGS} pings and as many pongs that nobody asked for hold nobody up`,
    async run({ t, wsPort }) {
      const page = await RawPage.open(t, wsPort, undefined, { deaf: true });
      await floodOf(page, ping);
      const other = await RawPage.open(t, wsPort);
      await floodOf(other, clientFrame("", { opcode: OP.pong }));
      await closesWith(other, 1008);
    },
  },
  {
    threats: [26],
    name: "pings that are paced by their pongs and come far above `maxRate` are closed with 1008",
    async run({ t, wsPort }) {
      const page = await RawPage.open(t, wsPort);
      const flood = async (): Promise<void> => {
        for (let i = 0; i < 1_000; i++) {
          page.write(...Array.from({ length: 50 }, (_, n) => clientFrame(String(n), { opcode: OP.ping })));
          for (let n = 0; n < 50; n++) await page.pongs.next();
        }
      };
      await assert.rejects(flood(), /closed the connection with 1008/);
    },
  },
  {
    threats: [26, 36],
    name: "empty messages are malformed: each is answered, and 20 close with 1008",
    async run({ t, wsPort }) {
      const page = await RawPage.open(t, wsPort, { window: 32 });
      page.write(thousandOf(clientFrame("")));
      for (let i = 0; i < 20; i++) assert.equal(errorOf(await page.packet()).code, "bad-json");
      await closesWith(page, 1008);
    },
  },
];

export const FRAMES: readonly AttackGroup[] = [
  { name: "frames", hub: { args: ["--grace", "200"] }, attacks: [...malformed, ...large, ...control] },
];

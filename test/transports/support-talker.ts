import assert from "node:assert/strict";
import type { Socket } from "node:net";
import type { TestContext } from "node:test";
import type { Packet } from "../../protocol/index.js";
import type { TestHub } from "../support/hub.js";
import { LineClient } from "../support/line-client.js";
import { clientFrame } from "./support-frames.js";
import { RawPage } from "./support-raw-page.js";
import { patiently } from "./support-sockets.js";

/** A client that said `hello`, whatever the wire, so that a rule can be tested over each. */
export interface Talker {
  readonly uuid: string;
  readonly socket: Socket;
  /** One text as the bytes of this wire. */
  bytes(text: string): Buffer;
  /** Sends one text. */
  say(packet: object | string): void;
  packet(): Promise<Packet>;
  /** Sends one text and returns the packet that comes next. */
  ask(packet: object | string): Promise<Packet>;
  /** Reads the answers that still come, the `close` packet, and the end of the connection behind it [END-3]. */
  ends(): Promise<{ answers: Packet[]; close: Packet }>;
  /** Settles when the connection has ended, with the close code where the wire has those. */
  closed(): Promise<number | undefined>;
}

/** First packets that are none, or a `hello` with a field of the wrong type [OPEN-3]. */
export const BAD_HELLOS: readonly (object | string)[] = [
  { opcode: "echo" },
  { opcode: "quit" },
  { opcode: "hello", window: 0 },
  { opcode: "hello", window: 1.5 },
  { opcode: "hello", window: "8" },
  { opcode: "hello", window: null },
  { opcode: "hello", ident: 7 },
  { opcode: "hello", ident: "x".repeat(257) },
  { opcode: "hello", tags: [] },
  { opcode: "hello", tags: { role: {} } },
  { opcode: "hello", tags: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`tag${i}`, i])) },
  { opcode: "hello", token: {} },
];

export interface Wire {
  readonly name: "WebSocket" | "TCP";
  open(t: TestContext, hub: TestHub, hello?: object): Promise<Talker>;
}

export const textOf = (packet: object | string): string => (typeof packet === "string" ? packet : JSON.stringify(packet));

/** What differs between the wires. */
type Ways = Pick<Talker, "uuid" | "socket" | "packet" | "bytes" | "closed">;

const webSocket: Wire = {
  name: "WebSocket",
  async open(t, hub, hello = {}) {
    const page = await RawPage.open(t, hub.wsPort, hello);
    return talker({
      uuid: page.uuid,
      socket: page.socket,
      packet: () => page.packet(),
      bytes: (text) => clientFrame(text),
      closed: async () => (await page.closed).code,
    });
  },
};

const tcp: Wire = {
  name: "TCP",
  async open(t, hub, hello = {}) {
    const client = await LineClient.open(t, hub.tcpPort);
    client.socket.setNoDelay(true);
    const { uuid } = await client.hello(hello);
    return talker({
      uuid,
      socket: client.socket,
      packet: () => client.packet(),
      bytes: (text) => Buffer.from(`${text}\n`),
      closed: () => patiently(client.closed, () => "the hub has not closed the connection") as Promise<undefined>,
    });
  },
};

/** Both wires that carry the whole dialog. */
export const WIRES: readonly Wire[] = [webSocket, tcp];

function talker(ways: Ways): Talker {
  const { socket, packet, bytes, closed } = ways;
  const say = (said: object | string): void => void socket.write(bytes(textOf(said)));
  return {
    ...ways,
    say,
    ask(said) {
      say(said);
      return packet();
    },
    async ends() {
      const answers: Packet[] = [];
      let last = await packet();
      for (; last.opcode === "next"; last = await packet()) answers.push(last);
      assert.equal(last.opcode, "close", `a close packet, got ${JSON.stringify(last)}`);
      assert.equal((await closed()) ?? last.code, last.code, "the close code says the same");
      await assert.rejects(packet(), /closed the connection/, "nothing comes behind a close packet");
      return { answers, close: last };
    },
  };
}

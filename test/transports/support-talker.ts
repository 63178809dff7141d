import assert from "node:assert/strict";
import type { Socket } from "node:net";
import type { TestContext } from "node:test";
import type { Packet } from "../../protocol/index.js";
import type { TestHub } from "../support/hub.js";
import { LineClient } from "../support/line-client.js";
import { clientFrame } from "./support-frames.js";
import { RawPage } from "./support-raw-page.js";

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
  /** Settles when the connection has ended. */
  readonly closed: Promise<unknown>;
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

const webSocket: Wire = {
  name: "WebSocket",
  async open(t, hub, hello = {}) {
    const page = await RawPage.open(t, hub.wsPort, hello);
    return talker(
      page,
      () => page.packet(),
      (text) => clientFrame(text),
      async (code) => assert.equal((await page.closed).code, code),
    );
  },
};

const tcp: Wire = {
  name: "TCP",
  async open(t, hub, hello = {}) {
    const client = await LineClient.open(t, hub.tcpPort);
    client.socket.setNoDelay(true);
    const { uuid } = await client.hello(hello);
    return talker(
      { uuid, socket: client.socket, closed: client.closed },
      () => client.packet(),
      (text) => Buffer.from(`${text}\n`),
      () => client.closed,
    );
  },
};

/** Both wires that carry the whole dialog. */
export const WIRES: readonly Wire[] = [webSocket, tcp];

function talker(
  { uuid, socket, closed }: Pick<Talker, "uuid" | "socket" | "closed">,
  packet: () => Promise<Packet>,
  bytes: (text: string) => Buffer,
  closedWith: (code: unknown) => Promise<void>,
): Talker {
  const say = (said: object | string): void => void socket.write(bytes(textOf(said)));
  return {
    uuid,
    socket,
    closed,
    bytes,
    say,
    packet,
    ask(said) {
      say(said);
      return packet();
    },
    async ends() {
      const answers: Packet[] = [];
      let last = await packet();
      for (; last.opcode === "next"; last = await packet()) answers.push(last);
      assert.equal(last.opcode, "close", `a close packet, got ${JSON.stringify(last)}`);
      await closedWith(last.code);
      await assert.rejects(packet(), /closed the connection/, "nothing comes behind a close packet");
      return { answers, close: last };
    },
  };
}

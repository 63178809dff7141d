import type { Ready } from "./servers/control.js";
import type { Client } from "./wire/client.js";
import { clientFrame, TEXT } from "./wire/client-frame.js";
import { LineClient } from "./wire/line-client.js";
import { type Opening, WebSocketClient } from "./wire/websocket-client.js";

/** A server under test, and how the generator speaks to it. */
export interface Contender {
  readonly name: "signalbox" | "ws" | "socket.io";
  /** Its file in `servers/`. */
  readonly script: string;
  openPage(server: Ready): Promise<Client>;
  /** A page that also sends. */
  openPublisher(server: Ready, window: number): Promise<Client>;
  /** Sends feedback, in whatever way backends of this server speak. */
  openBackend(server: Ready): Promise<Client>;
  /** A publisher's message, as bytes. */
  broadcast(message: string): Buffer;
  /** A backend's message, as bytes. */
  feedback(address: string, message: string): Buffer;
}

const NEXT = '{"opcode":"next"';
const READY = '{"opcode":"ready"';

function uuidIn(text: string): string | undefined {
  return text.startsWith(READY) ? (JSON.parse(text) as { uuid: string }).uuid : undefined;
}

const packet = (fields: object): string => JSON.stringify(fields);

// ── signalbox: pages say hello, backends speak JSON lines over TCP ───────────────────────────────────────────────────

const hubOpening = (window: number, answerStart: string | undefined): Opening => ({
  path: "/",
  subprotocol: "signalbox.1",
  hello: packet({ opcode: "hello", window }),
  addressIn: uuidIn,
  answerStart,
});

/** What each backend of the hub asks for; at 500 messages a second it uses one. */
const BACKEND_WINDOW = 32;

const hub: Contender = {
  name: "signalbox",
  script: "hub.js",
  openPage: ({ ws }) => WebSocketClient.open(ws, hubOpening(1, undefined)),
  openPublisher: ({ ws }, window) => WebSocketClient.open(ws, hubOpening(window, NEXT)),
  openBackend: ({ tcp = 0 }) => LineClient.open(tcp, packet({ opcode: "hello", resource: "/", window: BACKEND_WINDOW })),
  broadcast: (message) => clientFrame(TEXT, packet({ opcode: "broadcast", message })),
  feedback: (uuid, message) => Buffer.from(`${packet({ opcode: "feedback", uuid, message })}\n`),
};

// ── ws: the same packets, all over WebSocket ─────────────────────────────────────────────────────────────────────────

const relayOpening = (answerStart: string | undefined): Opening => ({
  path: "/",
  subprotocol: undefined,
  hello: undefined,
  addressIn: uuidIn,
  answerStart,
});

const relay: Contender = {
  name: "ws",
  script: "ws-relay.js",
  openPage: ({ ws }) => WebSocketClient.open(ws, relayOpening(undefined)),
  openPublisher: ({ ws }) => WebSocketClient.open(ws, relayOpening(NEXT)),
  openBackend: ({ ws }) => WebSocketClient.open(ws, relayOpening(NEXT)),
  broadcast: (message) => clientFrame(TEXT, packet({ opcode: "broadcast", message })),
  feedback: (uuid, message) => clientFrame(TEXT, packet({ opcode: "feedback", uuid, message })),
};

// ── socket.io: engine.io 4 and socket.io 5 framing, `4` message, `2` event or `3` acknowledgement, and its number ────

const CONNECT = "40";
const EVENT_ZERO = "420";
const ACKNOWLEDGE_ZERO = "430";

const socketIoOpening = (answerStart: string | undefined): Opening => ({
  path: "/socket.io/?EIO=4&transport=websocket",
  subprotocol: undefined,
  hello: CONNECT,
  addressIn: (text) => (text.startsWith(CONNECT) ? (JSON.parse(text.slice(CONNECT.length)) as { sid: string }).sid : undefined),
  answerStart,
});

/** The server repeats the number of an event and asks nothing of it: one number serves all, and the bytes are built once. */
const event = (name: string, fields: object): Buffer => clientFrame(TEXT, EVENT_ZERO + JSON.stringify([name, fields]));

const socketIo: Contender = {
  name: "socket.io",
  script: "socket-io.js",
  openPage: ({ ws }) => WebSocketClient.open(ws, socketIoOpening(undefined)),
  openPublisher: ({ ws }) => WebSocketClient.open(ws, socketIoOpening(ACKNOWLEDGE_ZERO)),
  openBackend: ({ ws }) => WebSocketClient.open(ws, socketIoOpening(ACKNOWLEDGE_ZERO)),
  broadcast: (message) => event("broadcast", { message }),
  feedback: (uuid, message) => event("feedback", { uuid, message }),
};

/** In the order of the tables. Ratios are to {@link BASELINE}. */
export const CONTENDERS: readonly Contender[] = [hub, relay, socketIo];
export const SUBJECT: Contender["name"] = "signalbox";
export const BASELINE: Contender["name"] = "ws";

import type { Ready } from "./servers/control.js";
import { type Client, OPEN_TIMEOUT } from "./wire/client.js";
import { clientFrame, TEXT } from "./wire/client-frame.js";
import { LineClient } from "./wire/line-client.js";
import { type Opening, type Reading, WebSocketClient } from "./wire/websocket-client.js";
import { within } from "./within.js";

/** A program that serves. */
export interface Program {
  readonly name: string;
  /** Its file in `servers/`. */
  readonly script: string;
}

/** A server under test, and how the generator speaks to it. */
export interface Contender extends Program {
  readonly name: "signalbox" | "ws" | "socket.io";
  openPage(server: Ready, reading?: Reading): Promise<WebSocketClient>;
  /** A page that also sends. */
  openPublisher(server: Ready, window: number): Promise<Client>;
  /** Sends feedback, in whatever way backends of this server speak; only the hub grants a window. */
  openBackend(server: Ready, window?: number): Promise<Client>;
  /** A publisher's message, as bytes. */
  broadcast(message: string): Buffer;
  /** A backend's message, as bytes; state where it has a key, which only the hub understands. */
  feedback(address: string, message: string, key?: string): Buffer;
  /** A page that is told of each change of keys that fit the pattern; where the server keeps no state, any page. */
  openWatcher(server: Ready, pattern: string): Promise<Client>;
  /** A backend's change of state, as bytes; where the server keeps none, a broadcast of a packet as long as the hub's to a watching page. */
  change(key: string, value: unknown): Buffer;
}

const NEXT = '{"opcode":"next"';
const SEEN = '{"opcode":"seen"';
const READY = '{"opcode":"ready"';

function uuidIn(text: string): string | undefined {
  return text.startsWith(READY) ? (JSON.parse(text) as { uuid: string }).uuid : undefined;
}

const packet = (fields: object): string => JSON.stringify(fields);

/** What makes a relay's broadcast as long as what the hub tells of this change; versions have 16 digits until the year 2286. */
function asLong(key: string, value: unknown): string {
  const told = packet({ opcode: "state", key, value, version: 1e15 });
  return "x".repeat(told.length - packet({ opcode: "broadcast", message: "" }).length);
}

// ── signalbox: pages say hello, backends speak JSON lines over TCP ───────────────────────────────────────────────────

const hubOpening = (window: number, answerStart: string | undefined): Opening => ({
  path: "/",
  subprotocol: "signalbox.1",
  hello: packet({ opcode: "hello", window }),
  addressIn: uuidIn,
  answerStart,
  uncounted: SEEN,
  reportsSeen: true,
});

/** What a backend of the hub asks for by default; at 500 messages a second it uses one. */
const BACKEND_WINDOW = 32;

const hub: Contender = {
  name: "signalbox",
  script: "hub.js",
  openPage: ({ ws }, reading) => WebSocketClient.open(ws, hubOpening(1, undefined), reading),
  openPublisher: ({ ws }, window) => WebSocketClient.open(ws, hubOpening(window, NEXT)),
  openBackend: ({ tcp = 0 }, window = BACKEND_WINDOW) => LineClient.open(tcp, packet({ opcode: "hello", resource: "/", window })),
  broadcast: (message) => clientFrame(TEXT, packet({ opcode: "broadcast", message })),
  feedback: (uuid, message, key) => Buffer.from(`${packet({ opcode: "feedback", uuid, message, key })}\n`),
  openWatcher,
  change: (key, value) => Buffer.from(`${packet({ opcode: "set", key, value })}\n`),
};

async function openWatcher({ ws }: Ready, pattern: string): Promise<Client> {
  const page = await WebSocketClient.open(ws, hubOpening(1, NEXT));
  const answered = new Promise<void>((resolve) => {
    page.onRead = () => resolve();
  });
  page.write(clientFrame(TEXT, packet({ opcode: "watch", keys: [pattern] })));
  await within(OPEN_TIMEOUT, "the answer to a watch", answered);
  return page;
}

// ── ws: the same packets, all over WebSocket ─────────────────────────────────────────────────────────────────────────

const relayOpening = (answerStart: string | undefined): Opening => ({
  path: "/",
  subprotocol: undefined,
  hello: undefined,
  addressIn: uuidIn,
  answerStart,
  uncounted: undefined,
  reportsSeen: false,
});

const relay: Contender = {
  name: "ws",
  script: "ws-relay.js",
  openPage: ({ ws }, reading) => WebSocketClient.open(ws, relayOpening(undefined), reading),
  openPublisher: ({ ws }) => WebSocketClient.open(ws, relayOpening(NEXT)),
  openBackend: ({ ws }) => WebSocketClient.open(ws, relayOpening(NEXT)),
  broadcast: (message) => clientFrame(TEXT, packet({ opcode: "broadcast", message })),
  feedback: (uuid, message, key) => clientFrame(TEXT, packet({ opcode: "feedback", uuid, message, key })),
  openWatcher: (server) => relay.openPage(server),
  change: (key, value) => relay.broadcast(asLong(key, value)),
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
  uncounted: undefined,
  reportsSeen: false,
});

/** The server repeats the number of an event and asks nothing of it: one number serves all, and the bytes are built once. */
const event = (name: string, fields: object): Buffer => clientFrame(TEXT, EVENT_ZERO + JSON.stringify([name, fields]));

const socketIo: Contender = {
  name: "socket.io",
  script: "socket-io.js",
  openPage: ({ ws }, reading) => WebSocketClient.open(ws, socketIoOpening(undefined), reading),
  openPublisher: ({ ws }) => WebSocketClient.open(ws, socketIoOpening(ACKNOWLEDGE_ZERO)),
  openBackend: ({ ws }) => WebSocketClient.open(ws, socketIoOpening(ACKNOWLEDGE_ZERO)),
  broadcast: (message) => event("broadcast", { message }),
  feedback: (uuid, message, key) => event("feedback", { uuid, message, key }),
  openWatcher: (server) => socketIo.openPage(server),
  change: (key, value) => socketIo.broadcast(asLong(key, value)),
};

/** Answers every line by one like the hub's, and does nothing else: what reporting costs a job in any case. */
export const ECHO: Program & { openBackend(server: Ready): Promise<Client> } = {
  name: "echo",
  script: "echo.js",
  openBackend: ({ tcp = 0 }) => LineClient.open(tcp, packet({ opcode: "hello" })),
};

/** The hub itself, for what only it has. */
export const HUB = hub;

/** In the order of the tables. Ratios are to {@link BASELINE}. */
export const CONTENDERS: readonly Contender[] = [hub, relay, socketIo];
export const SUBJECT: Contender["name"] = "signalbox";
export const BASELINE: Contender["name"] = "ws";

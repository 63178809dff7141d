import { createHmac } from "node:crypto";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type ClientOptions, helloOf, type Wire, type WireEvents } from "../client/index.js";
import { CLOSE, LineFramer, type Packet, parsePacket, proofText } from "../protocol/index.js";
import { BackendClient } from "./backend.js";

/** Where a hub listens for backends if nobody says otherwise. */
export const DEFAULT_HUB = "tcp://127.0.0.1:8097";

/** The key of an application [AUTH-6]. */
export interface ApplicationSecret {
  readonly id: string;
  readonly secret: string;
}

export interface BackendOptions extends ClientOptions {
  /**
   * Where the hub is on another host: its `backendKey`, or an application key, whose secret is shown without being said. Default: the environment's
   * SIGNALBOX_APPLICATION_KEY (`ID:SECRET`), else its SIGNALBOX_BACKEND_KEY.
   */
  key?: string | ApplicationSecret;
  /** For tls://: CA, client certificate and its key (PEM). */
  tls?: { ca?: string | Buffer; cert?: string | Buffer; key?: string | Buffer };
}

/** A client that has begun to connect, for who does not wait until there is a hub. @throws TypeError where `url` is no hub's address, or `key` none */
export function open(url: string = DEFAULT_HUB, options: BackendOptions = {}): BackendClient {
  const { open: openSocket, resource } = parseHubUrl(url, options);
  const key = options.key ?? options.token ?? keyFrom(process.env);
  const secret = typeof key === "object" ? checked(key) : undefined;
  const token = secret || key === undefined ? undefined : { token: key as NonNullable<ClientOptions["token"]> };
  return new BackendClient(
    (events) => openLines(openSocket(), events, secret),
    helloOf({ ...options, ...token }, { resource, key: secret?.id }),
  );
}

/** @throws TypeError that does not show the secret */
function keyFrom({ SIGNALBOX_APPLICATION_KEY: given, SIGNALBOX_BACKEND_KEY }: NodeJS.ProcessEnv): BackendOptions["key"] {
  if (!given) return SIGNALBOX_BACKEND_KEY;
  const [, id, secret] = /^([^:]+):(.+)$/s.exec(given) ?? [];
  if (id === undefined || secret === undefined) throw new TypeError("Expected SIGNALBOX_APPLICATION_KEY to be ID:SECRET.");
  return { id, secret };
}

/** The answer to a challenge, or `undefined` where this is none: what else it is, or that it is no hub's, is for the dialog to say. */
function proofFor({ id, secret }: ApplicationSecret, text: string): string | undefined {
  const { opcode, nonce } = packetOf(text);
  if (opcode !== "challenge" || typeof nonce !== "string") return undefined;
  return JSON.stringify({ opcode: "proof", mac: createHmac("sha256", secret).update(proofText(id, nonce)).digest("hex") });
}

function packetOf(text: string): Partial<Packet> {
  try {
    return parsePacket(text);
  } catch {
    return {};
  }
}

/** @throws TypeError that does not show the secret */
function checked(key: ApplicationSecret): ApplicationSecret {
  const isText = (value: unknown): boolean => typeof value === "string" && value !== "";
  if (isText(key.id) && isText(key.secret)) return key;
  throw new TypeError("Expected `key` to be a string, or { id, secret } of two strings.");
}

/** A line has no limit of its own here: the hub is trusted, and never sends more than its own `maxQueued`. */
const MAX_LINE = 2 ** 30;
/** Silence after which the operating system asks whether the other end is there, ms: the hub's own interval. */
const KEEP_ALIVE = 20_000;

/** @param secret of whoever may be challenged, which comes before anything else: the dialog never hears of it [AUTH-6] */
function openLines(socket: Socket, events: WireEvents, secret?: ApplicationSecret): Wire {
  const framer = new LineFramer(MAX_LINE);
  let reason = "";
  let toProve = secret;
  const hear = (text: string): void => {
    const proof = toProve && proofFor(toProve, text);
    toProve = undefined;
    if (proof === undefined) events.text(text);
    else socket.write(`${proof}\n`);
  };
  socket.setNoDelay(true);
  // A hub that has vanished without a word is noticed by the operating system.
  socket.setKeepAlive(true, KEEP_ALIVE);
  socket.once("connect", () => events.open());
  socket.on("data", (bytes) => {
    for (let found = framer.next(bytes, 0); found; found = framer.next(bytes, found.offset)) hear(textOf(found.line));
  });
  socket.on("error", (error) => {
    reason = error.message || (error as NodeJS.ErrnoException).code || "";
  });
  socket.on("close", () => events.closed(CLOSE.lost.code, reason));
  return { send: (text) => void socket.write(`${text}\n`), close: () => void socket.destroy() };
}

function textOf(line: Uint8Array): string {
  return Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString();
}

function parseHubUrl(text: string, { tls }: BackendOptions): { open: () => Socket; resource: string } {
  if (text.startsWith("unix:") && text.length > 5) return { open: () => connectTcp(text.slice("unix:".length)), resource: "/" };
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const resource = url && decodePath(url.pathname);
  if (url === undefined || resource === undefined || !["tcp:", "tls:"].includes(url.protocol) || url.port === "") {
    throw new TypeError(`Expected a hub's address to be tcp://HOST:PORT[/RESOURCE], tls://… or unix:PATH, got \`${text}\`.`);
  }
  const at = { host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port) };
  return { open: () => (url.protocol === "tls:" ? connectTls({ ...at, ...tls }) : connectTcp(at)), resource };
}

function decodePath(path: string): string | undefined {
  try {
    return decodeURIComponent(path) || "/";
  } catch {
    return undefined;
  }
}

import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type ClientOptions, helloOf, type Wire, type WireEvents } from "../client/index.js";
import { CLOSE, LineFramer } from "../protocol/index.js";
import { BackendClient } from "./backend.js";

/** Where a hub listens for backends if nobody says otherwise. */
export const DEFAULT_HUB = "tcp://127.0.0.1:8097";

export interface BackendOptions extends ClientOptions {
  /** The hub's `backendKey`, where it is on another host. Default: the environment's SIGNALBOX_BACKEND_KEY. */
  key?: string;
  /** For tls://: CA, client certificate and its key (PEM). */
  tls?: { ca?: string | Buffer; cert?: string | Buffer; key?: string | Buffer };
}

/** A client that has begun to connect, for who does not wait until there is a hub. @throws TypeError where `url` is no hub's address */
export function open(url: string = DEFAULT_HUB, options: BackendOptions = {}): BackendClient {
  const { open: openSocket, resource } = parseHubUrl(url, options);
  const token = options.key ?? options.token ?? process.env.SIGNALBOX_BACKEND_KEY;
  return new BackendClient(
    (events) => openLines(openSocket(), events),
    helloOf({ ...options, ...(token === undefined ? undefined : { token }) }, { resource }),
  );
}

/** A line has no limit of its own here: the hub is trusted, and never sends more than its own `maxQueued`. */
const MAX_LINE = 2 ** 30;
/** Silence after which the operating system asks whether the other end is there, ms: the hub's own interval. */
const KEEP_ALIVE = 20_000;

function openLines(socket: Socket, events: WireEvents): Wire {
  const framer = new LineFramer(MAX_LINE);
  let reason = "";
  socket.setNoDelay(true);
  // A hub that has vanished without a word is noticed by the operating system.
  socket.setKeepAlive(true, KEEP_ALIVE);
  socket.once("connect", () => events.open());
  socket.on("data", (bytes) => {
    for (let found = framer.next(bytes, 0); found; found = framer.next(bytes, found.offset)) {
      if (found.line.length > 0) events.text(textOf(found.line));
    }
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

import { isUtf8 } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import {
  CLOSE,
  Fault,
  formatWords,
  JsonScanner,
  type Line,
  LineFramer,
  LineTooLong,
  quoted,
  Refusal,
  refused,
  splitWord,
} from "../../protocol/index.js";
import { AddressCounter, isLocal, isLoopback } from "../address.js";
import type { Identity } from "../auth/authenticator.js";
import { sameText } from "../auth/same-text.js";
import { within } from "../clock.js";
import type { Connection } from "../connection.js";
import { type Dialect, jsonDialect, originalDialect, wordsDialect } from "../dialect.js";
import type { TrustedProxies } from "../forwarded.js";
import type { Encoding } from "../frame.js";
import { Greeting, type Welcome } from "../greeting.js";
import type { HelloFields } from "../hello.js";
import type { Hub } from "../hub.js";
import { authority } from "../listen-url.js";
import { OptionError } from "../options.js";
import type { Resource } from "../resource.js";
import { withoutValue } from "../shown-error.js";
import type { Sink } from "../sink.js";
import { LOOK_INTERVAL, Unfinished } from "../unfinished.js";
import { Arrivals } from "./arrivals.js";
import { BehindProxy } from "./behind-proxy.js";
import { destroyWhenStuck } from "./ending.js";
import { listenOn } from "./listening.js";
import { SocketWriter } from "./socket-writer.js";

export interface TcpSettings {
  /** A host and port, or the path of a unix socket. */
  readonly at: { readonly host: string; readonly port: number } | { readonly path: string };
  readonly tls: { readonly cert: Buffer; readonly key: Buffer; readonly ca: Buffer | undefined } | undefined;
  /** Empty: none is asked for. */
  readonly backendKey: string;
  /** `local`: backends of this host are let in whoever they are. */
  readonly trust: string;
  /** Whose connections begin with a PROXY header. Default: nobody's. */
  readonly proxyProtocolFrom?: TrustedProxies | undefined;
}

/** For backends to take the goodbye of a hub that stops, ms. */
const LAST_WORDS = 1_000;
const HTTP_LINE = / HTTP\/\d(\.\d)?$/;
const ORIGINAL_FIRST = "php process";
const ORIGINAL_SECOND = /^GET (\/\S*) HTTP\/\d\.\d$/;
/** Words clients are on this resource [WORD-4]. */
const WORDS_PATH = "/";

const lineEncoding: Encoding = {
  name: "line",
  encode: (text) => Buffer.from(`${text}\n`),
  decode: (line) => line.toString("utf8", 0, line.length - 1),
};
/** The original's backends take one read for one answer, and a line end for part of it. */
const rawEncoding: Encoding = { name: "raw", encode: (text) => Buffer.from(text), decode: String };

/** Backends over TCP, TLS and unix sockets. */
export class TcpTransport {
  readonly #server: Server;
  readonly #peers = new Set<TcpPeer>();
  readonly #addresses: AddressCounter;
  #cancelLook: () => void = () => {};
  readonly #behindProxy: BehindProxy;
  /** Those whose TLS handshake is not over. */
  readonly #arrivals: Arrivals;

  constructor(
    private readonly hub: Hub,
    private readonly settings: TcpSettings,
  ) {
    this.#addresses = new AddressCounter(hub.limits.maxPerAddress);
    const { tls } = settings;
    // Half-open: `printf … | nc` ends its side and waits for the answers.
    const options = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: hub.limits.pingInterval };
    const accept = (socket: Socket): void => this.#accept(socket);
    this.#server = tls
      ? createTlsServer(
          {
            ...options,
            handshakeTimeout: hub.limits.handshakeTimeout,
            cert: tls.cert,
            key: tls.key,
            ca: tls.ca,
            requestCert: tls.ca !== undefined,
            rejectUnauthorized: tls.ca !== undefined,
          },
          accept,
        )
      : createServer(options, accept);
    this.#behindProxy = new BehindProxy(settings.proxyProtocolFrom, hub);
    this.#behindProxy.guard(this.#server);
    this.#arrivals = new Arrivals(hub, this.#behindProxy, tls !== undefined);
    if (tls) this.#server.on("connection", (socket: Socket) => this.#arrivals.enter(socket));
    this.#server.on("tlsClientError", (error, socket) => {
      hub.log.warn("tls.refused", { ip: this.#behindProxy.addressOf(socket), error: error.message });
      // Node does so itself, but for a handshake that took too long.
      socket.destroy();
    });
  }

  /**
   * @returns the URL with the real port
   * @throws OptionError where other hosts could connect and nothing is asked of them
   */
  async listen(): Promise<string> {
    const { at, tls, backendKey } = this.settings;
    // Running out of file descriptors and the like, once it listens: the listener recovers by itself.
    this.#server.on("error", (error) => this.hub.log.error("listener.error", { error: error.message }));
    this.#cancelLook = this.hub.clock.every(LOOK_INTERVAL, () => this.#lookAtUnfinished());
    if ("path" in at) {
      await listenOn(this.#server, at);
      return `unix:${at.path}`;
    }
    if (!isLoopback(at.host) && backendKey === "" && tls?.ca === undefined && !this.hub.takesKeys) {
      throw new OptionError(
        `Refusing to listen for backends on ${at.host} without \`backendKey\`, an \`applicationKey\` in \`authenticate\`, or tls:// with \`tlsClientCa\`: nobody could come in.`,
      );
    }
    await listenOn(this.#server, at);
    const { port } = this.#server.address() as AddressInfo;
    return `${tls ? "tls" : "tcp"}://${authority(at.host, port)}`;
  }

  #lookAtUnfinished(): void {
    const now = this.hub.clock.now();
    for (const peer of this.#peers) peer.lookAtUnfinished(now);
  }

  stopAccepting(): void {
    this.#server.close();
  }

  async close(): Promise<void> {
    this.#cancelLook();
    this.#behindProxy.close();
    const closed = [...this.#peers].map((peer) => peer.leave());
    await within(this.hub.clock, Math.min(LAST_WORDS, this.hub.limits.stopTimeout), Promise.all(closed));
    for (const peer of this.#peers) peer.destroy();
  }

  #accept(socket: Socket): void {
    this.#arrivals.secured(socket);
    this.#arrivals.finish(socket);
    const address = "path" in this.settings.at ? "unix" : this.#behindProxy.addressOf(socket);
    const counted = address === "unix" || this.#addresses.enter(address);
    const peer = new TcpPeer(this.hub, socket, address, this.settings);
    this.#peers.add(peer);
    socket.once("close", () => {
      this.#peers.delete(peer);
      if (counted && address !== "unix") this.#addresses.leave(address);
    });
    const full = this.#fullBecause(counted);
    if (full) peer.refuse(new Fault("try-later", full));
  }

  #fullBecause(counted: boolean): string | undefined {
    const { maxBackends, maxConnections } = this.hub.limits;
    if (!counted) return "`maxPerAddress` reached.";
    if (this.#peers.size > maxBackends) return `\`maxBackends\` ${maxBackends} reached.`;
    return this.hub.full ? `\`maxConnections\` ${maxConnections} reached.` : undefined;
  }
}

/** One backend: finds out how it speaks, then hands its lines to the dialog. */
class TcpPeer implements Sink {
  encoding: Encoding = lineEncoding;
  #connection: Connection | undefined;
  readonly #framer: LineFramer;
  #scanner: JsonScanner | undefined;
  #expectsOriginal = false;
  #greeting: Greeting | undefined;
  /** What has come while it is being found out who it is. */
  #rest: Uint8Array | undefined;
  #admitting = false;
  /** It has ended its side meanwhile: what it said before counts all the same [END-2]. */
  #endedEarly = false;
  #unfinished: Unfinished | undefined;
  /** Nothing that still comes is obeyed. */
  #over = false;
  readonly #cancelTimer: () => void;
  readonly #writer: SocketWriter;

  constructor(
    private readonly hub: Hub,
    private readonly socket: Socket,
    private readonly address: string,
    private readonly settings: Pick<TcpSettings, "backendKey" | "trust">,
  ) {
    this.#writer = new SocketWriter(socket, this);
    this.#framer = new LineFramer(hub.limits.maxFirstLine);
    const option = this.#local ? "localHandshakeTimeout" : "handshakeTimeout";
    const timeout = hub.limits[option];
    this.#cancelTimer = hub.clock.after(timeout, () =>
      this.refuse(new Fault("no-hello", `No first line within \`${option}\` ${timeout} ms.`)),
    );
    socket.on("data", (bytes) => this.#guarded(() => this.#feed(bytes)));
    socket.on("end", () => this.#guarded(() => this.#ended()));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#closed());
  }

  // ── The sink ───────────────────────────────────────────────────────────────────────────────────────────────────

  get bufferedAmount(): number {
    return this.socket.writableLength;
  }

  send(bytes: Buffer): void {
    if (this.socket.writable) this.#writer.write(bytes);
  }

  drained(): void {
    this.#connection?.drained();
  }

  close(): void {
    this.#over = true;
    this.#cancelTimer();
    this.socket.end();
    // What still comes is read and dropped: closing over unread bytes would make the kernel take back our last answer.
    this.socket.resume();
    destroyWhenStuck(this.socket, this.hub.clock);
  }

  read(on: boolean): void {
    if (on) this.socket.resume();
    else this.socket.pause();
  }

  /** Before it has said who it is it is waited for less long. */
  lookAtUnfinished(now: number): void {
    if (this.#over || this.#connection === undefined || this.socket.isPaused()) return;
    const pending = this.#scanner?.pending ?? this.#framer.pending;
    if (pending === 0 && this.#unfinished === undefined) return;
    this.#unfinished ??= new Unfinished(this.hub.budget, this.hub.limits.bufferTimeout);
    this.#guarded(() => this.#unfinished?.look(pending, now));
  }

  // ── Bytes ──────────────────────────────────────────────────────────────────────────────────────────────────────

  destroy(): void {
    this.socket.destroy();
  }

  /** The hub stops: who has not said a first line is told so, all others have been. Settles when the socket is closed. */
  leave(): Promise<unknown> {
    const closed = once(this.socket, "close");
    if (this.#connection === undefined) this.refuse(new Fault("restart", "The hub is being restarted."));
    return closed;
  }

  /** Ends it before there is a dialog, with the reason as the first and last line. */
  refuse(fault: Fault, dialect: Dialect = jsonDialect): void {
    if (this.#over) return;
    this.hub.log.warn("peer.refused", { code: fault.code, reason: withoutValue(fault.message), ip: this.address });
    this.hub.counters.count("connections_refused", fault.code);
    this.send(this.encoding.encode(dialect.close(fault)));
    this.close();
  }

  #feed(bytes: Uint8Array): void {
    let offset = 0;
    while (!this.#over && offset < bytes.length) {
      if (this.#admitting) {
        this.#rest = bytes.subarray(offset);
        return;
      }
      const next = this.#scanner ? this.#nextText(this.#scanner, bytes, offset) : this.#nextLine(bytes, offset);
      if (next === undefined) return;
      offset = next;
    }
  }

  #nextLine(bytes: Uint8Array, offset: number): number | undefined {
    const found = this.#framer.next(bytes, offset);
    if (found) this.#line(found);
    return found?.offset;
  }

  #nextText(scanner: JsonScanner, bytes: Uint8Array, offset: number): number | undefined {
    const found = scanner.next(bytes, offset);
    if (found) this.#connection?.receive(decode(found.text, 0, found.text.length), found.text.length);
    return found?.offset;
  }

  #ended(): void {
    if (this.#admitting) {
      this.#endedEarly = true;
      return;
    }
    const last = this.#scanner ? undefined : this.#framer.end();
    if (last && !this.#over) this.#line(last);
    if (this.#connection) this.#connection.end("left", "normal");
    else this.close();
  }

  #closed(): void {
    this.#cancelTimer();
    this.#unfinished?.release();
    this.#connection?.lost("lost");
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (error instanceof LineTooLong)
        this.#fault(new Fault("too-big", `A line exceeds \`${this.#connection ? "maxMessage" : "maxFirstLine"}\` ${error.limit} bytes.`));
      else if (error instanceof Fault) this.#fault(error);
      else throw error;
    }
  }

  #fault(fault: Fault): void {
    if (this.#connection) this.#connection.fault(fault.kind, fault.message);
    else this.refuse(fault);
  }

  // ── Lines ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #line({ bytes, start, end }: Line): void {
    const text = decode(bytes, start, end);
    if (this.#connection === undefined) this.#first(typeof text === "string" ? withoutMark(text) : text);
    else if (this.#connection.dialect === wordsDialect && typeof text === "string" && HTTP_LINE.test(text)) this.#crossProtocol();
    else this.#connection.receive(text, end - start);
  }

  /** The first line decides how it speaks, for good [OPEN-9]. */
  #first(text: string | Refusal): void {
    if (text instanceof Refusal) this.refuse(new Fault("protocol", "The first line is not UTF-8 text."));
    else if (this.#expectsOriginal) this.#original(text);
    else if (HTTP_LINE.test(text)) this.#crossProtocol();
    else if (text === ORIGINAL_FIRST) this.#expectsOriginal = true;
    else if (this.#greeting || saysHello(text)) this.#greet(text);
    else this.#words(text);
  }

  #greet(text: string): void {
    this.#greeting ??= this.#newGreeting();
    const welcome = this.#greeting.receive(text);
    if (welcome instanceof Promise) this.#await(welcome);
    else this.#welcome(welcome);
  }

  /** Nothing more is read, and nothing of what has come is served, until it is known who it is. */
  #await(welcome: Promise<Welcome | undefined>): void {
    this.#admitting = true;
    this.read(false);
    welcome
      .then((known) => this.#welcome(known))
      .catch((error) => {
        if (!(error instanceof Fault)) throw error;
        this.#fault(error);
      })
      .finally(() => this.#goOn());
  }

  #goOn(): void {
    const rest = this.#rest;
    this.#rest = undefined;
    this.#admitting = false;
    this.read(true);
    if (rest) this.#guarded(() => this.#feed(rest));
    if (this.#endedEarly) this.#guarded(() => this.#ended());
  }

  #welcome(welcome: Welcome | undefined): void {
    if (welcome === undefined || this.#over || this.socket.destroyed) return;
    const { hello, resource, identity } = welcome;
    this.#start(jsonDialect, hello.resource ?? "/", resource, hello, identity);
  }

  #newGreeting(): Greeting {
    return new Greeting(this.hub, {
      credentials: { kind: "backend", path: "/", address: this.address, headers: {}, protocols: [] },
      trusts: ({ token }) => this.#trusted(token),
      resourceOf: ({ resource = "/" }) => this.hub.resources.resolve(resource),
      send: (packet) => this.send(lineEncoding.encode(JSON.stringify(packet))),
    });
  }

  #original(text: string): void {
    const path = ORIGINAL_SECOND.exec(text)?.[1];
    if (path === undefined) {
      this.refuse(new Fault("protocol", "Expected `GET PATH HTTP/1.1` as the second line of the original dialect."));
      return;
    }
    this.encoding = rawEncoding;
    this.#admitUnnamed();
    this.#scanner = new JsonScanner(this.hub.limits.maxMessage);
    this.#start(originalDialect, path, this.hub.resources.resolve(path));
  }

  #words(text: string): void {
    const { words } = this.hub.resources.resolve(WORDS_PATH);
    const [word] = splitWord(text);
    if (!text.startsWith("{") && word !== "quit" && !words.has(word)) {
      this.hub.log.warn("peer.refused", { reason: "unknown first line", ip: this.address });
      this.hub.counters.count("connections_refused", CLOSE.protocol.code);
      const hint = `Expected a hello packet, or one of ${[...words.keys(), "quit"].join(", ")}, as the first line, got ${quoted(word)}.`;
      this.send(lineEncoding.encode(formatWords(refused("unknown-command", hint))));
      this.close();
      return;
    }
    try {
      this.#admitUnnamed();
      this.#start(wordsDialect, WORDS_PATH, this.hub.resources.resolve(WORDS_PATH)).receive(text, text.length);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.refuse(error, wordsDialect);
    }
  }

  #start(dialect: Dialect, path: string, resource: Resource, hello?: HelloFields, identity?: Identity): Connection {
    this.#cancelTimer();
    this.#framer.limit = this.hub.limits.maxMessage;
    this.#connection = this.hub.connect(this, { kind: "backend", dialect, path, resource, address: this.address, identity }, hello);
    return this.#connection;
  }

  /** It is the application's own, whoever it is [OPEN-8]. */
  #trusted(token?: string): boolean {
    if ((this.#local && this.settings.trust === "local") || (this.socket as TLSSocket).authorized) return true;
    const { backendKey } = this.settings;
    return backendKey !== "" && token !== undefined && sameText(token, backendKey);
  }

  /** Who cannot show anything is not asked. @throws Fault `forbidden` [OPEN-8] */
  #admitUnnamed(): void {
    if (!this.#trusted())
      throw new Fault("forbidden", "Plain words and the original dialect cannot show who they are: say hello, with a key.");
  }

  /** A browser was made to speak to this port [OPEN-9]. */
  #crossProtocol(): void {
    this.hub.log.warn("cross_protocol", { ip: this.address });
    if (this.#connection) this.#connection.fault("protocol", "This port does not speak HTTP.");
    else this.refuse(new Fault("protocol", "This port does not speak HTTP."));
  }

  get #local(): boolean {
    return isLocal(this.address);
  }
}

function decode(bytes: Uint8Array, start: number, end: number): string | Refusal {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = buffer.toString("utf8", start, end);
  // What is not UTF-8 has become U+FFFD; only where there is one is it worth looking whether it was sent as such.
  if (!text.includes("\ufffd") || isUtf8(buffer.subarray(start, end))) return text;
  return new Refusal("bad-utf8", `A line of ${end - start} bytes is not UTF-8.`);
}

/** A byte order mark in front of a file is no part of its first line. */
function withoutMark(text: string): string {
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

function saysHello(text: string): boolean {
  if (!text.startsWith("{")) return false;
  try {
    return JSON.parse(text)?.opcode === "hello";
  } catch {
    return false;
  }
}

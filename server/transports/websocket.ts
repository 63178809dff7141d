import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";
import { CLOSE, type CloseName, cutText, Fault, SUBPROTOCOL } from "../../protocol/index.js";
import { ONE_READ } from "../budget.js";
import { type Clock, within } from "../clock.js";
import type { Connection } from "../connection.js";
import { jsonDialect } from "../dialect.js";
import type { TrustedProxies } from "../forwarded.js";
import { Greeting, type Welcome } from "../greeting.js";
import type { Hub } from "../hub.js";
import { authority } from "../listen-url.js";
import type { Resource } from "../resource.js";
import { withoutValue } from "../shown-error.js";
import type { Sink } from "../sink.js";
import { LOOK_INTERVAL, Unfinished } from "../unfinished.js";
import { Admission, type AdmissionSettings, type Handshake } from "./admission.js";
import { BehindProxy } from "./behind-proxy.js";
import { destroyWhenStuck } from "./ending.js";
import { asRefusal, decodePath, hearsRefusals, STOPPING, writeHttp } from "./handshake.js";
import { PageGreeting, type PageHost } from "./page-greeting.js";
import { type Drained, SocketWriter } from "./socket-writer.js";
import { webSocketEncoding } from "./websocket-frame.js";

export interface WebSocketSettings extends AdmissionSettings {
  readonly port: number;
  readonly tls: { readonly cert: Buffer; readonly key: Buffer } | undefined;
  /** Whose connections begin with a PROXY header; `undefined`: nobody's. */
  readonly proxyProtocolFrom: TrustedProxies | undefined;
  /** Answers plain HTTP requests: the client's module and the demo. */
  readonly pages: (request: IncomingMessage, response: ServerResponse) => void;
}

/** Node looks only every 30 s by default. */
const CHECK_INTERVAL = 1_000;
const HEADERS_TIMEOUT = 5_000;
const MAX_HEADER = 16 * 1024;
/** For a text protocol with its own chunks; `ws` allows 16 Ki. */
const MAX_FRAGMENTS = 1_024;
/** For the peer to answer a close frame at the most, ms, as in `ws`; one that takes nothing is not waited for so long. */
const CLOSE_TIMEOUT = 30_000;
/** For pages to take the goodbye of a hub that stops, ms. */
const LAST_WORDS = 1_000;
/** Unanswered pings after which a page is gone [END-5]. */
const MAX_MISSED = 2;
/** In UTF-16 units: RFC 6455, 5.5 leaves 123 bytes for a reason, and one unit takes at most 3. */
const MAX_REASON = 41;

/** What is used of the part of `ws` that puts messages together. */
interface Receiver {
  readonly _bufferedBytes: number;
  readonly _messageLength: number;
}

/** A page's socket: `ws`, and the dialog it belongs to. */
class PageSocket extends WebSocket implements Drained {
  connection: Connection | undefined = undefined;
  missedPings = 0;
  unfinished: Unfinished | undefined = undefined;
  /** Until there is a dialog. */
  greeting: PageGreeting | undefined = undefined;

  /** Bytes that have come of a message which is not whole. `ws` keeps them to itself; a test shows where a newer one does so otherwise. */
  get pendingBytes(): number {
    const { _bufferedBytes = 0, _messageLength = 0 } = (this as unknown as { _receiver?: Partial<Receiver> })._receiver ?? {};
    return _bufferedBytes + _messageLength;
  }

  drained(): void {
    this.connection?.drained();
  }

  /** Once: by then the page may have another wire. */
  lost(why: string): void {
    const { connection } = this;
    this.connection = undefined;
    connection?.lost(why);
  }

  /** `ws` closes by itself, without a reason, where the peer broke RFC 6455 or a limit: that is said properly first [END-3]. */
  override close(code?: number, reason?: string | Buffer): void {
    const fault = reason === undefined && this.readyState === WebSocket.OPEN ? receiverFault(code) : undefined;
    if (fault !== undefined && this.connection !== undefined) this.connection.fault(fault.kind, fault.message);
    super.close(code, reason);
  }
}

/** Pages over WebSocket: the only file that knows `ws`. */
export class WebSocketTransport {
  readonly #http: Server;
  readonly #ws: WebSocketServer;
  readonly #sockets = new Set<PageSocket>();
  readonly #admission: Admission;
  readonly #behindProxy: BehindProxy;
  /** One for all pages, that knows its own as `this`. */
  readonly #onClose: (this: WebSocket, code: number) => void;
  #cancelPing: () => void = () => {};
  #cancelLook: () => void = () => {};

  constructor(
    private readonly hub: Hub,
    private readonly settings: WebSocketSettings,
  ) {
    const { limits } = hub;
    const options = {
      maxHeaderSize: MAX_HEADER,
      headersTimeout: Math.min(HEADERS_TIMEOUT, limits.handshakeTimeout),
      requestTimeout: limits.handshakeTimeout,
      connectionsCheckingInterval: CHECK_INTERVAL,
      noDelay: true,
    };
    this.#http = settings.tls
      ? createTlsServer({ ...options, ...settings.tls, handshakeTimeout: limits.handshakeTimeout })
      : createServer(options);
    // Before anybody else listens: a connection whose PROXY header has not come is counted as an unfinished handshake too.
    this.#behindProxy = new BehindProxy(settings.proxyProtocolFrom, hub);
    this.#behindProxy.guard(this.#http);
    this.#admission = new Admission(hub, settings, this.#behindProxy);
    this.#ws = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: limits.maxMessage,
      maxFragments: MAX_FRAGMENTS,
      closeTimeout: CLOSE_TIMEOUT,
      handleProtocols: (offered: Set<string>) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
      WebSocket: PageSocket,
    } as ConstructorParameters<typeof WebSocketServer>[0]);
    const closed = (ws: PageSocket, code: number): void => this.#closed(ws, code);
    this.#onClose = function (code): void {
      closed(this as PageSocket, code);
    };
    this.#http.on("connection", (socket: Socket) => this.#admission.arrived(socket));
    if (settings.tls) this.#http.on("secureConnection", (socket: Socket) => this.#admission.secured(socket));
    // Otherwise Node answers by itself, and keeps the connection.
    this.#http.on("checkExpectation", (request: IncomingMessage, response: ServerResponse) => this.#request(request, response));
    this.#http.on("request", (request: IncomingMessage, response: ServerResponse) => this.#request(request, response));
    this.#http.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => this.#upgrade(request, socket as Socket, head));
  }

  /** @returns the URL with the real port */
  async listen(): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#http.once("error", reject);
      this.#http.listen(this.settings.port, this.settings.host, () => {
        this.#http.off("error", reject);
        resolve();
      });
    });
    // Running out of file descriptors and the like: the listener recovers by itself.
    this.#http.on("error", (error) => this.hub.log.error("listener.error", { error: error.message }));
    this.#cancelPing = this.hub.clock.every(this.hub.limits.pingInterval, () => this.#heartbeat());
    this.#cancelLook = this.hub.clock.every(LOOK_INTERVAL, () => this.#lookAtUnfinished());
    const { port } = this.#http.address() as AddressInfo;
    return `${this.settings.tls ? "wss" : "ws"}://${authority(this.settings.host, port)}`;
  }

  stopAccepting(): void {
    this.#admission.stop();
    this.#http.close();
    this.#http.closeIdleConnections();
  }

  async close(): Promise<void> {
    this.#cancelPing();
    this.#cancelLook();
    const closed = [...this.#sockets].map((socket) => once(socket, "close"));
    await within(this.hub.clock, Math.min(LAST_WORDS, this.hub.limits.stopTimeout), Promise.all(closed));
    for (const socket of this.#sockets) socket.terminate();
    this.#admission.close();
    this.#behindProxy.close();
    this.#http.closeAllConnections();
  }

  // ── Before the upgrade ─────────────────────────────────────────────────────────────────────────────────────────

  #request(request: IncomingMessage, response: ServerResponse): void {
    // An idle connection would take the place of somebody's handshake.
    response.shouldKeepAlive = false;
    if (this.#admission.answersTo(request)) this.settings.pages(request, response);
    else response.writeHead(403, { "content-type": "text/plain" }).end("This host name is not in allowedHosts.\n");
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on("error", destroyThis);
    const address = this.#admission.addressOf(request, socket);
    const refuse = (error: unknown): void => {
      if (this.#admission.stopping) this.#refuseHandshake(request, socket, address, STOPPING);
      else if (error instanceof Fault && hearsRefusals(request)) this.#turnAway(request, socket, head, address, error);
      else this.#refuseHandshake(request, socket, address, error);
    };
    try {
      const found = this.#admission.admit(request, socket, address);
      const go = (who: Handshake): void => this.#welcome(request, socket, head, who);
      if (found instanceof Promise) found.then(go).catch(refuse);
      else go(found);
    } catch (error) {
      refuse(error);
    }
  }

  #welcome(request: IncomingMessage, socket: Socket, head: Buffer, who: Handshake): void {
    this.#admission.confirm(request, who);
    this.#ws.handleUpgrade(request, socket, head, (ws) => this.#accept(ws as PageSocket, socket, who));
  }

  /** A browser does not tell its page with which status a handshake was refused: it is let through the upgrade, and no further [AUTH-9]. */
  #turnAway(request: IncomingMessage, socket: Socket, head: Buffer, address: string, fault: Fault): void {
    const path = decodePath(request.url ?? "");
    this.#ws.handleUpgrade(request, socket, head, (ws) => {
      const page = ws as PageSocket;
      this.#register(page);
      this.#refuse({ ws: page, socket, sink: new PageSink(page, socket, this.hub.clock), path, address }, fault);
    });
  }

  #refuseHandshake({ headers: { origin } }: IncomingMessage, socket: Socket, ip: string, error: unknown): void {
    const refusal = asRefusal(error);
    const { status, message } = refusal;
    this.hub.counters.count("handshakes_refused", status);
    this.hub.log.warn("handshake.refused", { status, reason: message, ip, origin: origin && cutText(origin, 200) });
    writeHttp(socket, refusal);
  }

  // ── After it ───────────────────────────────────────────────────────────────────────────────────────────────────

  #accept(ws: PageSocket, socket: Socket, who: Handshake): void {
    const page: Arrival = { ...who, ws, socket, sink: new PageSink(ws, socket, this.hub.clock) };
    this.#register(ws);
    try {
      // Whether there is such a path is known before anything is said.
      const resource = this.hub.resources.resolve(who.path);
      if (ws.protocol === SUBPROTOCOL) this.#expectHello(page, resource);
      else this.#connect(page, { resource, identity: who.identity });
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#refuse(page, error);
    }
  }

  #register(ws: PageSocket): void {
    this.#sockets.add(ws);
    ws.on("error", ignore);
    ws.on("ping", onPing);
    ws.on("pong", onPong);
    ws.on("close", this.#onClose);
  }

  #connect(
    { ws, socket, sink, path, address, credentials }: Arrival,
    { resource, identity, hello }: Partial<Welcome> & Pick<Welcome, "resource">,
  ): void {
    this.#admission.finish(socket);
    const { origin } = credentials.headers;
    ws.connection = this.hub.connect(sink, { kind: "page", dialect: jsonDialect, path, resource, address, origin, identity }, hello);
    ws.on("message", onMessage);
  }

  #expectHello(page: Arrival, resource: Resource): void {
    const { ws, socket, sink, credentials, identity } = page;
    // Whoever it is can be a thousand at once: what they begin counts as it comes, and not when it is looked at.
    const look = (): void => this.#lookAt(ws, this.hub.clock.now());
    socket.on("data", look);
    const greeting = new Greeting(this.hub, {
      credentials,
      identity,
      trusts: () => false,
      resourceOf: () => resource,
      send: (packet) => sink.send(webSocketEncoding.encode(JSON.stringify(packet))),
    });
    const host: PageHost = {
      welcome: (welcome) => {
        ws.greeting = undefined;
        socket.off("data", look);
        this.#connect(page, welcome);
      },
      hear: (data, isBinary) => onMessage.call(ws, data, isBinary),
      refuse: (fault) => this.#refuse(page, fault),
    };
    ws.greeting = new PageGreeting(ws, greeting, host, { clock: this.hub.clock, handshakeTimeout: this.hub.limits.handshakeTimeout });
  }

  /** What ends a connection before there is a dialog is said as in one [END-3]. */
  #refuse({ ws, socket, sink, path, address }: Pick<Arrival, "ws" | "socket" | "sink" | "path" | "address">, fault: Fault): void {
    // It has been refused already, or has gone.
    if (ws.readyState !== WebSocket.OPEN) return;
    this.hub.log.warn("peer.refused", { code: fault.code, reason: withoutValue(fault.message), path, ip: address });
    this.hub.counters.count("connections_refused", fault.code);
    sink.send(webSocketEncoding.encode(jsonDialect.close(fault)));
    sink.close(fault.code, fault.message);
    // Its close frame is waited for, but not behind more than a read of what it has begun: nobody knows who it is.
    socket.on("data", () => {
      if (ws.pendingBytes > ONE_READ) socket.destroySoon();
    });
  }

  #lookAtUnfinished(): void {
    const now = this.hub.clock.now();
    for (const ws of this.#sockets) this.#lookAt(ws, now);
  }

  /** What has come of a message that is not whole counts. @param now ms */
  #lookAt(ws: PageSocket, now: number): void {
    const { pendingBytes } = ws;
    const talks = ws.connection !== undefined || ws.greeting !== undefined;
    // One that is not read cannot send the rest.
    if ((pendingBytes === 0 && ws.unfinished === undefined) || ws.isPaused || !talks) return;
    ws.unfinished ??= new Unfinished(this.hub.budget, this.hub.limits.bufferTimeout);
    try {
      ws.unfinished.look(pendingBytes, now);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      if (ws.connection) ws.connection.fault(error.kind, error.message);
      else ws.greeting?.refuse(error);
    }
  }

  #closed(ws: PageSocket, code: number): void {
    this.#sockets.delete(ws);
    ws.unfinished?.release();
    ws.greeting?.stop();
    ws.lost(code === CLOSE.normal.code ? "left" : code === CLOSE["going-away"].code ? "going-away" : "lost");
  }

  #heartbeat(): void {
    for (const ws of this.#sockets) {
      if (ws.isPaused || ws.readyState !== WebSocket.OPEN) continue;
      if (ws.missedPings++ >= MAX_MISSED) {
        ws.lost("heartbeat");
        ws.terminate();
      } else {
        ws.ping();
        ws.connection?.tellSeen();
      }
    }
  }
}

/** A page's socket with what is known of it before it is greeted. */
interface Arrival extends Handshake {
  readonly ws: PageSocket;
  readonly socket: Socket;
  readonly sink: PageSink;
}

/** The hub's way to one page. */
class PageSink implements Sink {
  readonly encoding = webSocketEncoding;
  readonly #writer: SocketWriter;

  constructor(
    private readonly ws: PageSocket,
    private readonly socket: Socket,
    private readonly clock: Clock,
  ) {
    this.#writer = new SocketWriter(socket, ws);
  }

  get bufferedAmount(): number {
    return this.socket.writableLength;
  }

  send(bytes: Buffer): void {
    if (this.ws.readyState === WebSocket.OPEN) this.#writer.write(bytes);
  }

  close(code: number, reason: string): void {
    // Whoever it belonged to may have another wire by now [RES-7].
    this.ws.connection = undefined;
    // The peer's close frame has to be read, whatever stands before it.
    this.ws.resume();
    this.ws.close(code, cutText(reason, MAX_REASON));
    destroyWhenStuck(this.socket, this.clock);
  }

  read(on: boolean): void {
    if (on) this.ws.resume();
    else this.ws.pause();
  }
}

function onMessage(this: WebSocket, data: Buffer, isBinary: boolean): void {
  const { connection } = this as PageSocket;
  if (isBinary) connection?.fault("binary", "Expected text frames, got a binary one.");
  else connection?.receive(data.toString(), data.length);
}

/** No closure: what stands beside one lives as long as the socket, and a request has cookies. */
function destroyThis(this: Socket): void {
  this.destroy();
}

function onPing(this: WebSocket, data: Buffer): void {
  (this as PageSocket).connection?.beat(data.length);
}

function onPong(this: WebSocket, data: Buffer): void {
  const page = this as PageSocket;
  page.missedPings = 0;
  page.connection?.beat(data.length);
}

function ignore(): void {
  // What went wrong on a socket shows as its close.
}

const RECEIVER_FAULTS = new Map<number, [CloseName, string]>([
  [1002, ["protocol", "A frame broke RFC 6455."]],
  [1007, ["bad-utf8", "A text frame was not UTF-8."]],
  [1008, ["policy", "A message came in too many fragments."]],
  [1009, ["too-big", "A message exceeds `maxMessage`."]],
]);

function receiverFault(code: number | undefined): { kind: CloseName; message: string } | undefined {
  const row = code === undefined ? undefined : RECEIVER_FAULTS.get(code);
  return row && { kind: row[0], message: row[1] };
}

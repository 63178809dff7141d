import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { type MaybePromise, SUBPROTOCOL, whenKnown } from "../../protocol/index.js";
import type { Credentials, Identity } from "../auth/authenticator.js";
import { clientAddress, type ForwardedHeader, forwardedOrigin, TrustedProxies } from "../forwarded.js";
import { atHandshake } from "../greeting.js";
import type { Hub } from "../hub.js";
import { hostAllowed, type OriginRules, originAllowed } from "../origin.js";
import { Arrivals } from "./arrivals.js";
import type { BehindProxy } from "./behind-proxy.js";
import { decodePath, HttpRefusal, mayComeBack, protocolsOf, STOPPING } from "./handshake.js";

export interface AdmissionSettings {
  readonly host: string;
  readonly tls: object | undefined;
  readonly origins: readonly string[];
  readonly allowedHosts: readonly string[];
  /** Proxies whose `proxyHeader` is believed. */
  readonly trustedProxies: readonly string[];
  readonly proxyHeader: ForwardedHeader;
}

/** What is known of a page when its handshake is over. */
export interface Handshake {
  readonly path: string;
  readonly address: string;
  readonly credentials: Credentials;
  readonly identity: Identity | undefined;
}

const WS_KEY = /^[+/0-9A-Za-z]{22}==$/;

/** Whose handshake is accepted, and who that is: all that is decided before the upgrade, where HTTP says no [OPEN-6]. */
export class Admission {
  #stopping = false;
  readonly #arrivals: Arrivals;
  readonly #rules: OriginRules;
  readonly #proxies: TrustedProxies;

  constructor(
    private readonly hub: Hub,
    private readonly settings: AdmissionSettings,
    private readonly behindProxy: BehindProxy,
  ) {
    const { host, tls, origins, allowedHosts, trustedProxies } = settings;
    this.#arrivals = new Arrivals(hub, behindProxy, tls !== undefined);
    this.#proxies = new TrustedProxies(trustedProxies);
    this.#rules = { secure: tls !== undefined, boundTo: host, origins, allowedHosts };
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  /** Nobody comes in any more. */
  stop(): void {
    this.#stopping = true;
  }

  /** Nor is anybody waited for. */
  close(): void {
    this.#arrivals.close();
  }

  /** A connection was accepted, whatever it wants. */
  arrived(socket: Socket): void {
    this.#arrivals.enter(socket);
  }

  /** Its TLS stands. */
  secured(socket: Socket): void {
    this.#arrivals.secured(socket);
  }

  /** Where the page is, as far as it is known. */
  addressOf({ headers }: IncomingMessage, socket: Socket): string {
    const { proxyHeader } = this.settings;
    return clientAddress(this.behindProxy.addressOf(socket), headers[proxyHeader]?.toString(), proxyHeader, this.#proxies);
  }

  /** Does this listener answer to the name that is asked for? */
  answersTo({ headers: { host } }: IncomingMessage): boolean {
    return hostAllowed(host, this.#rules);
  }

  /** A handshake; from here on it counts for its address. @throws HttpRefusal or Fault (or rejects) where it is refused */
  admit(request: IncomingMessage, socket: Socket, address: string): MaybePromise<Handshake> {
    this.#checkForm(request);
    this.#checkOrigin(request);
    const path = decodePath(request.url ?? "");
    if (this.hub.full && !mayComeBack(request)) throw new HttpRefusal(503, "maxConnections reached.", { "retry-after": "5" });
    if (!this.#arrivals.admit(socket, address)) throw new HttpRefusal(429, "maxPerAddress reached.");
    const found = this.#identify(request, path, address, protocolsOf(request.headers["sec-websocket-protocol"]));
    if (found instanceof Promise) void this.#arrivals.whileAsking(socket, found);
    return found;
  }

  /** It is known who it is; it may come in if it still may. @throws HttpRefusal */
  confirm(request: IncomingMessage, { identity }: Handshake): void {
    if (this.#stopping) throw STOPPING;
    if (identity && this.hub.isFullFor(identity) && !mayComeBack(request)) throw new HttpRefusal(429, "maxPerUser reached.");
  }

  /** It is known who is there: its handshake is over. */
  finish(socket: Socket): void {
    this.#arrivals.finish(socket);
  }

  #checkForm({ method, httpVersion, headers }: IncomingMessage): void {
    if (this.#stopping) throw STOPPING;
    if (method !== "GET") throw new HttpRefusal(405, "Expected GET.", { allow: "GET" });
    if (httpVersion !== "1.1") throw new HttpRefusal(400, "Expected HTTP/1.1.");
    if (headers.upgrade?.toLowerCase() !== "websocket") throw new HttpRefusal(404, "Expected an upgrade to websocket.");
    if (!WS_KEY.test(String(headers["sec-websocket-key"]))) throw new HttpRefusal(400, "Expected a Sec-WebSocket-Key.");
    if (headers["sec-websocket-version"] !== "13")
      throw new HttpRefusal(426, "Expected Sec-WebSocket-Version 13.", { "sec-websocket-version": "13" });
  }

  #checkOrigin(request: IncomingMessage): void {
    const { host, origin } = request.headers;
    if (host === undefined || !this.answersTo(request)) throw new HttpRefusal(403, "This host name is not in allowedHosts.");
    if (!this.#originAllowed(origin, host, request)) throw new HttpRefusal(403, "This origin is not in origins.");
  }

  /** A trusted proxy may have ended TLS, and may be known to the browser by another name. */
  #originAllowed(origin: string | undefined, host: string, { headers, socket }: IncomingMessage): boolean {
    if (!this.#proxies.has(this.behindProxy.addressOf(socket))) return originAllowed(origin, host, this.#rules);
    const forwarded = forwardedOrigin((name) => headers[name]?.toString(), this.settings.proxyHeader);
    return originAllowed(origin, forwarded.host ?? host, { ...this.#rules, secure: forwarded.secure ?? this.#rules.secure });
  }

  /** Who it is, as far as the handshake shows it [AUTH-2]. @throws Fault (or rejects) */
  #identify({ headers }: IncomingMessage, path: string, address: string, protocols: readonly string[]): MaybePromise<Handshake> {
    const credentials: Credentials = { kind: "page", path, address, headers: headers as Credentials["headers"], protocols };
    // One that there is not is said after the upgrade, where a browser hears of it.
    const resource = this.hub.resources.find(path);
    const known = resource && atHandshake(this.hub, resource, credentials, protocols.includes(SUBPROTOCOL));
    return whenKnown(known, (identity) => ({ path, address, credentials, identity }));
  }
}

import type { Server, Socket } from "node:net";
import { isLoopback } from "../address.js";
import type { Log } from "../app.js";
import type { Clock } from "../clock.js";
import type { Counters } from "../counters.js";
import type { TrustedProxies } from "../forwarded.js";
import { BadProxyHeader, type ProxyHeader, readProxyHeader } from "../proxy-protocol.js";

/** What the hub has for a listener. */
interface Host {
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  readonly limits: {
    /** For a header to come, ms. */
    readonly handshakeTimeout: number;
    /** Connections whose header has not come. */
    readonly maxHandshakes: number;
  };
}

/** The ends of a connection as they are known of its socket, and of one with TLS around it. */
type Ends = Pick<Socket, "remoteAddress" | "remotePort"> & { readonly localAddress?: string | undefined };

/**
 * One listener's connections that a trusted proxy passes on: takes the PROXY header off each before anybody else reads it, and knows where it really
 * comes from. A header from elsewhere is not believed, and not taken off either: it is read as what it is, a broken request.
 */
export class BehindProxy {
  /** By both ends of the connection, which no two open ones share: a socket with TLS around it is not the one that the header came from. */
  readonly #clients = new Map<string, { readonly address: string }>();
  readonly #waiting = new Set<Socket>();

  /** @param proxies whose connections begin with a PROXY header; `undefined`: nobody's */
  constructor(
    private readonly proxies: TrustedProxies | undefined,
    private readonly host: Host,
  ) {}

  /** Stands in front of all that takes the server's connections so far. Its timeouts and its closing stay its own. */
  guard(server: Server): void {
    const { proxies } = this;
    if (proxies === undefined) return;
    const takers = server.listeners("connection");
    server.removeAllListeners("connection");
    server.on("connection", (socket: Socket) => {
      const handOn = (): void => {
        for (const taker of takers) taker.call(server, socket);
      };
      if (proxies.has(socket.remoteAddress ?? "")) this.#expectHeader(socket, handOn);
      else handOn();
    });
  }

  /** Where a connection really comes from, as far as it is known. */
  addressOf(socket: Ends): string {
    // Nearly always nobody has shown a header, and the address of the hub's own side would stay with each socket that was asked for it.
    const client = this.#clients.size === 0 ? undefined : this.#clients.get(keyOf(socket));
    return client?.address ?? socket.remoteAddress ?? "";
  }

  /** Whoever still waits for a header is nobody yet, and hears nothing. */
  close(): void {
    for (const socket of this.#waiting) socket.destroy();
  }

  #expectHeader(socket: Socket, handOn: () => void): void {
    const { handshakeTimeout, maxHandshakes } = this.host.limits;
    const reader = new HeaderReader(socket, (outcome) => {
      cancel();
      this.#waiting.delete(socket);
      if (typeof outcome === "string") this.#refuse(socket, outcome);
      else if (outcome) {
        this.#remember(socket, outcome.source);
        handOn();
      }
    });
    const cancel = this.host.clock.after(handshakeTimeout, () =>
      reader.stop(`No PROXY header within \`handshakeTimeout\` ${handshakeTimeout} ms.`),
    );
    this.#waiting.add(socket);
    if (this.#waiting.size > maxHandshakes)
      reader.stop(`\`maxHandshakes\` ${maxHandshakes} reached by those whose PROXY header is missing.`);
  }

  #refuse(socket: Socket, reason: string): void {
    this.host.counters.count("connections_refused", "proxy");
    this.host.log.warn("proxy.refused", { reason, ip: socket.remoteAddress });
    socket.destroy();
  }

  /** A proxy of another host cannot say that somebody comes from this one: what comes from here needs no key. */
  #remember(socket: Socket, source: string | undefined): void {
    const own = socket.remoteAddress ?? "";
    const key = keyOf(socket);
    const client = { address: source === undefined || (isLoopback(source) && !isLoopback(own)) ? own : source };
    this.#clients.set(key, client);
    socket.once("close", () => {
      // A proxy that was reset may have come again, from the same port, before this socket was done.
      if (this.#clients.get(key) === client) this.#clients.delete(key);
    });
  }
}

const keyOf = ({ remoteAddress, remotePort, localAddress }: Ends): string => `${remoteAddress} ${remotePort} ${localAddress}`;

/** Reads the header of one connection, whatever parts it comes in, and puts back what stands behind it. */
class HeaderReader {
  #bytes: Uint8Array = new Uint8Array(0);
  readonly #listeners: Readonly<Record<string, () => void>> = {
    readable: () => this.#read(),
    end: () => this.#ended(),
    error: () => this.socket.destroy(),
    close: () => this.stop(undefined),
  };

  /** @param done called once: with the header, with the sentence why there is none, or with `undefined` where there is nobody any more */
  constructor(
    private readonly socket: Socket,
    private readonly done: (outcome: ProxyHeader | string | undefined) => void,
  ) {
    for (const [event, listener] of Object.entries(this.#listeners)) socket.on(event, listener);
  }

  stop(outcome: ProxyHeader | string | undefined): void {
    this.#letGo();
    this.done(outcome);
  }

  #letGo(): void {
    for (const [event, listener] of Object.entries(this.#listeners)) this.socket.off(event, listener);
  }

  #read(): void {
    const bytes: Uint8Array | null = this.socket.read();
    if (bytes === null) return;
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    try {
      const header = readProxyHeader(this.#bytes);
      if (header !== "incomplete") this.#found(header);
    } catch (error) {
      if (!(error instanceof BadProxyHeader)) throw error;
      this.stop(error.message);
    }
  }

  #found(header: ProxyHeader): void {
    this.#letGo();
    if (header.length < this.#bytes.length) this.socket.unshift(this.#bytes.subarray(header.length));
    this.done(header);
  }

  #ended(): void {
    // Whoever only looks whether somebody listens says nothing at all.
    if (this.#bytes.length > 0) this.stop("The connection ended within its PROXY header.");
    else this.socket.destroy();
  }
}

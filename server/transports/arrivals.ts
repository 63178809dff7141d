import type { Socket } from "node:net";
import { AddressCounter } from "../address.js";
import type { Log } from "../app.js";
import type { Counters } from "../counters.js";
import type { BehindProxy } from "./behind-proxy.js";

/** What the hub has for a listener. */
interface Host {
  readonly log: Log;
  readonly counters: Counters;
  readonly limits: {
    /** Handshakes that are not over. */
    readonly maxHandshakes: number;
    /** Connections of one address. */
    readonly maxPerAddress: number;
  };
}

/** One connection of a listener. */
interface Arrival {
  /** As it was accepted. */
  readonly socket: Socket;
  /** The one with TLS around it, once there is one. */
  secure: Socket | undefined;
  /** It is known who is there. */
  finished: boolean;
  /** For whom it counts. */
  address: string | undefined;
  /** Somebody is being asked about it. */
  asking: boolean;
  gone: boolean;
}

/**
 * The connections of one listener by what they take up: those whose handshake is not over, from the first byte of TLS on, and those that count for their
 * address. One about which somebody is asked keeps its places until the answer is there, though it has gone: so there are no more questions than places.
 */
export class Arrivals {
  /** By the socket that was accepted, and by the one with TLS around it. */
  readonly #here = new Map<Socket, Arrival>();
  /** Those whose TLS is not over, by both ends: the socket around does not say which one is in it. */
  readonly #unsecured = new Map<string, Arrival>();
  #unfinished = 0;
  readonly #addresses: AddressCounter;
  readonly #closed: (this: Socket) => void;

  /** @param tls each connection begins with it */
  constructor(
    private readonly host: Host,
    private readonly behindProxy: BehindProxy,
    private readonly tls: boolean,
  ) {
    this.#addresses = new AddressCounter(host.limits.maxPerAddress);
    const leave = (socket: Socket): void => this.#leave(socket);
    // One function for all of them, that knows its socket as `this`: one for each is a quarter of a KiB a page.
    this.#closed = function (): void {
      leave(this);
    };
  }

  /** A connection was accepted, whatever it wants; one too many hears nothing. */
  enter(socket: Socket): void {
    // Too many wait for their PROXY header: that has been said.
    if (socket.destroyed) return;
    if (this.#unfinished < this.host.limits.maxHandshakes) this.#count(socket);
    else {
      this.host.counters.count("handshakes_refused", "dropped");
      this.host.log.warn("handshake.dropped", { reason: "maxHandshakes", ip: this.behindProxy.addressOf(socket) });
      socket.destroy();
    }
  }

  /** Its TLS stands. */
  secured(socket: Socket): void {
    const key = keyOf(socket);
    const arrival = this.#unsecured.get(key);
    if (arrival === undefined) return;
    this.#unsecured.delete(key);
    arrival.secure = socket;
    this.#here.set(socket, arrival);
  }

  /** It counts for this address from now on. @returns false where that has as many as it may have */
  admit(socket: Socket, address: string): boolean {
    const arrival = this.#here.get(socket);
    if (arrival === undefined) return true; // It has gone meanwhile.
    if (!this.#addresses.enter(address)) return false;
    arrival.address = address;
    return true;
  }

  /** Somebody is asked about it. */
  async whileAsking(socket: Socket, answer: Promise<unknown>): Promise<void> {
    const arrival = this.#here.get(socket);
    if (arrival === undefined) return;
    arrival.asking = true;
    await answer.catch(() => {});
    arrival.asking = false;
    if (arrival.gone) this.#giveBack(arrival);
  }

  /** Its handshake is over. */
  finish(socket: Socket): void {
    const arrival = this.#here.get(socket);
    if (arrival) this.#finish(arrival);
  }

  /** Nobody comes in any more, whoever is asked. */
  close(): void {
    for (const { socket, secure } of this.#here.values()) (secure ?? socket).destroy();
  }

  #count(socket: Socket): void {
    const arrival = { socket, secure: undefined, finished: false, address: undefined, asking: false, gone: false };
    this.#unfinished++;
    this.#here.set(socket, arrival);
    if (this.tls) this.#unsecured.set(keyOf(socket), arrival);
    socket.on("close", this.#closed);
  }

  #finish(arrival: Arrival): void {
    if (arrival.finished) return;
    arrival.finished = true;
    this.#unfinished--;
  }

  #leave(socket: Socket): void {
    const arrival = this.#here.get(socket) as Arrival;
    this.#here.delete(socket);
    if (arrival.secure) this.#here.delete(arrival.secure);
    else if (this.tls && this.#unsecured.get(keyOf(socket)) === arrival) this.#unsecured.delete(keyOf(socket));
    arrival.gone = true;
    if (!arrival.asking) this.#giveBack(arrival);
  }

  #giveBack(arrival: Arrival): void {
    this.#finish(arrival);
    if (arrival.address !== undefined) this.#addresses.leave(arrival.address);
  }
}

/** Node remembers them of a socket that was asked once, also when that is closed. */
const keyOf = ({ remoteAddress, remotePort, localAddress }: Socket): string => `${remoteAddress} ${remotePort} ${localAddress}`;

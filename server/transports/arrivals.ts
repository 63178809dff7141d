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
  readonly socket: Socket;
  /** It is known who is there. */
  finished: boolean;
  /** For whom it counts. */
  address: string | undefined;
}

type Ends = Pick<Socket, "remoteAddress" | "remotePort">;

/**
 * The connections of one listener by what they take up: those whose handshake is not over, from the first byte of TLS on, and those that count for their
 * address. They are found by their other end, for a socket with TLS around it is not the one that was accepted.
 */
export class Arrivals {
  readonly #here = new Map<string, Arrival>();
  #unfinished = 0;
  readonly #addresses: AddressCounter;
  readonly #gone: (this: Socket) => void;

  constructor(
    private readonly host: Host,
    private readonly behindProxy: BehindProxy,
  ) {
    this.#addresses = new AddressCounter(host.limits.maxPerAddress);
    const leave = (socket: Socket): void => this.#leave(socket);
    // One function for all of them, that knows its socket as `this`: one for each is a quarter of a KiB a page.
    this.#gone = function (): void {
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

  #count(socket: Socket): void {
    const key = keyOf(socket);
    // One that was reset may have come again, from the same port, before its socket was done.
    const before = this.#here.get(key);
    if (before) this.#forget(key, before);
    this.#unfinished++;
    this.#here.set(key, { socket, finished: false, address: undefined });
    socket.on("close", this.#gone);
  }

  /** It counts for this address from now on. @returns false where that has as many as it may have */
  admit(socket: Ends, address: string): boolean {
    const arrival = this.#here.get(keyOf(socket));
    if (arrival === undefined) return true; // It has gone meanwhile.
    if (!this.#addresses.enter(address)) return false;
    arrival.address = address;
    return true;
  }

  /** Its handshake is over. */
  finish(socket: Ends): void {
    const arrival = this.#here.get(keyOf(socket));
    if (arrival) this.#finish(arrival);
  }

  #finish(arrival: Arrival): void {
    if (arrival.finished) return;
    arrival.finished = true;
    this.#unfinished--;
  }

  #leave(socket: Socket): void {
    const key = keyOf(socket);
    const arrival = this.#here.get(key);
    if (arrival?.socket === socket) this.#forget(key, arrival);
  }

  #forget(key: string, arrival: Arrival): void {
    this.#here.delete(key);
    this.#finish(arrival);
    if (arrival.address !== undefined) this.#addresses.leave(arrival.address);
  }
}

/** Node remembers it of a socket that was asked once, also when that is closed. */
const keyOf = ({ remoteAddress, remotePort }: Ends): string => `${remoteAddress} ${remotePort}`;

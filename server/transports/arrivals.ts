import type { Socket } from "node:net";
import { AddressCounter } from "../address.js";

export interface ArrivalLimits {
  /** Handshakes that are not over. */
  readonly maxHandshakes: number;
  /** Connections of one address. */
  readonly maxPerAddress: number;
}

/** The sockets of one listener by what they take up: those whose handshake is not over, and those that count for their address. */
export class Arrivals {
  readonly #unfinished = new Set<Socket>();
  readonly #addressOf = new Map<Socket, string>();
  readonly #addresses: AddressCounter;
  readonly #gone: (this: Socket) => void;

  constructor(private readonly limits: ArrivalLimits) {
    this.#addresses = new AddressCounter(limits.maxPerAddress);
    const leave = (socket: Socket): void => this.#leave(socket);
    // One function for all of them, that knows its socket as `this`: one for each is a quarter of a KiB a page.
    this.#gone = function (): void {
      leave(this);
    };
  }

  /** @returns false where too many handshakes are not over */
  enter(socket: Socket): boolean {
    if (this.#unfinished.size >= this.limits.maxHandshakes) return false;
    this.#unfinished.add(socket);
    socket.on("close", this.#gone);
    return true;
  }

  /** It counts for this address from now on. @returns false where that has as many as it may have */
  admit(socket: Socket, address: string): boolean {
    if (!this.#addresses.enter(address)) return false;
    this.#addressOf.set(socket, address);
    return true;
  }

  /** Its handshake is over. */
  finish(socket: Socket): void {
    this.#unfinished.delete(socket);
  }

  #leave(socket: Socket): void {
    this.#unfinished.delete(socket);
    const address = this.#addressOf.get(socket);
    if (address === undefined) return;
    this.#addressOf.delete(socket);
    this.#addresses.leave(address);
  }
}

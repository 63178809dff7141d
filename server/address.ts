import { BlockList, isIPv6 } from "node:net";

import { Tally } from "./tally.js";

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

/** This host, by the address of a socket; `::ffff:127.0.0.1` is 127.0.0.1 seen by a socket for both families. */
export function isLoopback(address: string): boolean {
  if (address === "localhost") return true;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  return LOOPBACK.check(mapped ?? address, mapped === undefined && isIPv6(address) ? "ipv6" : "ipv4");
}

/** Does this socket come from this host? */
export const isLocal = (address: string): boolean => address === "unix" || isLoopback(address);

/** How many connections each address has. Loopback is exempt: every backend and proxy of this host comes from there. */
export class AddressCounter {
  readonly #tally: Tally;

  constructor(max: number) {
    this.#tally = new Tally(max);
  }

  /** @returns false where the address has as many as it may have */
  enter(address: string): boolean {
    return isLoopback(address) || this.#tally.enter(address);
  }

  leave(address: string): void {
    this.#tally.leave(address);
  }
}

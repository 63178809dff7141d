import { BlockList, isIP } from "node:net";
import { quoted } from "../protocol/index.js";
import { isLoopback } from "./address.js";

/** Which header says where a request comes from; only the one that the proxies really set may be believed: the others come from the client. */
export type ForwardedHeader = "x-forwarded-for" | "forwarded";

/** Proxies in a row that are looked at; nobody has so many. */
const MAX_HOPS = 32;
/** Fields of one element of `Forwarded` that are looked at; there are four. */
const MAX_FIELDS = 16;

/** Addresses and networks whose word is believed. */
export class TrustedProxies {
  readonly #list = new BlockList();

  /** @throws TypeError where an entry is neither an address nor a network such as 10.0.0.0/8 */
  constructor(entries: readonly string[]) {
    for (const entry of entries) this.#add(entry);
  }

  has(address: string): boolean {
    const bare = unmapped(address);
    return isIP(bare) !== 0 && this.#list.check(bare, familyOf(bare));
  }

  #add(entry: string): void {
    const [address = "", prefix, more] = entry.split("/");
    const bits = isIP(address) === 6 ? 128 : 32;
    const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
    if (isIP(address) === 0 || more !== undefined || !(length <= bits))
      throw new TypeError(`Expected an address or a network such as 10.0.0.0/8, got ${quoted(entry)}.`);
    this.#list.addSubnet(address, length, familyOf(address));
  }
}

/**
 * Where a request comes from. Each proxy adds at the right of the header whom it was asked by, so the right-most entry that is no trusted proxy is the
 * client; what stands in front of it the client may have made up. An entry that is no address is nobody's word: then it is the proxy that passed it on.
 * That somebody comes from this host only a proxy of this host can know.
 * @param socketAddress of the socket, or what a PROXY header says of it; believed as it is, and alone where it is not a trusted proxy's
 */
export function clientAddress(socketAddress: string, header: string | undefined, kind: ForwardedHeader, trusted: TrustedProxies): string {
  let address = socketAddress;
  if (header === undefined) return address;
  let hops = 0;
  for (const entry of fromTheRight(header)) {
    if (!trusted.has(address) || ++hops > MAX_HOPS) break;
    const next = addressIn(kind === "forwarded" ? fieldOf(entry, "for") : entry);
    if (next === undefined) break;
    address = next;
  }
  return isLoopback(address) && !isLoopback(socketAddress) ? socketAddress : address;
}

/** The origin under which the page's browser knows this hub, where a trusted proxy says so: it may end TLS, and may have another name. */
export interface ForwardedOrigin {
  readonly host: string | undefined;
  /** Did the browser speak TLS? */
  readonly secure: boolean | undefined;
}

/** @param header reads a header of the request, by its lower-case name */
export function forwardedOrigin(header: (name: string) => string | undefined, kind: ForwardedHeader): ForwardedOrigin {
  // The right-most is the word of the proxy that is trusted.
  const last = lastOf(header("forwarded"));
  const proto = kind === "forwarded" ? fieldOf(last, "proto") : lastOf(header("x-forwarded-proto"));
  const host = kind === "forwarded" ? fieldOf(last, "host") : lastOf(header("x-forwarded-host"));
  return { host: host === "" ? undefined : host, secure: proto === "" ? undefined : proto.toLowerCase() === "https" };
}

const lastOf = (list = ""): string => list.slice(list.lastIndexOf(",") + 1).trim();

/** The entries of a list, the last one first; no more of it is read than is asked for. */
function* fromTheRight(list: string): Iterable<string> {
  for (let end = list.length; end >= 0; ) {
    const comma = end === 0 ? -1 : list.lastIndexOf(",", end - 1);
    yield list.slice(comma + 1, end);
    end = comma;
  }
}

/** A field of one element of `Forwarded` (RFC 7239, section 4). */
function fieldOf(element: string, field: string): string {
  for (const pair of element.split(";", MAX_FIELDS)) {
    const [name = "", value = ""] = pair.split("=", 2);
    if (name.trim().toLowerCase() === field) return value.trim().replace(/^"(.*)"$/, "$1");
  }
  return "";
}

/** An address, without port and brackets. */
function addressIn(text: string): string | undefined {
  const trimmed = text.trim();
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(trimmed)?.[1];
  const bare = bracketed ?? trimmed.replace(/^(\d+\.\d+\.\d+\.\d+):\d{1,5}$/, "$1");
  return isIP(bare) === 0 ? undefined : bare;
}

const unmapped = (address: string): string => /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
const familyOf = (address: string): "ipv4" | "ipv6" => (isIP(address) === 6 ? "ipv6" : "ipv4");

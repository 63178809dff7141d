import { isIPv4, isIPv6, SocketAddress } from "node:net";

/** What a proxy has written in front of a connection that it passes on. */
export interface ProxyHeader {
  /** The client's address; {@link UNKNOWN} where the proxy does not say it; `undefined` where it speaks for itself. */
  readonly source: string | undefined;
  /** Bytes that the header takes; behind them is what the client says. */
  readonly length: number;
}

/** Somebody whom the proxy does not name: it is not itself, so it is nobody who would be trusted. */
export const UNKNOWN = "unknown";

/** What stands where a PROXY header is due is none, or one that breaks a rule. */
export class BadProxyHeader extends Error {
  override name = "BadProxyHeader";
}

/** Bytes of the longest header that is read, of version 2 with everything that proxies add behind the addresses. */
export const MAX_PROXY_HEADER = 16 + 2_048;

const V1_START = ascii("PROXY ");
const V2_SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
/** Bytes of a line of version 1 at the most, CRLF included. */
const V1_MAX = 107;
/** Signature, version and command, family and transport, length of the rest. */
const V2_FIXED = 16;
const CR = 0x0d;
const LF = 0x0a;

const STREAM_OR_DATAGRAM = 2;
/** Address families of version 2 by their number: bytes that the addresses and ports of both ends take, and how the first is written. */
const FAMILIES: readonly { readonly size: number; read(block: Uint8Array): string | undefined }[] = [
  { size: 0, read: () => UNKNOWN },
  { size: 12, read: ipv4 },
  { size: 36, read: ipv6 },
  { size: 216, read: () => UNKNOWN },
];
const LOCAL = { size: 0, read: () => undefined };

/**
 * The header of the PROXY protocol, version 1 or 2, at the beginning of a connection, from the bytes that have come so far.
 * @throws BadProxyHeader at once where it begins like none; where it breaks another rule, before it is longer than it may be
 */
export function readProxyHeader(bytes: Uint8Array): ProxyHeader | "incomplete" {
  if (startsLike(bytes, V1_START)) return bytes.length < V1_START.length ? "incomplete" : readLine(bytes);
  if (startsLike(bytes, V2_SIGNATURE)) return bytes.length < V2_FIXED ? "incomplete" : readBlock(bytes);
  throw new BadProxyHeader("Expected a PROXY header, of version 1 or 2, at the beginning of the connection.");
}

/** Of two texts the shorter is the beginning of the longer. */
function startsLike(bytes: Uint8Array, start: Uint8Array): boolean {
  const length = Math.min(bytes.length, start.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== start[i]) return false;
  return true;
}

// ── Version 1: a line ────────────────────────────────────────────────────────────────────────────────────────────────

function readLine(bytes: Uint8Array): ProxyHeader | "incomplete" {
  const end = endOfLine(bytes.subarray(0, V1_MAX));
  if (end !== undefined) return { source: sourceOf(String.fromCharCode(...bytes.subarray(V1_START.length, end))), length: end + 2 };
  if (bytes.length < V1_MAX) return "incomplete";
  throw new BadProxyHeader(`Expected the line of PROXY version 1 to end with CRLF within ${V1_MAX} bytes.`);
}

/** Where its CRLF stands. A single CR or LF ends no line, and is not part of one either. */
function endOfLine(line: Uint8Array): number | undefined {
  const end = line.findIndex((byte) => byte === CR || byte === LF);
  if (end === -1 || (line[end] === CR && end + 1 === line.length && line.length < V1_MAX)) return undefined;
  if (line[end] === CR && line[end + 1] === LF) return end;
  throw new BadProxyHeader("Expected the line of PROXY version 1 to end with CRLF.");
}

/** @param line what stands between `PROXY ` and the line end */
function sourceOf(line: string): string | undefined {
  const [family, source = "", destination = "", sourcePort = "", destinationPort = "", ...more] = line.split(" ");
  // What stands behind UNKNOWN is to be ignored.
  if (family === "UNKNOWN") return UNKNOWN;
  if (family !== "TCP4" && family !== "TCP6") throw new BadProxyHeader("Expected TCP4, TCP6 or UNKNOWN in PROXY version 1.");
  const isAddress = family === "TCP4" ? isIPv4 : isUnscopedIPv6;
  if (!isAddress(source) || !isAddress(destination)) throw new BadProxyHeader(`Expected two addresses behind ${family}.`);
  if (!isPort(sourcePort) || !isPort(destinationPort) || more.length > 0)
    throw new BadProxyHeader(`Expected two ports behind the addresses of ${family}, and nothing else.`);
  return canonical(source);
}

/** Names of a proxy's own network interfaces mean nothing here. */
const isUnscopedIPv6 = (text: string): boolean => isIPv6(text) && !text.includes("%");
const isPort = (text: string): boolean => /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;

// ── Version 2: a block ───────────────────────────────────────────────────────────────────────────────────────────────

function readBlock(bytes: Uint8Array): ProxyHeader | "incomplete" {
  const [versionAndCommand = 0, familyAndTransport = 0, high = 0, low = 0] = bytes.subarray(V2_SIGNATURE.length, V2_FIXED);
  const length = V2_FIXED + high * 256 + low;
  if (versionAndCommand >> 4 !== 2) throw new BadProxyHeader("Expected version 2 behind the signature of PROXY version 2.");
  if (length > MAX_PROXY_HEADER) throw new BadProxyHeader(`Expected a PROXY header of at most ${MAX_PROXY_HEADER} bytes, got ${length}.`);
  const command = versionAndCommand & 0x0f;
  if (command > 1) throw new BadProxyHeader("Expected the command of PROXY version 2 to be LOCAL or PROXY.");
  // A proxy that speaks for itself says nothing with its addresses, not even with the kind of them.
  const family = command === 0 ? LOCAL : FAMILIES[familyAndTransport >> 4];
  if (family === undefined || (command === 1 && (familyAndTransport & 0x0f) > STREAM_OR_DATAGRAM))
    throw new BadProxyHeader("Expected an address family and a transport that PROXY version 2 knows.");
  if (length < V2_FIXED + family.size) throw new BadProxyHeader("Expected a PROXY header that is as long as its addresses.");
  return bytes.length < length ? "incomplete" : { source: family.read(bytes.subarray(V2_FIXED, length)), length };
}

function ipv4(block: Uint8Array): string {
  return block.subarray(0, 4).join(".");
}

function ipv6(block: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((block[2 * i] as number) * 256 + (block[2 * i + 1] as number)).toString(16));
  return canonical(groups.join(":"));
}

/** As a socket's address is written, so that one address is counted as one, however its proxy writes it. */
function canonical(address: string): string {
  return new SocketAddress({ address, family: isIPv6(address) ? "ipv6" : "ipv4" }).address;
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

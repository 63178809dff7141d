import { isIPv6 } from "node:net";

/** The families of version 2. */
export const UNSPEC = 0;
export const INET = 1;
export const INET6 = 2;
export const UNIX = 3;
export const COMMAND = { local: 0, proxy: 1 } as const;

export const SIGNATURE: Uint8Array = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);

/** A header of version 1. */
export const lineOf = (family: "TCP4" | "TCP6", source: string, destination = source): Uint8Array =>
  Buffer.from(`PROXY ${family} ${source} ${destination} 56324 443\r\n`);

export interface Block {
  command?: 0 | 1;
  family: number;
  /** Default: a stream. */
  transport?: number;
  source?: string;
  /** What stands behind the addresses. */
  more?: Uint8Array;
}

/** A header of version 2. */
export function blockOf({ command = COMMAND.proxy, family, transport = 1, source, more = new Uint8Array(0) }: Block): Uint8Array {
  const addresses = addressesOf(family, source);
  const length = addresses.length + more.length;
  const fixed = Uint8Array.of(0x20 | command, (family << 4) | transport, length >> 8, length & 0xff);
  return Buffer.concat([SIGNATURE, fixed, addresses, more]);
}

function addressesOf(family: number, source: string | undefined): Uint8Array {
  if (family === UNIX) return new Uint8Array(216);
  if (source === undefined) return new Uint8Array(0);
  const address = isIPv6(source) ? groupsOf(source) : source.split(".").map(Number);
  return Uint8Array.from([...address, ...address.map(() => 0), 0xdc, 0x04, 0x01, 0xbb]);
}

/** The 16 bytes of an IPv6 address; a URL writes all its groups in hexadecimal digits. */
function groupsOf(address: string): number[] {
  const [head = "", tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const groups = (text = ""): string[] => text.split(":").filter((group) => group !== "");
  const zeros = Array.from({ length: 8 - groups(head).length - groups(tail).length }, () => "0");
  return [...groups(head), ...(tail === undefined ? [] : zeros), ...groups(tail)].flatMap((group) => {
    const number = Number.parseInt(group, 16);
    return [number >> 8, number & 0xff];
  });
}

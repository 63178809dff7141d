import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { BadProxyHeader, MAX_PROXY_HEADER, type ProxyHeader, readProxyHeader } from "../../server/proxy-protocol.js";
import { bytesOf, holds } from "../protocol/arbitraries.js";
import { blockOf, COMMAND, INET, INET6, lineOf, SIGNATURE, UNIX, UNSPEC } from "./support-proxy-header.js";

const BEHIND = bytesOf("GET / HTTP/1.1\r\n");
const join = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts);
const read = (header: string | Uint8Array): ProxyHeader | "incomplete" =>
  readProxyHeader(typeof header === "string" ? bytesOf(header) : header);

/** A header with its client. */
const headers = fc.oneof(
  fc.tuple(fc.ipV4(), fc.ipV4()).map(([source, to]) => ({ source, header: lineOf("TCP4", source, to) })),
  fc.tuple(fc.ipV6(), fc.ipV6()).map(([source, to]) => ({ source, header: lineOf("TCP6", source, to) })),
  fc
    .tuple(fc.ipV4(), fc.uint8Array({ maxLength: 2_036 }))
    .map(([source, more]) => ({ source, header: blockOf({ family: INET, source, more }) })),
  fc
    .tuple(fc.ipV6(), fc.uint8Array({ maxLength: 50 }))
    .map(([source, more]) => ({ source, header: blockOf({ family: INET6, source, more }) })),
  fc
    .string({ unit: "grapheme-ascii", maxLength: 92 })
    .map((more) => ({ source: "unknown", header: bytesOf(`PROXY UNKNOWN${more && ` ${more}`.slice(0, 92)}\r\n`) })),
  fc
    .uint8Array({ maxLength: 50 })
    .map((more) => ({ source: undefined, header: blockOf({ command: COMMAND.local, family: UNSPEC, more }) })),
);

/** Bytes that begin like a header more often than not. */
const bytes = fc
  .tuple(
    fc.oneof(
      fc.constantFrom(
        bytesOf(""),
        bytesOf("PROXY "),
        bytesOf("PROXY TCP4 "),
        bytesOf("PROXY TCP6 ::1 "),
        SIGNATURE,
        join(SIGNATURE, Uint8Array.of(0x21)),
      ),
      headers.map(({ header }) => header),
    ),
    fc.uint8Array({ maxLength: 300 }),
    fc.nat({ max: 30 }),
  )
  .map(([start, more, cut]) => join(start.subarray(0, Math.max(0, start.length - cut)), more));

/** The same address in one form. */
const canonical = (address: string | undefined): string | undefined =>
  address?.includes(":") ? new URL(`http://[${address}]`).hostname : address;

function outcomeOf(header: Uint8Array): ProxyHeader | "incomplete" | "bad" {
  try {
    return read(header);
  } catch (error) {
    assert.ok(error instanceof BadProxyHeader, String(error));
    return "bad";
  }
}

describe("a PROXY header, version 1", () => {
  const GOOD: readonly [header: string, source: string | undefined][] = [
    ["PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1"],
    ["PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"],
    ["PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0"],
    ["PROXY TCP6 2001:db8::1 ::1 1 2\r\n", "2001:db8::1"],
    ["PROXY TCP6 2001:DB8:0:0:0:0:0:1 ::1 1 2\r\n", "2001:db8::1"],
    ["PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n", "::ffff:1.2.3.4"],
    [`PROXY TCP6 ${"ffff:".repeat(7)}ffff ${"ffff:".repeat(7)}ffff 65535 65535\r\n`, `${"ffff:".repeat(7)}ffff`],
    ["PROXY UNKNOWN\r\n", "unknown"],
    [`PROXY UNKNOWN ${"ffff:".repeat(7)}ffff ${"ffff:".repeat(7)}ffff 65535 65535\r\n`, "unknown"],
    ["PROXY UNKNOWN whatever  stands here\r\n", "unknown"],
  ];
  for (const [header, source] of GOOD) {
    test(JSON.stringify(header), () => {
      assert.deepEqual(read(header), { source, length: header.length });
      assert.deepEqual(read(`${header}${header}`), { source, length: header.length });
    });
  }

  const BAD: readonly [header: string, message: RegExp][] = [
    ["GET / HTTP/1.1\r\n", /^Expected a PROXY header, of version 1 or 2/],
    ["proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n", /^Expected a PROXY header/],
    [" PROXY UNKNOWN\r\n", /^Expected a PROXY header/],
    ["PROXY\r\n", /^Expected a PROXY header/],
    ["PROXY \r\n", /TCP4, TCP6 or UNKNOWN/],
    ["PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", /TCP4, TCP6 or UNKNOWN/],
    ["PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", /TCP4, TCP6 or UNKNOWN/],
    ["PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n", /TCP4, TCP6 or UNKNOWN/],
    ["PROXY UNKNOWN\n", /CRLF/],
    ["PROXY UNKNOWN\rx", /CRLF/],
    ["PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", /CRLF/],
    ["PROXY TCP4\r\n", /two addresses behind TCP4/],
    ["PROXY TCP4 1.2.3.4\r\n", /two addresses/],
    ["PROXY TCP4 1.2.3.4 5.6.7 1 2\r\n", /two addresses/],
    ["PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n", /two addresses/],
    ["PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", /two addresses/],
    ["PROXY TCP4 ::1 ::1 1 2\r\n", /two addresses/],
    ["PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", /two addresses behind TCP6/],
    ["PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", /two addresses/],
    ["PROXY TCP6 [::1] ::1 1 2\r\n", /two addresses/],
    ["PROXY TCP4 localhost localhost 1 2\r\n", /two addresses/],
    ["PROXY TCP4 1.2.3.4 5.6.7.8\r\n", /two ports/],
    ["PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", /two ports/],
    ["PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", /two ports/],
    ["PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", /two ports/],
    ["PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n", /two ports/],
    ["PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", /two ports .* nothing else/],
    ["PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", /two ports/],
    [`PROXY UNKNOWN ${"x".repeat(92)}\r\n`, /CRLF/],
    [`PROXY UNKNOWN ${"x".repeat(93)}`, /CRLF within 107 bytes/],
  ];
  for (const [header, message] of BAD) {
    test(`refused: ${JSON.stringify(header)}`, () => assert.throws(() => read(header), { name: "BadProxyHeader", message }));
  }

  test("a line of 107 bytes may be, one byte more may not", () => {
    const line = (length: number): string => `${"PROXY UNKNOWN ".padEnd(length - 2, "x")}\r\n`;
    assert.deepEqual(read(line(107)), { source: "unknown", length: 107 });
    assert.throws(() => read(line(108)), /CRLF/);
  });
});

describe("a PROXY header, version 2", () => {
  const v4 = { family: INET, source: "1.2.3.4" };
  const GOOD: readonly [what: string, header: Uint8Array, source: string | undefined][] = [
    ["TCP over IPv4", blockOf(v4), "1.2.3.4"],
    ["UDP over IPv4", blockOf({ ...v4, transport: 2 }), "1.2.3.4"],
    ["an unspecified transport over IPv4", blockOf({ ...v4, transport: 0 }), "1.2.3.4"],
    ["TCP over IPv6", blockOf({ family: INET6, source: "2001:db8::1" }), "2001:db8::1"],
    ["an IPv4 address in an IPv6 one", blockOf({ family: INET6, source: "::ffff:1.2.3.4" }), "::ffff:1.2.3.4"],
    ["a unix socket", blockOf({ family: UNIX }), "unknown"],
    ["an unspecified family", blockOf({ family: UNSPEC, transport: 0 }), "unknown"],
    ["an unspecified family with something behind it", blockOf({ family: UNSPEC, more: new Uint8Array(30) }), "unknown"],
    ["the proxy for itself", blockOf({ command: COMMAND.local, family: UNSPEC, transport: 0 }), undefined],
    ["the proxy for itself, whatever the addresses", blockOf({ ...v4, command: COMMAND.local }), undefined],
    ["the proxy for itself, whatever the family", blockOf({ command: COMMAND.local, family: 15, transport: 15 }), undefined],
    ["what proxies add is skipped", blockOf({ ...v4, more: Uint8Array.of(4, 0, 3, 1, 2, 3) }), "1.2.3.4"],
    ["even what is none of that", blockOf({ ...v4, more: new Uint8Array(2_036).fill(0xff) }), "1.2.3.4"],
  ];
  for (const [what, header, source] of GOOD) {
    test(what, () => assert.deepEqual(read(join(header, BEHIND)), { source, length: header.length }));
  }

  const withByte = (at: number, byte: number): Uint8Array => blockOf(v4).map((old, i) => (i === at ? byte : old));
  const BAD: readonly [what: string, header: Uint8Array, message: RegExp][] = [
    ["a signature with another byte", withByte(4, 1), /^Expected a PROXY header/],
    ["version 1", withByte(12, 0x11), /^Expected version 2/],
    ["version 3", withByte(12, 0x31), /^Expected version 2/],
    ["an unknown command", withByte(12, 0x22), /LOCAL or PROXY/],
    ["an unknown family", withByte(13, 0x41), /address family/],
    ["an unknown transport", withByte(13, 0x13), /transport/],
    ["an IPv4 header without room for its addresses", withByte(15, 11), /as long as its addresses/],
    ["an IPv6 header that is as long as one for IPv4", withByte(13, 0x21), /as long as its addresses/],
    ["a unix header that is too", withByte(13, 0x31), /as long as its addresses/],
    ["a header that is longer than is read", blockOf({ ...v4, more: new Uint8Array(2_037) }), /at most 2064 bytes, got 2065/],
  ];
  for (const [what, header, message] of BAD) {
    test(`refused: ${what}`, () => assert.throws(() => read(header), { name: "BadProxyHeader", message }));
  }

  test("one that is too long is refused before it has come", () => {
    assert.throws(() => read(join(SIGNATURE, Uint8Array.of(0x20, 0, 0xff, 0xff))), { name: "BadProxyHeader", message: /got 65551/ });
  });
});

describe("a PROXY header, whatever comes", () => {
  test("cut anywhere it is incomplete, and then the same, whatever stands behind it", () => {
    holds(headers, fc.uint8Array(), ({ source, header }, behind) => {
      const whole = read(header);
      assert.deepEqual(whole, read(join(header, behind)));
      assert.ok(whole !== "incomplete");
      assert.equal(whole.length, header.length);
      assert.equal(canonical(whole.source), canonical(source));
      for (let cut = 0; cut < header.length; cut++) assert.equal(read(header.subarray(0, cut)), "incomplete", `cut at ${cut}`);
    });
  });

  test("any bytes are a header, the beginning of one or refused; never more than came", () => {
    holds(bytes, (bytes) => {
      const outcome = outcomeOf(bytes);
      if (typeof outcome === "object") assert.ok(outcome.length > 0 && outcome.length <= bytes.length);
    });
  });

  test("what has been said of some bytes holds with more behind them", () => {
    holds(bytes, fc.uint8Array({ minLength: 1 }), (bytes, more) => {
      const outcome = outcomeOf(bytes);
      if (outcome !== "incomplete") assert.deepEqual(outcomeOf(join(bytes, more)), outcome);
    });
  });

  test("as many bytes as the longest header has are never incomplete", () => {
    holds(bytes, fc.nat({ max: 255 }), (bytes, byte) => {
      assert.notEqual(outcomeOf(join(bytes, new Uint8Array(MAX_PROXY_HEADER).fill(byte))), "incomplete");
    });
  });

  for (const start of ["", "P", "PROXY ", "PROXY TCP4 ", "PROXY UNKNOWN ", "\r\n\r\n"]) {
    test(`64 KiB are refused at once: ${JSON.stringify(start)} and more`, () => {
      for (const filling of ["x", " ", "P", "\r", "\n", "\0", "1.2.3.4 ", "PROXY "]) {
        assert.throws(() => read(start + filling.repeat(65_536 / filling.length)), BadProxyHeader);
      }
    });
  }
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isLoopback } from "../../server/address.js";
import { authority, type ListenUrl, parseAdminUrl, parseListenUrl } from "../../server/listen-url.js";
import { OptionError } from "../../server/options.js";

describe("where to listen", () => {
  const GOOD: readonly [text: string, url: ListenUrl][] = [
    ["ws://127.0.0.1:8096", { scheme: "ws", host: "127.0.0.1", port: 8096 }],
    ["wss://hub.intranet:443/", { scheme: "wss", host: "hub.intranet", port: 443 }],
    ["tcp://0.0.0.0:0", { scheme: "tcp", host: "0.0.0.0", port: 0 }],
    ["tls://[::]:8097", { scheme: "tls", host: "::", port: 8097 }],
    ["ws://[::1]:65535", { scheme: "ws", host: "::1", port: 65_535 }],
    ["unix:/run/signalbox/hub.sock", { scheme: "unix", path: "/run/signalbox/hub.sock" }],
    ["unix:hub.sock", { scheme: "unix", path: "hub.sock" }],
    ["unix:/a folder/hub:1.sock", { scheme: "unix", path: "/a folder/hub:1.sock" }],
  ];
  for (const [text, url] of GOOD) test(text, () => assert.deepEqual(parseListenUrl(text), url));

  const BAD = [
    "",
    "8096",
    "127.0.0.1:8096",
    "ws://127.0.0.1",
    "ws://:8096",
    "ws://127.0.0.1:65536",
    "ws://127.0.0.1:-1",
    "ws://127.0.0.1:80a",
    "ws://127.0.0.1:8096/web",
    "ws://user@127.0.0.1:8096",
    "ws://::1:8096",
    "ws://127.0.0.1:8096?x",
    "http://127.0.0.1:8096",
    "WS://127.0.0.1:8096",
    " ws://127.0.0.1:8096",
    "unix:",
  ];
  for (const text of BAD) {
    test(`${JSON.stringify(text)} is refused by name`, () => {
      assert.throws(() => parseListenUrl(text), { name: "OptionError", message: /^Expected `listen` to be ws:\/\/HOST:PORT/ });
    });
  }

  test("what is shown of a listener is read as the same listener", () => {
    const scheme = fc.constantFrom("ws", "wss", "tcp", "tls");
    const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain());
    fc.assert(
      fc.property(scheme, host, fc.integer({ min: 0, max: 65_535 }), (scheme, host, port) => {
        assert.deepEqual(parseListenUrl(`${scheme}://${authority(host, port)}`), { scheme, host, port });
      }),
    );
  });

  test("any text is a place of this host for operators or refused, never anything else", () => {
    const text = fc
      .array(
        fc.oneof(fc.constantFrom("tcp:", "unix:", "//", "[", "::1", "]", "127.0.0.1", "localhost", ":", "80", "/", "@", "\n"), fc.string()),
      )
      .map((all) => all.join(""));
    fc.assert(
      fc.property(text, (text) => {
        try {
          const at = parseAdminUrl(text);
          assert.ok("path" in at || (isLoopback(at.host) && at.port <= 65_535));
        } catch (error) {
          assert.ok(error instanceof OptionError, String(error));
        }
      }),
    );
  });

  test("any text is a listener or refused, never anything else", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(fc.constantFrom("ws:", "unix:", "//", "[", "::", "]", "1", ":", "80", "/", "@", "\n")).map((all) => all.join("")),
    );
    fc.assert(
      fc.property(text, (text) => {
        try {
          assert.ok(["ws", "wss", "tcp", "tls", "unix"].includes(parseListenUrl(text).scheme));
        } catch (error) {
          assert.ok(error instanceof OptionError, String(error));
        }
      }),
    );
  });
});

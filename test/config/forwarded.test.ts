import assert from "node:assert/strict";
import { isIP } from "node:net";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isLoopback } from "../../server/address.js";
import { clientAddress, type ForwardedHeader, forwardedOrigin, TrustedProxies } from "../../server/forwarded.js";
import { createHub, OptionError } from "../../server/main.js";
import { holds, textOf } from "../protocol/arbitraries.js";
import { startHub } from "../support/hub.js";
import { Page } from "../support/page.js";

const PROXIES = new TrustedProxies(["10.0.0.1", "192.168.0.0/16", "2001:db8::/32", "::ffff:127.0.0.1"]);
const find = (socket: string, header: string | undefined, kind: ForwardedHeader = "x-forwarded-for"): string =>
  clientAddress(socket, header, kind, PROXIES);

describe("which proxies are believed", () => {
  const CASES: readonly [address: string, trusted: boolean][] = [
    ["10.0.0.1", true],
    ["10.0.0.2", false],
    ["192.168.255.255", true],
    ["192.169.0.1", false],
    ["::ffff:192.168.0.1", true],
    ["2001:db8::5", true],
    ["2001:db9::5", false],
    ["unix", false],
    ["", false],
  ];
  for (const [address, trusted] of CASES) test(`${address || "nothing"}: ${trusted}`, () => assert.equal(PROXIES.has(address), trusted));

  test("any text is an address, a network or refused, and whatever is asked about has an answer", () => {
    const text = textOf("10.0.0.1", "::1", "2001:db8::", "/", "8", "-", ".", ":", "%");
    holds(text, text, (entry, address) => {
      try {
        assert.equal(typeof new TrustedProxies([entry]).has(address), "boolean");
      } catch (error) {
        assert.ok(error instanceof TypeError, String(error));
      }
    });
  });

  for (const entry of ["proxy.intranet", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.0/", "", "*"]) {
    test(`refused by name: ${entry || "nothing"}`, async () => {
      assert.throws(() => new TrustedProxies([entry]), { name: "TypeError", message: /Expected an address or a network/ });
      await assert.rejects(
        createHub({ trustedProxies: [entry] }),
        (error) => error instanceof OptionError && /`trustedProxies`/.test(error.message),
      );
    });
  }
});

describe("where a page comes from", () => {
  const CASES: readonly [rule: string, socket: string, header: string | undefined, address: string][] = [
    ["without a header it is the socket's address", "10.0.0.1", undefined, "10.0.0.1"],
    ["who is no trusted proxy is not believed", "6.6.6.6", "1.2.3.4", "6.6.6.6"],
    ["a trusted proxy is", "10.0.0.1", "1.2.3.4", "1.2.3.4"],
    [
      "the right-most that is not trusted counts: what stands before it the client may have made up",
      "10.0.0.1",
      "9.9.9.9, 1.2.3.4",
      "1.2.3.4",
    ],
    ["trusted proxies in a row are passed over", "10.0.0.1", "9.9.9.9,1.2.3.4 , 192.168.1.1", "1.2.3.4"],
    ["a client that says it is a proxy is still the client", "10.0.0.1", "127.0.0.1, 6.6.6.6", "6.6.6.6"],
    ["all trusted: the left-most", "10.0.0.1", "192.168.1.1, 192.168.1.2", "192.168.1.1"],
    ["what is no address is nobody's word", "10.0.0.1", "1.2.3.4, unknown", "10.0.0.1"],
    ["an empty entry too", "10.0.0.1", "1.2.3.4, ", "10.0.0.1"],
    ["IPv6, with brackets and a port", "10.0.0.1", "[2001:db9::1]:4711", "2001:db9::1"],
    ["IPv4 with a port", "10.0.0.1", "1.2.3.4:5", "1.2.3.4"],
    ["a proxy of another host cannot say that somebody is on this one", "10.0.0.1", "127.0.0.1", "10.0.0.1"],
    ["nor with an address of the other family", "10.0.0.1", "::1", "10.0.0.1"],
    ["nor with one in the other's", "10.0.0.1", "::ffff:127.0.0.2", "10.0.0.1"],
    ["nor in front of what it passes over", "10.0.0.1", "127.0.0.2, 192.168.1.1", "10.0.0.1"],
    ["a proxy of this host can", "127.0.0.1", "::1", "::1"],
    ["its own loopback is only on the way: who asked there is the client", "10.0.0.1", "1.2.3.4, 127.0.0.1", "1.2.3.4"],
  ];
  for (const [rule, socket, header, address] of CASES) test(rule, () => assert.equal(find(socket, header), address));

  const FORWARDED: readonly [header: string, address: string][] = [
    ["for=1.2.3.4", "1.2.3.4"],
    ['for=9.9.9.9, for="1.2.3.4:80";proto=https;by=10.0.0.1', "1.2.3.4"],
    ['For="[2001:db9::1]:4711"', "2001:db9::1"],
    ["for=_hidden", "10.0.0.1"],
    ["proto=https", "10.0.0.1"],
  ];
  for (const [header, address] of FORWARDED)
    test(`Forwarded: ${header}`, () => assert.equal(find("10.0.0.1", header, "forwarded"), address));

  test("never throws, and is always the socket's address or one that the header names", () => {
    const header = textOf("1.2.3.4", "10.0.0.1", ",", " ", "for=", '"', "[", "]", ":", ";", "2001:db8::1", "unknown");
    holds(header, fc.constantFrom<ForwardedHeader>("x-forwarded-for", "forwarded"), (text, kind) => {
      const address = find("10.0.0.1", text, kind);
      assert.ok(address === "10.0.0.1" || text.includes(address));
      forwardedOrigin(() => text, kind);
    });
  });

  test("what a proxy of another host says is never this host", () => {
    const header = fc.array(
      fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom("127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "192.168.0.1", "[::1]:80")),
    );
    holds(header, (entries) => assert.equal(isLoopback(find("10.0.0.1", entries.join(", "))), false));
  });

  test("64 KiB of commas are looked at once", () => {
    assert.equal(find("10.0.0.1", ",".repeat(65_536)), "10.0.0.1");
    assert.equal(find("10.0.0.1", "192.168.0.1,".repeat(5_000)), "10.0.0.1");
  });

  test("more proxies in a row than anybody has are not looked at: the last of them is who asked", () => {
    const chain = (proxies: number): string => `1.2.3.4${",192.168.0.1".repeat(proxies)}`;
    assert.equal(find("10.0.0.1", chain(31)), "1.2.3.4");
    assert.equal(find("10.0.0.1", chain(32)), "192.168.0.1");
  });

  test("[OPEN-7] the list is read as if it were split at its commas", () => {
    const entries = fc.array(fc.constantFrom("1.2.3.4", " 192.168.0.1", "192.168.0.2 ", "2001:db8::1", "", " ", "unknown", "1"), {
      maxLength: 40,
    });
    holds(entries, (entries) => {
      const text = entries.join(",");
      let expected = "10.0.0.1";
      for (const entry of text.split(",").reverse().slice(0, 32)) {
        if (!PROXIES.has(expected) || isIP(entry.trim()) === 0) break;
        expected = entry.trim();
      }
      assert.equal(find("10.0.0.1", text), expected);
    });
  });
});

describe("a hub behind a proxy", () => {
  const from = (address: string, more: Record<string, string> = {}) => ({ headers: { "x-forwarded-for": address, ...more } });

  test("logs and counts the page's own address", async (t) => {
    const hub = await startHub(t, { trustedProxies: ["127.0.0.1"], maxPerAddress: 1 });
    await Page.open(t, `${hub.ws}/`, {}, from("9.9.9.9, 1.2.3.4"));
    assert.equal((await hub.log.untilLine("peer.opened")).ip, "1.2.3.4");
    await assert.rejects(Page.connect(t, `${hub.ws}/`, true, from("1.2.3.4")), /HTTP 429/);
    await Page.open(t, `${hub.ws}/`, {}, from("1.2.3.5"));
  });

  test("that is not listed is not believed", async (t) => {
    const hub = await startHub(t, {});
    await Page.open(t, `${hub.ws}/`, {}, from("1.2.3.4"));
    assert.equal((await hub.log.untilLine("peer.opened")).ip, "127.0.0.1");
  });

  test("Forwarded is believed only where it is the header that was named", async (t) => {
    const hub = await startHub(t, { trustedProxies: ["127.0.0.1"] });
    await Page.open(t, `${hub.ws}/`, {}, { headers: { forwarded: "for=6.6.6.6" } });
    assert.equal((await hub.log.untilLine("peer.opened")).ip, "127.0.0.1");
  });

  test("[OPEN-7] the origin under which the browser knows it is its own; an unlisted proxy cannot say so", async (t) => {
    const headers = { "x-forwarded-proto": "https", "x-forwarded-host": "hub.intranet", origin: "https://hub.intranet" };
    const trusting = await startHub(t, { trustedProxies: ["127.0.0.1"] });
    await Page.open(t, `${trusting.ws}/`, {}, { headers });
    await assert.rejects(Page.connect(t, `${trusting.ws}/`, true, { headers: { ...headers, origin: "https://evil.example" } }), /HTTP 403/);
    const plain = await startHub(t);
    await assert.rejects(Page.connect(t, `${plain.ws}/`, true, { headers }), /HTTP 403/);
  });
});

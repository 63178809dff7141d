import assert from "node:assert/strict";
import { hostname } from "node:os";
import { describe, test } from "node:test";
import fc from "fast-check";
import { hostAllowed, type OriginRules, originAllowed } from "../../server/origin.js";

const LOOPBACK: OriginRules = { secure: false, boundTo: "127.0.0.1", origins: [], allowedHosts: [] };
const ANY_ADDRESS: OriginRules = { ...LOOPBACK, boundTo: "0.0.0.0" };
const NAMED: OriginRules = { ...LOOPBACK, boundTo: "hub.intranet", secure: true };

/** Texts that a reader of URLs could trip over. */
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.webUrl(),
  fc
    .array(
      fc.constantFrom("http", "://", "localhost", "127.0.0.1", "[", "::1", "]", ":", "80", "/", "\\", "@", "?", "#", "%", ".", "\0", "😀"),
    )
    .map((all) => all.join("")),
);
const rules = fc.record({
  secure: fc.boolean(),
  boundTo: fc.constantFrom("127.0.0.1", "::1", "0.0.0.0", "::", "hub.intranet"),
  origins: fc.array(text, { maxLength: 2 }),
  allowedHosts: fc.array(text, { maxLength: 2 }),
});

describe("is Host a name this listener answers to?", () => {
  const ROWS: readonly [host: string | undefined, rules: OriginRules, allowed: boolean, why: string][] = [
    ["127.0.0.1:8096", LOOPBACK, true, "its own address"],
    ["127.0.0.1", LOOPBACK, true, "without port"],
    ["localhost:8096", LOOPBACK, true, "localhost"],
    ["LOCALHOST:8096", LOOPBACK, true, "names have no case"],
    ["hub.localhost:8096", LOOPBACK, true, "below localhost"],
    ["[::1]:8096", LOOPBACK, true, "the other family's loopback"],
    ["[::ffff:127.0.0.1]:8096", LOOPBACK, true, "one family in the other"],
    ["evil.example:8096", LOOPBACK, false, "a foreign name, by DNS rebinding"],
    ["localhost.evil.example", LOOPBACK, false, "a foreign name that begins well"],
    ["evillocalhost", LOOPBACK, false, "a foreign name that ends well"],
    ["10.0.0.1:8096", LOOPBACK, false, "an address that a loopback listener does not have"],
    [hostname(), LOOPBACK, false, "this host's name on a loopback listener"],
    ["10.0.0.1:8096", ANY_ADDRESS, true, "an address cannot be rebound"],
    ["[fe80::1]:8096", ANY_ADDRESS, true, "nor one of the other family"],
    [hostname(), ANY_ADDRESS, true, "this host's name"],
    ["evil.example", ANY_ADDRESS, false, "a foreign name"],
    ["hub.intranet:8096", NAMED, true, "the name it is bound to"],
    ["HUB.intranet", NAMED, true, "in capitals"],
    ["www.hub.intranet", NAMED, false, "a name below it"],
    ["app.example", { ...LOOPBACK, allowedHosts: ["App.Example"] }, true, "a listed name"],
    ["app.example:8096", { ...LOOPBACK, allowedHosts: ["app.example"] }, true, "a listed name with a port"],
    ["www.app.example", { ...LOOPBACK, allowedHosts: ["app.example"] }, false, "a name below a listed one"],
    ["evil.example", { ...LOOPBACK, allowedHosts: ["*"] }, true, "any, where any is listed"],
    ["user@localhost", LOOPBACK, false, "no host but a host and more"],
    ["localhost/path", LOOPBACK, false, "no host but a path"],
    ["localhost?query", LOOPBACK, false, "no host but a query"],
    ["localhost#hash", LOOPBACK, false, "no host but a hash"],
    ["a b", LOOPBACK, false, "no host at all"],
    ["", LOOPBACK, false, "nothing"],
    [undefined, LOOPBACK, false, "none"],
  ];
  for (const [host, rules, allowed, why] of ROWS) {
    test(`[OPEN-7] ${allowed ? "yes" : "no"}: ${why} (${host} at ${rules.boundTo})`, () => assert.equal(hostAllowed(host, rules), allowed));
  }

  test("[OPEN-7] no: what is longer than any name is not looked at", () => {
    const below = (length: number): string => "a.".repeat(length).slice(0, length);
    const allowed = (length: number): boolean => hostAllowed(`${below(length)}.localhost`, LOOPBACK);
    assert.deepEqual([allowed(1_006), allowed(1_008), allowed(65_536)], [true, false, false]);
  });

  test("[OPEN-7] a foreign name is none of them, whatever it is and whatever stands around it", () => {
    const foreign = fc.domain().filter((name) => !/(^|\.)localhost$/i.test(name));
    const around = fc.constantFrom("", ":80", ".", "/", "#", "?", "@localhost", ":80@localhost:80", "\\@localhost", "/@127.0.0.1");
    fc.assert(
      fc.property(foreign, around, (name, around) => {
        assert.equal(hostAllowed(name + around, LOOPBACK), false);
      }),
    );
  });

  test("[OPEN-7] any text has an answer, never an exception", () => {
    fc.assert(
      fc.property(fc.option(text, { nil: undefined }), rules, (host, rules) => assert.equal(typeof hostAllowed(host, rules), "boolean")),
    );
  });
});

describe("may a page of this origin connect?", () => {
  const HOST = "127.0.0.1:8096";
  const listing = (...origins: string[]): OriginRules => ({ ...LOOPBACK, origins });
  const ROWS: readonly [origin: string | undefined, host: string, rules: OriginRules, allowed: boolean, why: string][] = [
    [undefined, HOST, LOOPBACK, true, "no origin is no browser"],
    ["http://127.0.0.1:8096", HOST, LOOPBACK, true, "the listener's own"],
    ["http://127.0.0.1", "127.0.0.1", LOOPBACK, true, "its own, with the port that needs no saying"],
    ["http://127.0.0.1:80", "127.0.0.1", LOOPBACK, true, "its own, with the port said on one side"],
    ["HTTP://LOCALHOST:8096", "localhost:8096", LOOPBACK, true, "its own, in capitals"],
    ["http://127.0.0.1:8000", HOST, LOOPBACK, false, "another port"],
    ["https://127.0.0.1:8096", HOST, LOOPBACK, false, "another scheme"],
    ["http://localhost:8096", HOST, LOOPBACK, false, "another name of the same host"],
    ["https://hub.intranet", "hub.intranet", NAMED, true, "its own, with TLS"],
    ["http://hub.intranet", "hub.intranet", NAMED, false, "its own without TLS"],
    ["null", HOST, LOOPBACK, false, "`null` is foreign"],
    ["null", HOST, listing("null"), false, "`null` is foreign even where it is listed: every sandbox has it"],
    ["file://", HOST, listing("file://"), false, "so is a file"],
    ["", HOST, LOOPBACK, false, "nothing"],
    ["http://evil.example", HOST, LOOPBACK, false, "foreign"],
    ["https://app.example", HOST, listing("https://app.example"), true, "listed"],
    ["https://app.example", HOST, listing("https://other.example", "https://app.example/"), true, "listed with a slash"],
    ["https://app.example:443", HOST, listing("https://app.example"), true, "listed, with the port that needs no saying"],
    ["http://app.example", HOST, listing("https://app.example"), false, "listed with another scheme"],
    ["https://app.example:8443", HOST, listing("https://app.example"), false, "listed with another port"],
    ["https://www.app.example", HOST, listing("https://app.example"), false, "below a listed one"],
    ["https://app.example.evil.example", HOST, listing("https://app.example"), false, "a foreign one that begins well"],
    ["https://app.example/path", HOST, listing("https://app.example"), false, "no origin but a page"],
    ["https://user@app.example", HOST, listing("https://app.example"), false, "no origin but a user's"],
    ["https://:pass@app.example", HOST, listing("https://app.example"), false, "nor one with a password"],
    ["https://app.example@evil.example", HOST, listing("https://app.example"), false, "a listed one as a user's name"],
    ["https://app.example", HOST, listing("app.example"), false, "what is listed is an origin, not a name"],
    ["http://evil.example", HOST, listing("*"), true, "any, where any is listed"],
    ["null", HOST, listing("*"), true, "`null` too"],
  ];
  for (const [origin, host, rules, allowed, why] of ROWS) {
    test(`[OPEN-7] ${allowed ? "yes" : "no"}: ${why} (${origin})`, () => assert.equal(originAllowed(origin, host, rules), allowed));
  }

  test("[OPEN-7] any text has an answer, never an exception", () => {
    fc.assert(fc.property(text, text, rules, (origin, host, rules) => assert.equal(typeof originAllowed(origin, host, rules), "boolean")));
  });

  test("[OPEN-7] an origin of another host is foreign, whatever it is", () => {
    const origin = fc.webUrl({ validSchemes: ["http", "https"] }).map((url) => new URL(url).origin);
    fc.assert(fc.property(origin, (origin) => assert.equal(originAllowed(origin, HOST, LOOPBACK), false)));
  });
});

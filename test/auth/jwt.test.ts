import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, type TestContext, test } from "node:test";
import fc from "fast-check";
import type { Authenticator } from "../../server/auth/authenticator.js";
import { type JwtOptions, jwt } from "../../server/auth/jwt.js";
import { textOf } from "../protocol/arbitraries.js";
import { run } from "../support/process.js";
import { selfSigned } from "../transports/support-certificates.js";
import { atMostRefused, identified, page, refused, unknown, withCookie } from "./credentials.js";
import { ec, ed25519, inSeconds, jwk, type Pair, pem, rsa, token } from "./tokens.js";
import { deadUrl, serve } from "./web-server.js";

const FOLDER = mkdtempSync(join(tmpdir(), "signalbox-jwt-"));
after(() => rmSync(FOLDER, { recursive: true }));

const SECRET = "a secret of application and hub: 32 bytes";
const RSA = rsa();
const OTHER_RSA = rsa();
const P256 = ec("P-256");
const P384 = ec("P-384");
const P521 = ec("P-521");
const ED = ed25519();

function file(name: string, content: string | object): string {
  const path = join(FOLDER, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

const withSecret = (options: Omit<JwtOptions, "secret"> = {}): Authenticator => jwt({ secret: SECRET, ...options });
const claims = (more: object = {}): object => ({ sub: "42", exp: inSeconds(60), ...more });
/** A token of the application. */
const own = (more: object = {}, header: object = {}): string => token("HS256", SECRET, claims(more), header);
const hello = (shown: string) => page({ token: shown });

describe("a JWT, and the key", () => {
  const CASES: readonly [kind: string, algs: readonly string[], pair: Pair][] = [
    ["RSA", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"], RSA],
    ["P-256", ["ES256"], P256],
    ["P-384", ["ES384"], P384],
    ["P-521", ["ES512"], P521],
    ["Ed25519", ["EdDSA"], ED],
  ];
  for (const [kind, algs, pair] of CASES) {
    for (const alg of algs) {
      test(`${alg} is verified with a ${kind} key in a PEM file, and in a JWKS file`, async () => {
        const shown = hello(token(alg, pair.privateKey, claims()));
        for (const keyFile of [file("key.pem", pem(pair)), file("keys.json", { keys: [jwk(pair)] })])
          assert.equal((await identified(jwt({ keyFile }), shown)).user?.id, "42");
      });
    }
  }

  for (const alg of ["HS256", "HS384", "HS512"]) {
    test(`${alg} is verified with a secret, a text or bytes`, async () => {
      assert.equal((await identified(withSecret(), hello(token(alg, SECRET, claims())))).user?.id, "42");
      const bytes = randomBytes(32);
      assert.equal((await identified(jwt({ secret: bytes }), hello(token(alg, bytes, claims())))).user?.id, "42");
    });
  }

  test("a certificate is a key", async () => {
    const { certFile, key } = selfSigned(FOLDER, "issuer");
    assert.equal((await identified(jwt({ keyFile: certFile }), hello(token("ES256", key, claims())))).user?.id, "42");
  });

  test("another key, another secret, a changed payload, a changed signature: refused", async () => {
    const [header, , signature] = own().split(".");
    const forged = Buffer.from(JSON.stringify(claims({ sub: "admin" }))).toString("base64url");
    const shown = [
      token("HS256", `${SECRET}!`, claims()),
      `${header}.${forged}.${signature}`,
      own().replace(/.{4}$/, (end) => (end === "AAAA" ? "BBBB" : "AAAA")),
      own().slice(0, -4),
    ];
    for (const each of shown) assert.match(await refused(withSecret(), hello(each)), /signature of the token is not right/);
    const keyFile = file("rsa.pem", pem(RSA));
    assert.match(await refused(jwt({ keyFile }), hello(token("RS256", OTHER_RSA.privateKey, claims()))), /signature/);
  });

  test("[algorithm confusion] what is signed with the public key as a secret is refused, in every form of the key", async () => {
    const keyFiles = [file("rsa.pem", pem(RSA)), file("rsa.json", { keys: [jwk(RSA)] })];
    for (const keyFile of keyFiles) {
      for (const alg of ["HS256", "HS384", "HS512"])
        assert.match(await refused(jwt({ keyFile }), hello(token(alg, pem(RSA), claims()))), /algorithm/);
      assert.throws(() => jwt({ keyFile, algorithms: ["RS256", "HS256"] }), {
        name: "TypeError",
        message: /for public keys .* got `HS256`/,
      });
    }
    assert.throws(() => jwt({ jwksUrl: "https://keys.example/", algorithms: ["HS512"] }), { name: "TypeError", message: /got `HS512`/ });
    assert.throws(() => jwt({ secret: pem(RSA) }), { name: "TypeError", message: /got a PEM file/ });
    assert.throws(() => jwt({ secret: SECRET, algorithms: ["RS256"] }), { name: "TypeError", message: /for a secret .* got `RS256`/ });
  });

  test("an unsigned token is refused, however it writes `none`, and cannot be asked for", async () => {
    for (const alg of ["none", "None", "NONE", ""])
      assert.match(await refused(withSecret(), hello(token(alg, SECRET, claims()))), /algorithm|no JWT/);
    assert.throws(() => withSecret({ algorithms: ["none"] }), { name: "TypeError", message: /got `none`/ });
    assert.throws(() => jwt({ keyFile: file("rsa.pem", pem(RSA)), algorithms: ["none"] }), { name: "TypeError", message: /got `none`/ });
  });

  test("an algorithm that is not listed is refused", async () => {
    const strict = withSecret({ algorithms: ["HS512"] });
    assert.match(await refused(strict, hello(own())), /algorithm of the token/);
    assert.ok(await identified(strict, hello(token("HS512", SECRET, claims()))));
    const keyFile = file("p256.pem", pem(P256));
    assert.match(await refused(jwt({ keyFile }), hello(token("RS256", RSA.privateKey, claims()))), /algorithm of the token/);
  });

  test("a key inside the token is not believed", async () => {
    const { privateKey } = OTHER_RSA;
    const shown = hello(
      token("RS256", privateKey, claims(), { jwk: jwk(OTHER_RSA), jku: "http://127.0.0.1:1/", x5u: "http://127.0.0.1:1/" }),
    );
    assert.match(await refused(jwt({ keyFile: file("rsa.pem", pem(RSA)) }), shown), /signature/);
  });

  test("an extension that nobody knows is refused", async () => {
    assert.match(await refused(withSecret(), hello(own({}, { crit: ["moon"], moon: 1 }))), /extension/);
    assert.match(await refused(withSecret(), hello(own({}, { crit: ["b64"], b64: false }))), /signature|no JWT/);
  });

  test("of a JWKS the key is that of the `kid`; without one each that fits is tried", async () => {
    const keys = [jwk(RSA, { kid: "old" }), jwk(OTHER_RSA, { kid: "new" }), jwk(P256), jwk(rsa(), { use: "enc" }), { kty: "moon" }];
    const authenticator = jwt({ keyFile: file("several.json", { keys }) });
    for (const [pair, header] of [
      [RSA, { kid: "old" }],
      [OTHER_RSA, { kid: "new" }],
      [RSA, {}],
      [OTHER_RSA, {}],
    ] as const)
      assert.ok(await identified(authenticator, hello(token("RS256", pair.privateKey, claims(), header))));
    assert.match(await refused(authenticator, hello(token("RS256", RSA.privateKey, claims(), { kid: "new" }))), /signature/);
    assert.match(await refused(authenticator, hello(token("RS256", RSA.privateKey, claims(), { kid: "moon" }))), /key of the token/);
    assert.match(await refused(authenticator, hello(token("RS256", rsa().privateKey, claims()))), /signature/);
    assert.match(await refused(authenticator, hello(token("RS256", OTHER_RSA.privateKey, claims({ exp: inSeconds(-60) })))), /expired/);
  });
});

describe("a JWT, and a key server", () => {
  /** A server whose keys the test changes. */
  async function keyServer(t: TestContext, ...keys: object[]) {
    const state = { keys, asked: 0 };
    const { url, server } = await serve(t, (_, response) => {
      state.asked++;
      response.end(JSON.stringify({ keys: state.keys }));
    });
    return { state, url, server };
  }

  test("is asked once for many tokens", async (t) => {
    const { state, url } = await keyServer(t, jwk(P256, { kid: "1" }));
    const authenticator = jwt({ jwksUrl: url });
    const shown = hello(token("ES256", P256.privateKey, claims(), { kid: "1" }));
    await Promise.all(Array.from({ length: 20 }, () => identified(authenticator, shown)));
    await identified(authenticator, shown);
    assert.equal(state.asked, 1);
  });

  test("a new key is fetched when a token names it, at most every 30 s; the old one counts no more", async (t) => {
    t.mock.timers.enable({ apis: ["Date"], now: Date.now() });
    const { state, url } = await keyServer(t, jwk(P256, { kid: "1" }));
    const authenticator = jwt({ jwksUrl: url });
    const old = hello(token("ES256", P256.privateKey, claims(), { kid: "1" }));
    const renewed = hello(token("EdDSA", ED.privateKey, claims(), { kid: "2" }));
    await identified(authenticator, old);
    state.keys = [jwk(ED, { kid: "2" })];
    assert.match(await refused(authenticator, renewed), /key of the token/);
    assert.equal(state.asked, 1);
    t.mock.timers.tick(30_001);
    await identified(authenticator, renewed);
    assert.match(await refused(authenticator, old), /key of the token/);
    assert.equal(state.asked, 2);
  });

  test("its secret keys and HS are of no use: refused", async (t) => {
    const { url } = await keyServer(t, { kty: "oct", k: Buffer.from(SECRET).toString("base64url"), kid: "1" });
    assert.match(await refused(jwt({ jwksUrl: url }), hello(own({}, { kid: "1" }))), /algorithm/);
  });

  test("one that is dead, hangs, fails, redirects or talks nonsense: nobody knows, and its query is not shown", async (t) => {
    const shown = token("ES256", P256.privateKey, claims());
    const failures: [string, RegExp][] = [
      [await deadUrl(t), /ECONNREFUSED/],
      [(await serve(t, () => {})).url, /timed out/],
      [(await serve(t, (_, response) => response.writeHead(500).end())).url, /200 OK/],
      [(await serve(t, (_, response) => response.writeHead(302, { location: "/" }).end())).url, /200 OK/],
      [(await serve(t, (_, response) => response.end("<html>"))).url, /JSON/],
      [(await serve(t, (_, response) => response.end("{}"))).url, /malformed/],
      [(await serve(t, (_, response) => response.end(JSON.stringify({ keys: [{ ...jwk(P256), x: "AA" }] })))).url, /./],
    ];
    for (const [url, why] of failures) {
      const message = await unknown(jwt({ jwksUrl: `${url}/keys?key=hush`, timeout: 200 }), hello(shown));
      assert.match(message, new RegExp(`^The key server ${url}/keys gives no keys: .*${why.source}`));
      assert.doesNotMatch(message, /hush/);
      for (const part of shown.split(".")) assert.ok(!message.includes(part));
    }
  });

  test("is waited for as long as `timeout` says", async (t) => {
    const waiting: ServerResponse[] = [];
    const { url } = await serve(t, (_, response) => waiting.push(response));
    const shown = hello(token("ES256", P256.privateKey, claims()));
    const patient = identified(jwt({ jwksUrl: url, timeout: 60_000 }), shown);
    await unknown(jwt({ jwksUrl: url, timeout: 50 }), shown);
    for (const response of waiting) response.end(JSON.stringify({ keys: [jwk(P256)] }));
    await patient;
  });

  test("one that is dead is asked again for the next token", async (t) => {
    const state = { well: false };
    const { url } = await serve(t, (_, response) => response.writeHead(state.well ? 200 : 503).end(JSON.stringify({ keys: [jwk(P256)] })));
    const authenticator = jwt({ jwksUrl: url });
    const shown = hello(token("ES256", P256.privateKey, claims()));
    await unknown(authenticator, shown);
    state.well = true;
    await identified(authenticator, shown);
  });
});

describe("a JWT, and what it says", () => {
  test("`exp` and `clockTolerance` are the end of what is true, in ms", async () => {
    const exp = inSeconds(60);
    assert.deepEqual(await identified(withSecret(), hello(own({ exp }))), {
      user: { id: "42", name: "42", roles: [] },
      expires: exp * 1_000 + 5_000,
    });
    assert.equal((await identified(withSecret(), hello(own({ exp: exp + 0.5 })))).expires, exp * 1_000 + 5_500);
  });

  test("one that has expired is refused, `clockTolerance` after that; default 5 s", async (t) => {
    t.mock.timers.enable({ apis: ["Date"], now: 1_800_000_000_000 });
    const shown = hello(own({ exp: 1_800_000_060 }));
    const strict = withSecret({ clockTolerance: 0 });
    t.mock.timers.tick(59_999);
    await identified(strict, shown);
    t.mock.timers.tick(1);
    assert.match(await refused(strict, shown), /has expired/);
    t.mock.timers.tick(4_999);
    await identified(withSecret(), shown);
    t.mock.timers.tick(1);
    assert.match(await refused(withSecret(), shown), /has expired/);
    await identified(withSecret({ clockTolerance: 30 }), shown);
  });

  test("without `exp` it is refused, unless that is allowed: then it holds without end", async () => {
    const shown = hello(own({ exp: undefined }));
    assert.match(await refused(withSecret(), shown), /claim `exp` .* got none/);
    assert.deepEqual(await identified(withSecret({ requireExpiry: false }), shown), { user: { id: "42", name: "42", roles: [] } });
    assert.match(await refused(withSecret({ requireExpiry: false }), hello(own({ exp: inSeconds(-60) }))), /expired/);
  });

  test("`exp` in ms is a slip, and no token for 50,000 years", async () => {
    assert.match(await refused(withSecret(), hello(own({ exp: Date.now() + 60_000 }))), /claim `exp` .* are they ms/);
    await identified(withSecret(), hello(own({ exp: 253_402_300_800 })));
  });

  const WRONG: readonly [rule: string, more: object, options: Partial<JwtOptions>, why: RegExp][] = [
    ["an `exp` that is no number", { exp: "tomorrow" }, {}, /claim `exp`/],
    ["one that does not count yet", { nbf: inSeconds(60) }, {}, /claim `nbf`/],
    ["another issuer", { iss: "them" }, { issuer: "us" }, /claim `iss` .* got something else/],
    ["no issuer", {}, { issuer: "us" }, /claim `iss` .* got none/],
    ["another audience", { aud: ["them"] }, { audience: "us" }, /claim `aud`/],
    ["no audience", {}, { audience: "us" }, /claim `aud` .* got none/],
    ["no id", { sub: undefined }, {}, /claim `sub` .* got none/],
    ["an empty id", { sub: "" }, {}, /claim `sub` .* got an empty text/],
    ["an id that is a number", { sub: 42 }, {}, /claim `sub` .* got a number/],
    ["an id that is too long", { sub: "x".repeat(257) }, {}, /claim `sub` .* got a text of 257 characters/],
    ["a claim that every object has", {}, { claims: { id: "constructor" } }, /claim `constructor` .* got none/],
    ["a name that is an object", { name: {} }, {}, /claim `name`/],
    ["roles that are a number", { roles: 7 }, {}, /claim `roles`/],
    ["a role that is no text", { roles: ["clerk", 7] }, {}, /claim `roles` .* got a number/],
    ["tags that are a text", { tags: "hush" }, { claims: { tags: "tags" } }, /claim `tags` .* got a text of 4/],
    ["a tag that is an array", { tags: { hush: [] } }, { claims: { tags: "tags" } }, /claim `tags` .* got an object/],
  ];
  for (const [rule, more, options, why] of WRONG) {
    test(`refused: ${rule}`, async () => {
      const message = await refused(withSecret(options), hello(own({ other: "hush", ...more })));
      assert.match(message, why);
      assert.doesNotMatch(message, /hush|them/);
    });
  }

  test("issuer and audience are compared whole; an audience may be one of several", async () => {
    const strict = withSecret({ issuer: "us", audience: "hub" });
    for (const aud of ["hub", ["else", "hub"]]) await identified(strict, hello(own({ iss: "us", aud })));
    for (const more of [{ iss: "us!" }, { iss: ["us"] }, { aud: "hub2" }, { aud: { hub: 1 } }])
      await refused(strict, hello(own({ iss: "us", aud: "hub", ...more })));
  });

  test("name and roles; roles may stand in one text", async () => {
    const user = { id: "42", name: "Jürgen 😀", roles: ["clerk", "admin"] };
    assert.deepEqual((await identified(withSecret(), hello(own({ name: "Jürgen 😀", roles: ["clerk", "admin"] })))).user, user);
    assert.deepEqual((await identified(withSecret(), hello(own({ name: "Jürgen 😀", roles: " clerk  admin " })))).user, user);
    assert.deepEqual((await identified(withSecret(), hello(own({ name: null, roles: null })))).user, { id: "42", name: "42", roles: [] });
  });

  test("the claims may have other names", async () => {
    const authenticator = withSecret({ claims: { id: "uid", name: "mail", roles: "https://app.example/groups", tags: "places" } });
    const shown = own({ uid: "j", mail: "j@example.org", "https://app.example/groups": ["a"], places: { floor: 3, open: true } });
    const { user, tags } = await identified(authenticator, hello(shown));
    assert.deepEqual(user, { id: "j", name: "j@example.org", roles: ["a"] });
    assert.deepEqual({ ...tags }, { floor: 3, open: true });
  });

  test("tags: where a claim is named, a missing one is {}: the page cannot choose; where none is, there are none", async () => {
    assert.deepEqual((await identified(withSecret({ claims: { tags: "tags" } }), hello(own()))).tags, {});
    assert.equal((await identified(withSecret(), hello(own({ tags: { a: 1 } })))).tags, undefined);
  });
});

describe("a JWT, and where it is shown", () => {
  test("in the token of a hello, in a subprotocol, in the cookie that is named", async () => {
    const authenticator = withSecret({ cookie: "session" });
    for (const shown of [hello(own()), page({ protocols: ["signalbox", `token.${own()}`] }), withCookie(`a=b; session=${own()}`)])
      assert.equal((await identified(authenticator, shown)).user?.id, "42");
    assert.equal(authenticator.afterHello, true);
    assert.equal((await identified(authenticator, { ...hello(own()), kind: "backend" })).user?.id, "42");
  });

  test("the cookie counts before the subprotocol, and that before the hello; what is wrong in one place is not saved by another", async () => {
    const authenticator = withSecret({ cookie: "session" });
    const all = (cookie: string, protocol: string, inHello: string) =>
      page({ headers: { cookie: `session=${cookie}` }, protocols: [`token.${protocol}`], token: inHello });
    const [one, two, three, bad] = [own({ sub: "1" }), own({ sub: "2" }), own({ sub: "3" }), own({ exp: 1 })];
    assert.equal((await identified(authenticator, all(one, two, three))).user?.id, "1");
    assert.equal((await identified(authenticator, all("", two, three))).user?.id, "2");
    assert.match(await refused(authenticator, all(bad, two, three)), /expired/);
    assert.match(await refused(authenticator, all("opaque", two, three)), /Expected the cookie to hold a JWT/);
    assert.match(await refused(authenticator, all("", bad, three)), /expired/);
  });

  test("nothing shown is nobody, at once", () => {
    const authenticator = withSecret({ cookie: "session" });
    for (const shown of [page(), withCookie("other=1"), withCookie("session="), page({ protocols: ["signalbox", "token."] })])
      assert.equal(authenticator.authenticate(shown), undefined);
    assert.equal(withSecret().authenticate(withCookie(`session=${own()}`)), undefined, "a cookie that is not named");
  });

  test("what is no JWT at all is another authenticator's", () => {
    for (const text of ["opaque", "a.b", "a.b.c.d", "a.b.c d", "ä.b.c", ".b.c", "a..c", ""]) {
      assert.equal(withSecret().authenticate(hello(text)), undefined, text);
      assert.equal(withSecret().authenticate(page({ protocols: [`token.${text}`] })), undefined, text);
    }
  });

  test("what looks like a JWT and is none is refused", async () => {
    for (const text of ["a.b.c", "e30.e30.e30", "bnVsbA.e30.AA", `${own().split(".")[0]}.!`.replace("!", "AA.AA")])
      assert.match(await refused(withSecret(), hello(text)), /no JWT|signature/);
    const [header] = own().split(".");
    for (const payload of ["null", "[]", "7", '{"exp":', "\u0000"])
      assert.ok(await refused(withSecret(), hello(rawToken(`${header}`, payload))));
  });

  test("no cookie, token or protocol ever fails in another way, and nobody is let in by it", async () => {
    const good = own();
    const [header = "", payload = "", signature = ""] = good.split(".");
    const text = textOf("session=", ";", "=", ".", "token.", header, payload, "e30", "eyJhbGciOiJub25lIn0", "AAAA", " ", "%2e", "é");
    const authenticator = withSecret({ cookie: "session" });
    const shown = fc.record({ cookie: text, protocols: fc.array(text, { maxLength: 3 }), token: fc.option(text, { nil: undefined }) });
    await fc.assert(
      fc.asyncProperty(shown, async ({ cookie, protocols, token: inHello }) => {
        assert.ok(![cookie, inHello, ...protocols].join().includes(signature));
        await atMostRefused(authenticator, page({ headers: { cookie }, protocols, token: inHello }));
      }),
      { numRuns: 400 },
    );
  });

  test("a changed character makes a token worthless, and no refusal shows any of it", async () => {
    const good = own({ name: "Jane Doe" });
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.constantFrom(..."Aaz09-_."), async (at, character) => {
        fc.pre(good[at] !== character && !isSameSignature(good, at, character));
        const changed = good.slice(0, at) + character + good.slice(at + 1);
        if (changed.split(".").length !== 3) return;
        const message = await refused(withSecret(), hello(changed));
        for (const part of changed.split(".")) assert.ok(part.length < 4 || !message.includes(part));
      }),
      { numRuns: 400 },
    );
  });
});

/** Signed well, whatever it holds. */
function rawToken(header: string, payload: string): string {
  const signed = `${header}.${Buffer.from(payload).toString("base64url")}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

/** The last character of a signature holds bits that mean nothing. */
function isSameSignature(good: string, at: number, character: string): boolean {
  const bytes = (text: string): string => Buffer.from(text.slice(text.lastIndexOf(".") + 1), "base64url").toString("hex");
  return at === good.length - 1 && bytes(good) === bytes(good.slice(0, at) + character);
}

describe("a JWT, and what is set up wrong shows at start", () => {
  const pemOf = (pair: Pair): string => pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const WRONG: readonly [rule: string, options: () => object, why: RegExp][] = [
    ["no key", () => ({}), /exactly one of .* got none/],
    ["two kinds of keys", () => ({ secret: SECRET, jwksUrl: "http://x/" }), /got `secret` and `jwksUrl`/],
    ["a short secret, unshown", () => ({ secret: "hush".repeat(7) }), /^Expected `secret` to be at least 32 bytes, got 28\.$/],
    ["a secret that is a number", () => ({ secret: 7 }), /`secret` to be a text or a Buffer, got a number/],
    ["an option that there is not", () => ({ secret: SECRET, audiance: "us" }), /got `audiance`/],
    ["a claim that there is not", () => ({ secret: SECRET, claims: { role: "x" } }), /got `role`/],
    ["a claim without a name", () => ({ secret: SECRET, claims: { id: "" } }), /names of claims/],
    ["an issuer that is not set", () => ({ secret: SECRET, issuer: undefined }), /`issuer` .* got none/],
    ["an empty audience", () => ({ secret: SECRET, audience: "" }), /`audience` .* got an empty text/],
    ["no algorithm", () => ({ secret: SECRET, algorithms: [] }), /`algorithms`/],
    ["a cookie that no cookie can be", () => ({ secret: SECRET, cookie: "a;b" }), /`cookie`/],
    ["a tolerance below 0", () => ({ secret: SECRET, clockTolerance: -1 }), /`clockTolerance`/],
    ["requireExpiry that is a text", () => ({ secret: SECRET, requireExpiry: "false" }), /`requireExpiry`/],
    ["a timeout of 0", () => ({ jwksUrl: "http://x/", timeout: 0 }), /`timeout`/],
    ["a URL that is a file's", () => ({ jwksUrl: "file:///etc/keys" }), /`jwksUrl` .* got one of file:/],
    ["a URL with a password, unshown", () => ({ jwksUrl: "http://user:hush@x/" }), /`jwksUrl` .* without user/],
    ["a file that is not there", () => ({ keyFile: join(FOLDER, "nowhere") }), /can be read, got .* ENOENT/],
    ["a file that is something else", () => ({ keyFile: file("x", "hush") }), /PEM, or a JWKS/],
    ["a private key", () => ({ keyFile: file("x", pemOf(RSA)) }), /got a private one/],
    ["a private key behind a public one", () => ({ keyFile: file("x", pem(P256) + pemOf(P256)) }), /got a private one/],
    ["half a key", () => ({ keyFile: file("x", pem(RSA).slice(0, 200)) }), /cannot be read/],
    ["a JWKS that is no JSON", () => ({ keyFile: file("x", "{hush") }), /got no JSON/],
    ["a JWKS without keys", () => ({ keyFile: file("x", {}) }), /got something else/],
    [
      "a JWKS with a private key",
      () => ({ keyFile: file("x", { keys: [P256.privateKey.export({ format: "jwk" })] }) }),
      /public keys alone/,
    ],
    ["a JWKS with a secret", () => ({ keyFile: file("x", { keys: [{ kty: "oct", k: "aHVzaA" }] }) }), /public keys alone/],
    ["a JWKS whose key is broken", () => ({ keyFile: file("x", { keys: [{ ...jwk(P256), x: "hush" }] }) }), /cannot be read/],
    ["a JWKS whose keys are for something else", () => ({ keyFile: file("x", { keys: [jwk(RSA, { use: "enc" })] }) }), /got none/],
    ["a JWKS of which none is usable", () => ({ keyFile: file("x", { keys: [{ kty: "moon" }] }) }), /got none/],
    ["an RSA key that is too short", () => ({ keyFile: file("x", pem(rsa(1_024))) }), /at least 2048 bits/],
    ["a curve that is not known", () => ({ keyFile: file("x", pem(ec("secp256k1"))) }), /P-256, P-384/],
    [
      "an algorithm that the key is not for",
      () => ({ keyFile: file("x", pem(P256)), algorithms: ["RS256"] }),
      /which are ES256, got RS256/,
    ],
  ];
  for (const [rule, options, why] of WRONG) {
    test(rule, () => {
      assert.throws(
        () => jwt(options() as JwtOptions),
        (error: Error) => error instanceof TypeError && why.test(error.message) && !/hush/.test(error.message),
      );
    });
  }

  test("a hub without JWT does without the library; one that has not got it says that nobody can know", async () => {
    const here = (name: string): string => new URL(`../../server/auth/${name}.js`, import.meta.url).href;
    const hook = `export const resolve = (name, context, next) => { if (name === "jose") throw new Error("not here"); return next(name, context); }`;
    const script = `
      import { register } from "node:module";
      register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hook)}`)});
      const { jwt } = await import("${here("jwt")}");
      const shown = (token) => ({ kind: "page", path: "/", address: "", headers: {}, protocols: [], token });
      const authenticator = jwt({ secret: "${SECRET}" });
      console.log(authenticator.authenticate(shown()));
      await authenticator.authenticate(shown("${own()}")).catch(({ name, message }) => console.log(name, message));`;
    const { stdout, stderr } = await run(process.execPath, ["--input-type=module", "--no-warnings", "-e", script]);
    assert.deepEqual([stdout, stderr], ["undefined\nError not here\n", ""]);
  });
});

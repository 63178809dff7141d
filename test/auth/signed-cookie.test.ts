import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Authenticator } from "../../server/auth/authenticator.js";
import { cookieOf } from "../../server/auth/cookies.js";
import {
  type CookieUser,
  type SignedCookieOptions,
  type SigningOptions,
  signCookie,
  signedCookie,
} from "../../server/auth/signed-cookie.js";
import { holds, textOf } from "../protocol/arbitraries.js";
import { type Finished, run } from "../support/process.js";
import { identified, page, refused, withCookie } from "./credentials.js";

const SECRET = "a secret of application and hub: 32 bytes";
const OLD_SECRET = "what was the secret before: also 32 bytes";
const JANE: CookieUser = { id: "jürgen😀", name: "Jürgen 😀 Müller", roles: ["clerk", "Prüfer 😀"] };
const NOON = 1_800_000_000;
/** Made with another program: `printf 'signalbox cookie\n%s' "$SIGNED" | openssl dgst -sha256 -hmac "$SECRET"`. */
const MADE_ELSEWHERE = "v1.1800000060.NDI.SmFuZQ.Y2xlcmssYWRtaW4.lZz2dgLQ9ljKvWboSG3jbPE3PD5L7rwcHrTdhakK1EU";

const AUTHENTICATOR = signedCookie({ secret: SECRET });
const sign = (user: CookieUser = JANE, options: Partial<SigningOptions> = { maxAge: 60 }): string =>
  signCookie(user, { secret: SECRET, ...options });
const shown = (value: string, name = "signalbox") => withCookie(`first=1; ${name}=${value}; last=2`);

/** Signed well, whatever it holds. */
function raw(signed: string, purpose = "signalbox cookie\n"): string {
  return `${signed}.${createHmac("sha256", SECRET)
    .update(purpose + signed)
    .digest("base64url")}`;
}

describe("a signed cookie", () => {
  test("says who it is, until when", async (t) => {
    t.mock.timers.enable({ apis: ["Date"], now: NOON * 1_000 + 999 });
    assert.deepEqual(await identified(AUTHENTICATOR, shown(sign())), { user: JANE, expires: (NOON + 60) * 1_000 });
    assert.deepEqual((await identified(AUTHENTICATOR, shown(sign({ id: "42" })))).user, { id: "42", name: "42", roles: [] });
  });

  test("is written as it is documented", async (t) => {
    t.mock.timers.enable({ apis: ["Date"], now: NOON * 1_000 });
    assert.equal(sign({ id: "42", name: "Jane", roles: ["clerk", "admin"] }), MADE_ELSEWHERE);
    assert.deepEqual((await identified(AUTHENTICATOR, shown(MADE_ELSEWHERE))).user, { id: "42", name: "Jane", roles: ["clerk", "admin"] });
  });

  test("ends at a date, at a second since 1970, or after seconds from now", async (t) => {
    t.mock.timers.enable({ apis: ["Date"], now: NOON * 1_000 });
    const ends = [{ expires: new Date((NOON + 60) * 1_000 + 999) }, { expires: NOON + 60 }, { maxAge: 60 }];
    for (const end of ends) assert.equal((await identified(AUTHENTICATOR, shown(sign(JANE, end)))).expires, (NOON + 60) * 1_000);
  });

  test("that has expired is refused", async (t) => {
    t.mock.timers.enable({ apis: ["Date"], now: NOON * 1_000 });
    const value = sign();
    t.mock.timers.tick(59_999);
    await identified(AUTHENTICATOR, shown(value));
    t.mock.timers.tick(1);
    assert.match(await refused(AUTHENTICATOR, shown(value)), /has expired/);
  });

  test("is looked for under its name, and the first of that name counts", async () => {
    const named = signedCookie({ secret: SECRET, cookie: "who" });
    assert.equal((await identified(named, shown(sign(), "who"))).user?.id, JANE.id);
    assert.equal(named.authenticate(shown(sign())), undefined);
    const [one, two] = [sign({ id: "1" }), sign({ id: "2" })];
    assert.equal((await identified(AUTHENTICATOR, withCookie(`signalbox=${one}; signalbox=${two}`))).user?.id, "1");
    await refused(AUTHENTICATOR, withCookie(`signalbox=x; signalbox=${two}`));
  });

  test("none, or an empty one, is nobody", () => {
    for (const each of [
      page(),
      withCookie(""),
      withCookie("signalbox="),
      withCookie("signalbo=1"),
      page({ token: sign(), protocols: [sign()] }),
    ])
      assert.equal(AUTHENTICATOR.authenticate(each), undefined);
    assert.equal(AUTHENTICATOR.afterHello, undefined);
  });

  test("of an old secret counts for as long as that is listed", async () => {
    const old = shown(signCookie(JANE, { secret: OLD_SECRET, maxAge: 60 }));
    const both = signedCookie({ secrets: [SECRET, OLD_SECRET] });
    await identified(both, old);
    await identified(both, shown(sign()));
    assert.match(await refused(AUTHENTICATOR, old), /signature of the cookie is not right/);
    await identified(signedCookie({ secrets: [Buffer.from(OLD_SECRET)] }), old);
  });

  test("of which any character is changed, left out or put in is refused, and nothing of it is shown", () => {
    const value = sign();
    holds(fc.nat(value.length - 1), fc.constantFrom(..."Aaz09-_.v="), fc.constantFrom(0, 1), (at, character, removed) => {
      const changed = value.slice(0, at) + character + value.slice(at + removed);
      if (changed !== value) assertRefused(AUTHENTICATOR, changed);
    });
    for (let at = 0; at < value.length; at++) {
      assertRefused(AUTHENTICATOR, value.slice(0, at) + value.slice(at + 1));
      if (at > 0) assertRefused(AUTHENTICATOR, value.slice(0, at));
    }
  });

  test("of which the last character of the MAC is written in another way is refused: there is one way to write it", () => {
    const value = sign();
    const bytes = (text: string): string => Buffer.from(text.slice(text.lastIndexOf(".") + 1), "base64url").toString("hex");
    const others = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"]
      .map((last) => value.slice(0, -1) + last)
      .filter((other) => other !== value && bytes(other) === bytes(value));
    assert.ok(others.length > 0);
    for (const other of [...others, `${value}=`]) assertRefused(AUTHENTICATOR, other);
  });

  test("that the secret has signed for something else is refused", () => {
    const signed = sign().slice(0, sign().lastIndexOf("."));
    assert.equal(raw(signed).split(".").length, 6);
    for (const purpose of ["", "signalbox cookie", "signalbox token\n"]) assertRefused(AUTHENTICATOR, raw(signed, purpose));
  });

  const END = NOON * 10;
  const WRONG: readonly [rule: string, signed: string, why: RegExp][] = [
    ["of another version", `v2.${END}.NDI..`, /v1\.EXPIRES/],
    ["with a part too few", `v1.${END}.NDI.`, /v1\.EXPIRES/],
    ["with a part too many", `v1.${END}.NDI...`, /v1\.EXPIRES/],
    ["without an id", `v1.${END}...`, /ID .* got an empty text/],
    ["with an id that is too long", `v1.${END}.${Buffer.from("x".repeat(257)).toString("base64url")}..`, /ID .* got a text of 257/],
    ["with base64url that has padding", `v1.${END}.NDI=..`, /base64url/],
    ["with base64 that is not base64url", `v1.${END}.+/+/..`, /base64url/],
    ["with bits left over", `v1.${END}.NDJ..`, /base64url/],
    ["with a line end in base64url", `v1.${END}.N\tDI..`, /base64url/],
    ["with what is no UTF-8", `v1.${END}._w..`, /UTF-8/],
    ["with an empty role", `v1.${END}.NDI..LGE`, /ROLES .* got an empty text/],
    ["with no time", "v1..NDI..", /EXPIRES/],
    ["with a time that begins with 0", `v1.0${END}.NDI..`, /EXPIRES/],
    ["with a time in another notation", "v1.1e11.NDI..", /EXPIRES/],
    ["with a time in ms", `v1.${NOON * 1_000}.NDI..`, /are they ms/],
    ["with a time beyond all numbers", `v1.${"9".repeat(400)}.NDI..`, /EXPIRES/],
  ];
  for (const [rule, signed, why] of WRONG) {
    test(`${rule} is refused, even though it is signed`, async () => assert.match(await refused(AUTHENTICATOR, shown(raw(signed))), why));
  }

  test("no header ever fails in another way, and nobody is let in by it", () => {
    const [version = "", expires = "", id = ""] = sign().split(".");
    holds(textOf("signalbox=", ";", "=", ".", "v1", version, expires, id, "AAAA", " ", "%"), (cookie) => {
      if (cookieOf(cookie, "signalbox")) assert.throws(() => AUTHENTICATOR.authenticate(withCookie(cookie)), { name: "Refusal" });
      else assert.equal(AUTHENTICATOR.authenticate(withCookie(cookie)), undefined);
    });
  });

  test("says what was signed, whatever that is", () => {
    const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 });
    const role = text.map((each) => each.replaceAll(",", ".")).filter((each) => each !== "");
    holds(text, text, fc.array(role, { maxLength: 3 }), (id, name, roles) => {
      const { user } = AUTHENTICATOR.authenticate(shown(sign({ id, name, roles }))) as { user: CookieUser };
      assert.deepEqual(user, { id, name, roles });
    });
  });
});

function assertRefused(authenticator: Authenticator, value: string): void {
  assert.throws(
    () => authenticator.authenticate(shown(value)),
    (error: Error) => error.name === "Refusal" && value.split(".").every((part) => part.length < 4 || !error.message.includes(part)),
  );
}

describe("a signed cookie, and what is set up wrong shows at start", () => {
  const WRONG: readonly [rule: string, options: object, why: RegExp][] = [
    ["no secret", {}, /exactly one/],
    ["both", { secret: SECRET, secrets: [SECRET] }, /exactly one/],
    ["no secrets", { secrets: [] }, /at least one, got an empty one/],
    ["secrets that are a text", { secrets: SECRET }, /got a text/],
    ["a short secret", { secret: "hush".repeat(7) }, /^Expected `secret` to be at least 32 bytes, got 28\.$/],
    ["a short old secret", { secrets: [SECRET, "hush"] }, /each of `secrets` to be at least 32 bytes, got 4/],
    ["another option", { secret: SECRET, name: "x" }, /got `name`/],
    ["a cookie that no cookie can be", { secret: SECRET, cookie: "a b" }, /`cookie`/],
  ];
  for (const [rule, options, why] of WRONG) {
    test(rule, () => {
      assert.throws(
        () => signedCookie(options as SignedCookieOptions),
        (error: Error) => error instanceof TypeError && why.test(error.message) && !/hush/.test(error.message),
      );
    });
  }

  const UNSIGNABLE: readonly [rule: string, user: object, options: object, why: RegExp][] = [
    ["no id", {}, { maxAge: 1 }, /`id` .* got none/],
    ["an id that is too long", { id: "x".repeat(257) }, { maxAge: 1 }, /`id` .* got a text of 257/],
    ["half a character", { id: "\ud83d" }, { maxAge: 1 }, /surrogate/],
    ["a name that is a number", { id: "1", name: 1 }, { maxAge: 1 }, /`name`/],
    ["a role with a comma", { id: "1", roles: ["a,b"] }, { maxAge: 1 }, /`roles`/],
    ["an empty role", { id: "1", roles: [""] }, { maxAge: 1 }, /`roles`/],
    ["roles that are a text", { id: "1", roles: "a" }, { maxAge: 1 }, /`roles`/],
    ["more than browsers keep", { id: "1", name: "x".repeat(3_000) }, { maxAge: 1 }, /at most 4000/],
    ["no end", { id: "1" }, {}, /exactly one/],
    ["two ends", { id: "1" }, { maxAge: 1, expires: NOON }, /exactly one/],
    ["an age of 0", { id: "1" }, { maxAge: 0 }, /`maxAge`/],
    ["an age that is a text", { id: "1" }, { maxAge: "60" }, /`maxAge`/],
    ["an end in ms", { id: "1" }, { expires: NOON * 1_000 }, /are they ms/],
    ["no date", { id: "1" }, { expires: new Date("moon") }, /`expires`/],
    ["a short secret", { id: "1" }, { maxAge: 1, secret: "hush" }, /32 bytes/],
  ];
  for (const [rule, user, options, why] of UNSIGNABLE)
    test(`not signed: ${rule}`, () => assert.throws(() => sign(user as CookieUser, options), { name: "TypeError", message: why }));
});

interface Given {
  readonly user: object;
  readonly secret?: string;
  readonly maxAge?: unknown;
}

for (const [needs, driver] of [
  ["php", "test/auth/cookie.php"],
  ["python3", "test/auth/cookie.py"],
] as const) {
  const signedThere = ({ user, secret = SECRET, maxAge = 600 }: Given): Promise<Finished> =>
    run(needs, [driver, JSON.stringify({ user, secret, maxAge })]);

  describe(`a cookie that ${needs} has signed`, { concurrency: 4 }, () => {
    const USERS: readonly CookieUser[] = [
      JANE,
      { id: "42" },
      { id: "ß".repeat(256), name: "" },
      { id: "😀".repeat(128), name: "a\nb\u0000c, d", roles: ["ÄÖÜ", "你好", "🧑‍🚀"] },
      { id: "~~~???>>>", name: "\u00ff\u00fe", roles: [] },
    ];
    for (const [number, user] of USERS.entries()) {
      test(`is accepted, and is the one that Node signs (${number + 1})`, async () => {
        const { code, stdout, stderr } = await signedThere({ user });
        assert.deepEqual([code, stderr], [0, ""]);
        const { id, name, roles = [] } = user;
        assert.deepEqual((await identified(AUTHENTICATOR, shown(stdout))).user, { id, name: name || id, roles });
        const expires = Number(stdout.split(".")[1]);
        assert.ok(expires > Date.now() / 1_000);
        assert.equal(stdout, sign(user, { expires }));
      });
    }

    test("with another secret is refused", async () => {
      const { stdout } = await signedThere({ user: JANE, secret: OLD_SECRET });
      assert.match(await refused(AUTHENTICATOR, shown(stdout)), /signature/);
      await identified(signedCookie({ secrets: [SECRET, OLD_SECRET] }), shown(stdout));
    });

    const WRONG: readonly [rule: string, given: Given, why: RegExp][] = [
      ["a short secret, unshown", { user: JANE, secret: "hush" }, /at least 32 bytes, got 4/],
      ["no id", { user: {} }, /id to be/],
      ["an empty id", { user: { id: "" } }, /id to (be|have)/],
      ["an id that is too long", { user: { id: "😀".repeat(129) } }, /id to (be|have)/],
      ["an id that is a number", { user: { id: 42 } }, /id to be/],
      ["a name that is a number", { user: { id: "1", name: 7 } }, /name to be/],
      ["a role with a comma", { user: { id: "1", roles: ["a,b"] } }, /each role .* comma/],
      ["an empty role", { user: { id: "1", roles: [""] } }, /each role/],
      ["roles that are a text", { user: { id: "1", roles: "admin" } }, /roles to be/],
      ["more than browsers keep", { user: { id: "1", name: "x".repeat(3_000) } }, /at most 4000/],
      ["an age of 0", { user: JANE, maxAge: 0 }, /at least 1/],
    ];
    for (const [rule, given, why] of WRONG) {
      test(`not signed: ${rule}`, async () => {
        const { code, stdout, stderr } = await signedThere(given);
        assert.deepEqual([code, stdout], [2, ""]);
        assert.match(stderr, why);
        assert.doesNotMatch(stderr, /hush/);
      });
    }
  });
}

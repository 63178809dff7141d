import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { locks } from "../../apps/locks/locks.js";
import type { Packet } from "../../protocol/index.js";
import type { Authenticator, Identity } from "../../server/auth/authenticator.js";
import { Refusal } from "../../server/main.js";
import { resolveOptions } from "../../server/options.js";
import { LoopbackHub, type LoopbackPeer } from "../support/loopback.js";

const ANNA: Identity = { user: { id: "anna", name: "Anna Müller", roles: ["editor"] } };
const BEN: Identity = { user: { id: "ben", name: "Ben", roles: [] } };
const WARNING = 60_000;

/** Knows whoever shows `good NAME MS` as its token: that user, for so long. */
const byToken = (hub: () => LoopbackHub): Authenticator => ({
  name: "byToken",
  afterHello: true,
  authenticate({ token }) {
    const [word, id = "", ms] = (token ?? "").split(" ");
    if (word === "down") throw new Error("The database is down.");
    if (word !== "good") throw new Refusal("unauthorized", "This is no good token.");
    return { user: { id, name: id, roles: [] }, ...(ms ? { expires: hub().clock.time() + Number(ms) } : undefined) };
  },
});

function guarded(limits: object = {}): LoopbackHub {
  const hub: LoopbackHub = new LoopbackHub({
    apps: [locks(resolveOptions({}))],
    limits: { expiryWarning: WARNING, pingInterval: 1_000_000_000, ...limits },
    access: { authenticators: [byToken(() => hub)] },
  });
  return hub;
}

/** An identity that ends so many ms from now. */
const until = (hub: LoopbackHub, ms: number, more: Partial<Identity> = {}): Identity => ({
  ...ANNA,
  ...more,
  expires: hub.clock.time() + ms,
});
const codeOf = (next: Packet | undefined): string | undefined => (next?.error as { code: string } | undefined)?.code;
const opcodes = (peer: LoopbackPeer): string[] => peer.read().map(({ opcode }) => opcode);
/** Lets what was promised happen. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await Promise.resolve();
};

describe("[AUTH-4] who a page is", () => {
  test("stands in its ready, and is what others see and by what it is addressed, whatever its hello says", () => {
    const hub = guarded();
    const anna = hub.peer({ hello: { ident: "director", tags: { floor: 3 } }, identity: ANNA });
    assert.deepEqual(anna.ready?.user, ANNA.user);
    const other = hub.peer({ hello: {} });
    assert.equal(other.ask({ opcode: "feedback", ident: "director", message: 1 }).at(-1)?.status, "gone");
    assert.equal(other.ask({ opcode: "feedback", ident: "anna", message: 1 }).at(-1)?.n, 1);
    anna.ask({ opcode: "lock", space: "books", ids: [1] });
    const [answer] = other.ask({ opcode: "view", space: "books", ids: [1] });
    assert.equal((answer?.result as { held: Record<string, { by: string }> } | undefined)?.held["1"]?.by, "Anna Müller");
  });

  test("tags that the authenticator gives are all it has, and where it gives none it has none", () => {
    const hub = guarded();
    hub.peer({ hello: { tags: { role: "admin", floor: 3 } }, identity: { ...ANNA, tags: { role: "editor" } } });
    hub.peer({ hello: { tags: { role: "admin" } }, identity: { ...BEN, tags: {} } });
    hub.peer({ hello: { tags: { floor: 3 } }, identity: BEN });
    const sender = hub.peer({ hello: {} });
    const reached = (tags: object): unknown => sender.ask({ opcode: "feedback", tags, message: 1 }).at(-1)?.n;
    assert.deepEqual([reached({ role: "admin" }), reached({ role: "editor" }), reached({ floor: 3 })], [undefined, 1, undefined]);
  });

  test("a page that says no hello is somebody too, and a backend that is known names itself", () => {
    const hub = guarded();
    hub.peer({ identity: ANNA });
    hub.peer({ kind: "backend", hello: { ident: "importer" }, identity: BEN });
    hub.peer({ kind: "backend", hello: {}, identity: BEN });
    const sender = hub.peer({ hello: {} });
    const reached = (ident: string): unknown => sender.ask({ opcode: "feedback", ident, message: 1 }).at(-1)?.n;
    assert.deepEqual(["anna", "importer", "ben"].map(reached), [1, 1, 1]);
  });

  test("maxPerUser: one more is closed with 1013, another user is not, and one that leaves makes room", () => {
    const hub = guarded({ maxPerUser: 2 });
    const first = hub.peer({ hello: {}, identity: ANNA });
    hub.peer({ hello: {}, identity: ANNA });
    assert.throws(() => hub.peer({ hello: {}, identity: ANNA }), { kind: "try-later", message: "`maxPerUser` 2 reached." });
    hub.peer({ hello: {}, identity: BEN });
    hub.peer({ kind: "backend", hello: {}, identity: ANNA });
    first.say({ opcode: "quit" });
    hub.peer({ hello: {}, identity: ANNA });
    assert.throws(() => hub.peer({ hello: {}, identity: ANNA }), { kind: "try-later" });
  });
});

describe("[RES-5] a secret opens a page only for its user, from its origin", () => {
  const ROWS: readonly [what: string, identity: Identity | undefined, origin: string | undefined, resumed: boolean][] = [
    ["the same user, the same origin", { ...ANNA, expires: 1e15 }, "https://a.example", true],
    ["another user", BEN, "https://a.example", false],
    ["nobody", undefined, "https://a.example", false],
    ["another origin", ANNA, "https://b.example", false],
    ["no origin", ANNA, undefined, false],
  ];
  for (const [what, identity, origin, resumed] of ROWS)
    test(`${what}: ${resumed ? "resumed" : "a new page, `identity`, and the rightful one is left alone"}`, () => {
      const hub = guarded();
      const page = hub.peer({ hello: {}, identity: ANNA, origin: "https://a.example" });
      const who = { ...(identity && { identity }), ...(origin && { origin }) };
      const again = hub.peer({ hello: { resume: page.ready?.resume, seen: 0 }, ...who });
      assert.equal(again.ready?.resumed, resumed);
      assert.equal(again.ready?.reason, resumed ? undefined : "identity");
      assert.equal(page.closedWith()?.code, resumed ? 4001 : undefined);
      if (resumed) return;
      assert.equal(page.ask({ opcode: "echo" })[0]?.opcode, "echo");
      assert.equal(hub.log.of("resume_foreign").length, 1);
    });
});

describe("[AUTH-5] a login that ends while its page is connected", () => {
  test("is warned of in time; a token of the same user prolongs it, and its end is the token's", () => {
    const hub = guarded();
    const page = hub.peer({ hello: {}, identity: until(hub, 600_000) });
    hub.clock.advance(539_999);
    assert.deepEqual(opcodes(page), []);
    hub.clock.advance(1);
    assert.deepEqual(page.read(), [{ opcode: "expiring", in: WARNING }]);
    const [next] = page.ask({ opcode: "token", token: "good anna 300000", ref: 7 });
    assert.deepEqual([next?.status, next?.ref, next?.result], ["done", 7, { expires: hub.clock.time() + 300_000 }]);
    hub.clock.advance(239_999);
    assert.deepEqual(opcodes(page), []);
    hub.clock.advance(1);
    assert.deepEqual(opcodes(page), ["expiring"]);
    hub.clock.advance(WARNING);
    assert.deepEqual(page.closedWith(), { code: 4401, reason: "The login has expired: log in again." });
  });

  test("nothing is said in time: a close packet, then 4401, and the page is not held", () => {
    const hub = guarded();
    const page = hub.peer({ hello: {}, identity: until(hub, 600_000) });
    hub.clock.advance(599_999);
    assert.equal(page.closedWith(), undefined);
    hub.clock.advance(1);
    assert.deepEqual(page.read().at(-1), { opcode: "close", error: "The login has expired: log in again.", code: 4401 });
    assert.equal(hub.hub.size, 0);
  });

  const REFUSED: readonly [what: string, token: unknown, code: string][] = [
    ["another user's", "good ben 300000", "unauthorized"],
    ["one that is not right", "bad", "unauthorized"],
    ["where it cannot be known", "down", "unavailable"],
    ["none", undefined, "bad-message"],
    ["an empty one", "", "bad-message"],
    ["one that is out of date", "good anna -1", "unauthorized"],
  ];
  for (const [what, token, code] of REFUSED)
    test(`a token, ${what}: refused ${code}; the connection goes on until its time, and not longer`, () => {
      const hub = guarded();
      const page = hub.peer({ hello: {}, identity: until(hub, 600_000) });
      const [next] = page.ask({ opcode: "token", token });
      assert.equal(codeOf(next), code);
      assert.equal(page.ask({ opcode: "echo" })[0]?.opcode, "echo");
      hub.clock.advance(600_000);
      assert.equal(page.closedWith()?.code, 4401);
    });

  test("without an end it stays, and a token can give it one", () => {
    const hub = guarded();
    const page = hub.peer({ hello: {}, identity: ANNA });
    hub.clock.advance(1_000_000_000);
    assert.deepEqual(opcodes(page), []);
    page.ask({ opcode: "token", token: "good anna 1000" });
    hub.clock.advance(500);
    assert.deepEqual(page.read(), [{ opcode: "expiring", in: 500 }]);
  });

  test("a login of 60 days is watched as well: no timer waits so long", () => {
    const hub = guarded();
    const day = 86_400_000;
    const page = hub.peer({ hello: {}, identity: until(hub, 60 * day) });
    hub.clock.advance(60 * day - WARNING);
    assert.deepEqual(opcodes(page), ["expiring"]);
    hub.clock.advance(WARNING);
    assert.equal(page.closedWith()?.code, 4401);
  });

  test("a page that came back is known for as long as its new login says", () => {
    const hub = guarded();
    const page = hub.peer({ hello: {}, identity: until(hub, 100_000) });
    const again = hub.peer({ hello: { resume: page.ready?.resume, seen: 0 }, identity: until(hub, 1_000_000) });
    hub.clock.advance(900_000);
    assert.equal(again.closedWith(), undefined);
    hub.clock.advance(100_000);
    assert.equal(again.closedWith()?.code, 4401);
  });

  test("on a resource where nobody asks `token` is an opcode that nobody knows", () => {
    const page = new LoopbackHub().peer({ hello: {} });
    assert.equal(codeOf(page.ask({ opcode: "token", token: "x" })[0]), "unknown-opcode");
  });
});

describe("[AUTH-5] where the hub can ask itself whether a login still holds", () => {
  test("it asks in time, and the page hears nothing of it", async () => {
    const hub = guarded();
    let asked = 0;
    const renew = (): Identity => {
      asked++;
      return until(hub, 100_000, { renew });
    };
    const page = hub.peer({ hello: {}, identity: until(hub, 100_000, { renew }) });
    for (let i = 0; i < 10; i++) {
      hub.clock.advance(90_000);
      await settle();
    }
    assert.equal(asked, 10);
    assert.deepEqual(opcodes(page), []);
  });

  test("no: it is closed at once, 4401", async () => {
    const hub = guarded();
    const page = hub.peer({ hello: {}, identity: until(hub, 100_000, { renew: () => undefined }) });
    hub.clock.advance(90_000);
    await settle();
    assert.equal(page.closedWith()?.code, 4401);
  });

  test("somebody else is logged in now: 4401", async () => {
    const hub = guarded();
    const page = hub.peer({ hello: {}, identity: until(hub, 100_000, { renew: () => BEN }) });
    hub.clock.advance(90_000);
    await settle();
    assert.equal(page.closedWith()?.code, 4401);
  });

  test("one that ends when it ended before is not asked for again and again, nor is a page warned twice of the same end", async () => {
    const hub = guarded();
    let asked = 0;
    const end = hub.clock.time() + 100_000;
    const renew = (): Identity => {
      asked++;
      return { ...ANNA, expires: end, renew };
    };
    const page = hub.peer({ hello: {}, identity: { ...ANNA, expires: end, renew } });
    for (let i = 0; i < 100; i++) {
      hub.clock.advance(1_000);
      await settle();
    }
    assert.equal(asked, 1);
    assert.equal(page.closedWith()?.code, 4401);
    const other = hub.peer({ hello: {}, identity: until(hub, 100_000) });
    hub.clock.advance(60_000);
    assert.deepEqual(opcodes(other), ["expiring"]);
    other.ask({ opcode: "token", token: "good anna 40000" });
    hub.clock.advance(39_999);
    assert.deepEqual(opcodes(other), []);
  });

  test("[AUTH-3] where that cannot be known it is asked again, and believed until its time, and not longer: 1013", async () => {
    const hub = guarded();
    let asked = 0;
    const down = (): never => {
      asked++;
      throw new Error("down");
    };
    const page = hub.peer({ hello: {}, identity: until(hub, 100_000, { renew: down }) });
    for (let ms = 0; ms < 99_000; ms += 1_000) {
      hub.clock.advance(1_000);
      await settle();
      assert.equal(page.closedWith(), undefined);
    }
    hub.clock.advance(1_000);
    assert.equal(page.closedWith()?.code, 1013);
    assert.equal(asked, 2);
  });

  test("an answer that comes when the page has left is nobody's", async () => {
    const hub = guarded();
    let answer: (identity: Identity) => void = () => {};
    const renew = (): Promise<Identity> => new Promise((resolve) => (answer = resolve));
    const page = hub.peer({ hello: {}, identity: until(hub, 100_000, { renew }) });
    hub.clock.advance(90_000);
    page.say({ opcode: "quit" });
    answer(BEN);
    await settle();
    assert.equal(page.closedWith()?.code, 1000);
  });

  test("an authenticator that does not answer within authTimeout has not answered", async () => {
    const hub = guarded({ authTimeout: 1_000 });
    const asked = hub.hub.gate.ask([{ name: "slow", authenticate: () => new Promise(() => {}) }], {
      kind: "page",
      path: "/",
      address: "",
      headers: {},
      protocols: [],
    });
    const rejected = assert.rejects(asked as Promise<unknown>, { kind: "try-later" });
    hub.clock.advance(1_000);
    await rejected;
    assert.match(String(hub.log.of("auth.failed")[0]?.error), /No answer within `authTimeout` 1000 ms/);
  });
});

describe("what an authenticator says that is no identity is its failure, and nobody is let in", () => {
  const WRONG: readonly unknown[] = [
    true,
    false,
    0,
    "",
    "anna",
    [],
    {},
    { id: "anna", name: "Anna" },
    { user: null },
    { user: undefined },
    { user: "anna" },
    { user: { id: "a" }, expires: 1_795_000_000 },
    { user: {} },
    { user: { id: "" } },
    { user: { id: 7 } },
    { user: { id: "x".repeat(257) } },
    { user: { id: "a", roles: "editor" } },
    { user: { id: "a", name: 7 } },
    { tags: { a: {} } },
    { expires: "tomorrow" },
    { expires: Number.NaN },
  ];
  for (const identity of WRONG)
    test(JSON.stringify(identity), () => {
      const hub = guarded();
      const authenticate = (): Identity => identity as Identity;
      const ask = (): unknown =>
        hub.hub.gate.ask([{ name: "wrong", authenticate }], { kind: "page", path: "/", address: "", headers: {}, protocols: [] });
      assert.throws(ask, { kind: "try-later" });
      assert.equal(hub.log.of("auth.failed").length, 1);
    });
});

describe("what an authenticator of the application's own may return", () => {
  const ask = (authenticate: () => unknown): unknown => {
    const hub = guarded();
    return hub.hub.gate.ask([{ name: "own", authenticate: authenticate as Authenticator["authenticate"] }], {
      kind: "page",
      path: "/",
      address: "",
      headers: {},
      protocols: [],
    });
  };

  test("nothing or null: it does not know", async () => {
    for (const nothing of [undefined, null]) {
      assert.equal(
        ask(() => nothing),
        undefined,
      );
      assert.equal(await ask(async () => nothing), undefined);
    }
  });

  test("what can be awaited and is no Promise, as of a database's library: it is awaited, and lets nobody in where it fails", async () => {
    // biome-ignore lint/suspicious/noThenProperty: that it has one is what is tested
    const later = (settle: (resolve: (value: unknown) => void, reject: (error: Error) => void) => void) => ({ then: settle });
    assert.deepEqual(((await ask(() => later((resolve) => resolve(ANNA)))) as Identity).user, ANNA.user);
    await assert.rejects(ask(() => later((_, reject) => reject(new Error("no database")))) as Promise<unknown>, { kind: "try-later" });
  });
});

describe("[AUTH-4] a path where nobody is asked, beside one where pages are", () => {
  test("nobody there can have a name or tags by which those that are known are addressed", () => {
    const shared = locks(resolveOptions({}));
    const hub: LoopbackHub = new LoopbackHub({ apps: [shared], access: { authenticators: [byToken(() => hub)] } });
    hub.hub.mount("/public", [shared]);
    const stranger = hub.peer({ path: "/public", hello: { ident: "anna", tags: { role: "editor" } } });
    const anna = hub.peer({ hello: {}, identity: { ...ANNA, tags: { role: "editor" } } });
    const backend = hub.peer({ kind: "backend", hello: {}, address: "127.0.0.1" });
    assert.equal(backend.ask({ opcode: "feedback", ident: "anna", message: 1 }).at(-1)?.n, 1);
    assert.equal(backend.ask({ opcode: "feedback", tags: { role: "editor" }, message: 1 }).at(-1)?.n, 1);
    assert.equal(anna.read().length, 2);
    stranger.ask({ opcode: "lock", space: "books", ids: [1] });
    const [answer] = anna.ask({ opcode: "view", space: "books", ids: [1] });
    assert.equal((answer?.result as { held: Record<string, { by: string }> } | undefined)?.held["1"]?.by, "somebody");
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Packet } from "../../protocol/index.js";
import { codeOf, type Holdings, LockHub, LockPage } from "./lock-hub.js";

const idsOf = (record: object): string[] => Object.keys(record);

describe("chapter 17: view", () => {
  test("[LOCK-1] claims every id that is free, and says whose the others are", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    assert.deepEqual(idsOf(anna.view(1, "2").mine), ["1", "2"]);
    const { mine, held } = bob.view("2", "3");
    assert.deepEqual(idsOf(mine), ["3"]);
    assert.deepEqual(held, { "2": { by: "Anna", since: hub.clock.time(), state: "held" } });
  });

  test("[LOCK-1] frees what it does not name any more, and a kept id keeps its fence", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    const before = anna.view(1, 2).mine;
    assert.deepEqual(anna.view(2, 3).mine["2"], before["2"]);
    assert.deepEqual(idsOf(bob.view(1).mine), ["1"]);
  });

  test("[LOCK-1] frees in its own space alone", () => {
    const hub = new LockHub();
    const anna = hub.page("Anna");
    anna.view(1);
    anna.ask({ opcode: "view", space: "orders", ids: [1] });
    anna.view();
    assert.deepEqual(hub.page("Bob").ask({ opcode: "view", space: "orders", ids: [1] }).result, {
      mine: {},
      held: { "1": { by: "Anna", since: hub.clock.time(), state: "held" } },
    });
  });

  test("[LOCK-1] never frees what was locked", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    anna.lock(1);
    anna.view(1, 2);
    anna.view();
    assert.deepEqual(idsOf(bob.view(1, 2).mine), ["2"]);
  });

  test("[LOCK-5] what becomes free is told and not granted; the next view takes it", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    anna.view(1);
    bob.view(1);
    anna.view();
    assert.deepEqual(bob.told(), ["1 free"]);
    assert.deepEqual(idsOf(bob.view(1).mine), ["1"]);
  });

  test("[LOCK-5] others are told whose it is; what the view brings its own page is not pushed", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    anna.view(1, 2);
    bob.view(1, 2, 3);
    anna.view();
    bob.view(2);
    assert.deepEqual(bob.told(), ["1+2 free"]);
    anna.view(1, 2, 3);
    bob.view(2);
    assert.deepEqual(bob.told(), []);
    assert.deepEqual(anna.told(), []);
  });

  test("[LOCK-5] ids that changed alike come together, in packets that are made once", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    const ids = Array.from({ length: 300 }, (_, n) => n);
    anna.view(...ids);
    bob.view(...ids);
    anna.quit();
    const pushes = bob.pushes();
    assert.ok(pushes.length < 5, `${pushes.length} packets`);
    assert.deepEqual(
      pushes.flatMap((push) => push.ids as string[]),
      ids.map(String),
    );
  });
});

describe("chapter 17: lock and unlock", () => {
  test("[LOCK-3] all or nothing, and who has it", () => {
    const hub = new LockHub();
    const [anna, bob, eve] = [hub.page("Anna"), hub.page("Bob"), hub.page("Eve")];
    anna.lock(2);
    const answer = bob.lock(1, 2, 3);
    assert.equal(answer.status, "refused");
    assert.equal(codeOf(answer), "locked");
    assert.deepEqual((answer.result as Holdings).held, { "2": { by: "Anna", since: hub.clock.time(), state: "held" } });
    assert.deepEqual(idsOf(eve.view(1, 3).mine), ["1", "3"]);
  });

  test("[LOCK-3] a refused lock is told to nobody", () => {
    const hub = new LockHub();
    const [anna, bob, eve] = [hub.page("Anna"), hub.page("Bob"), hub.page("Eve")];
    eve.view(1, 3);
    eve.view();
    eve.peer.say({ opcode: "view", space: "books", ids: [] });
    anna.lock(2);
    const watcher = hub.page("Watcher");
    watcher.view(1, 2, 3);
    watcher.view(2);
    bob.lock(1, 2);
    assert.deepEqual(watcher.told(), []);
  });

  test("[LOCK-3] is re-entrant for its owner, and the fence stays", () => {
    const hub = new LockHub();
    const anna = hub.page("Anna");
    const first = (anna.lock(1).result as Holdings).mine["1"];
    assert.equal((anna.lock(1, 2).result as Holdings).mine["1"], first);
    assert.equal(anna.view(1).mine["1"], first);
  });

  test("[LOCK-4] unlock gives back what was locked; what the view has claimed stays", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    anna.view(1);
    anna.lock(1, 2);
    assert.equal(anna.unlock(1, 2).status, "done");
    assert.deepEqual(idsOf(bob.view(1, 2).mine), ["2"]);
  });

  test("[LOCK-4] a lock of what the page only listed goes with its unlock", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    bob.view(1);
    anna.view(1);
    bob.view();
    anna.lock(1);
    assert.deepEqual(anna.told(), ["1 free", "1 yours"]);
    anna.unlock(1);
    assert.deepEqual(anna.told(), ["1 free"]);
    assert.deepEqual(idsOf(bob.view(1).mine), ["1"]);
  });

  test("[LOCK-4] somebody else's is refused by name, and nothing is unlocked; nobody's is nothing", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    anna.lock(1);
    bob.lock(2);
    const answer = bob.unlock(2, 1);
    assert.equal(codeOf(answer), "not-yours");
    assert.match((answer.error as { message: string }).message, /`1` is held by `Anna`/);
    assert.deepEqual(idsOf(anna.view(2).held), ["2"]);
    assert.equal(bob.unlock(7).status, "done");
  });
});

describe("chapter 17: the life of a lock", () => {
  test("[LOCK-6] while its page is away others see reconnecting; when it is back, held, with the same fence", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    const { mine } = anna.view(1);
    bob.view(1);
    anna.drop();
    assert.deepEqual(bob.told(), ["1 reconnecting Anna"]);
    hub.clock.advance(29_000);
    const again = new LockPage(hub.peer({ hello: { ident: "Anna", resume: anna.peer.ready?.resume, seen: 1 } }));
    assert.deepEqual(bob.told(), ["1 held Anna"]);
    assert.deepEqual(again.view(1).mine, mine);
  });

  test("[LOCK-6] a reload keeps what it had; it lists nothing until its next view", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    bob.view(2);
    const { mine } = anna.view(1, 2);
    anna.peer.connection.lost("going-away");
    const again = new LockPage(hub.peer({ hello: { ident: "Anna", resume: anna.peer.ready?.resume, seen: 1, reload: true } }));
    bob.view();
    assert.deepEqual(again.told(), []);
    assert.deepEqual(idsOf(bob.view(1).held), ["1"]);
    assert.equal(again.view(1, 2).mine["1"], mine["1"]);
  });

  test("[LOCK-6] ends with the grace, with quit at once, and nothing is left of the page", () => {
    const hub = new LockHub();
    const bob = hub.page("Bob");
    bob.view();
    for (const end of [(page: LockPage) => page.quit(), (page: LockPage) => page.drop()]) {
      const anna = hub.page("Anna");
      anna.view(1);
      bob.view(1);
      end(anna);
      hub.clock.advance(30_000);
      assert.equal(bob.told().at(-1), "1 free");
      bob.view();
    }
  });

  test("[LOCK-6] without hello there is no grace: it ends with the connection", () => {
    const hub = new LockHub();
    const bob = hub.page("Bob");
    const original = new LockPage(hub.peer());
    original.lock(1);
    assert.deepEqual(bob.view(1).held["1"]?.by, "somebody");
    original.drop();
    assert.deepEqual(bob.told(), ["1 free"]);
  });

  test("[LOCK-10] a hub that stood still for longer than its lease has lost what its pages held; they are told", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    const { mine } = anna.view(1);
    anna.lock(2);
    bob.view(1);
    hub.clock.pass(10_001);
    // Whoever comes first: here it is not the hub's own tick.
    assert.deepEqual(idsOf(bob.view(1).mine), ["1"]);
    assert.deepEqual(anna.told(), ["1+2 lost", "1 free", "1 held Bob"]);
    assert.equal(codeOf(hub.page("Eve").ask({ opcode: "check", space: "books", id: 1, fence: mine["1"] })), "stale");
  });

  test("[LOCK-10] a hub that stands still for less keeps everything", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    anna.view(1);
    hub.clock.pass(9_999);
    assert.deepEqual(idsOf(bob.view(1).held), ["1"]);
    hub.clock.advance(60_000);
    assert.deepEqual(idsOf(bob.view(1).held), ["1"]);
    assert.deepEqual(anna.told(), []);
  });

  test("[LOCK-7] by is the ident, cut to 64 bytes and without control characters, never the UUID", () => {
    const hub = new LockHub();
    const bob = hub.page("Bob");
    const names: [ident: string | undefined, by: string][] = [
      ["Änne 😀", "Änne 😀"],
      ["€".repeat(50), "€".repeat(21)],
      ["a\u0000b\u202e", "a\\u0000b\\u202e"],
      [undefined, "somebody"],
    ];
    for (const [i, [ident, by]] of names.entries()) {
      const page = new LockPage(hub.peer({ hello: ident === undefined ? {} : { ident } }));
      page.lock(i);
      const text = JSON.stringify(bob.view(i));
      assert.equal((JSON.parse(text) as Holdings).held[i]?.by, by);
      assert.ok(!text.includes(page.peer.uuid));
    }
  });
});

describe("chapter 17: fences", () => {
  const check = (hub: LockHub, fence: unknown, id: unknown = 4711): string =>
    hub.script("10.0.0.1").ask(JSON.stringify({ opcode: "check", space: "books", id, fence }))[0]?.status as string;
  const words = (hub: LockHub, line: string): string => {
    const script = hub.script();
    script.say(line);
    return script.texts()[0] as string;
  };

  test("[LOCK-8] a fence is higher than all before it, on all ids, and at least the µs since 1970", () => {
    const hub = new LockHub();
    const anna = hub.page("Anna");
    const fences: number[] = [];
    for (const id of [1, 2, 1, 3]) {
      fences.push((anna.lock(id).result as Holdings).mine[id] as number);
      anna.unlock(id);
      hub.clock.wall -= 60_000;
    }
    assert.deepEqual(
      fences,
      [...fences].sort((a, b) => a - b),
    );
    assert.equal(new Set(fences).size, 4);
    assert.ok((fences[0] as number) >= (hub.clock.time() + 240_000) * 1_000);
    assert.ok(Number.isSafeInteger(fences[3]));
  });

  test("[LOCK-8] a hub that was started anew goes on higher", () => {
    const before = (new LockHub().page("Anna").lock(1).result as Holdings).mine["1"] as number;
    const hub = new LockHub();
    hub.clock.wall += 1;
    assert.ok(((hub.page("Anna").lock(1).result as Holdings).mine["1"] as number) > before);
  });

  test("[LOCK-8] check in plain words: done, or stale and who has it", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    const fence = anna.view(4711).mine["4711"] as number;
    assert.equal(words(hub, `check books 4711 ${fence}`), "next done");
    anna.view();
    assert.equal(words(hub, `check books 4711 ${fence}`), "next refused stale held by nobody");
    bob.view(4711);
    assert.equal(words(hub, `check books 4711 ${fence}`), "next refused stale held by Bob");
  });

  test("[LOCK-8] an id may have blanks in it", () => {
    const hub = new LockHub();
    const fence = hub.page("Anna").view("a b  c").mine["a b  c"] as number;
    assert.equal(words(hub, `check books a b  c ${fence}`), "next done");
  });

  test("[LOCK-8] a page that is away still has it: what it sent before is on its way", () => {
    const hub = new LockHub();
    const anna = hub.page("Anna");
    const fence = anna.view(4711).mine["4711"];
    anna.drop();
    assert.equal(check(hub, fence), "done");
  });

  test("[LOCK-8] a fence from the future is refused by name", () => {
    const hub = new LockHub();
    const fence = hub.page("Anna").view(4711).mine["4711"] as number;
    assert.match(words(hub, `check books 4711 ${fence * 2}`), /^next refused bad-fence /);
    assert.match(words(hub, "check books 4711 99999999999999999999"), /^next refused bad-message .*`fence`/);
  });

  for (const line of ["check", "check books", "check books 4711", "check books 4711 x", "check books 4711 -1", "check  4711 1"]) {
    test(`[LOCK-8] refused by name: ${line}`, () =>
      assert.match(words(new LockHub(), line), /^next refused bad-message .*SPACE ID FENCE|`space`/));
  }
});

describe("chapter 17: the operator", () => {
  test("[LOCK-9] break takes it from its holder, who is told lost; who lists it sees it free", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    anna.lock(1);
    bob.view(1);
    const script = hub.script("unix");
    script.say("break books 1");
    assert.deepEqual(script.texts(), ["next done"]);
    assert.deepEqual(anna.told(), ["1 lost"]);
    assert.deepEqual(bob.told(), ["1 free"]);
    script.say("break books 1");
    assert.deepEqual(script.texts(), ["next gone"]);
  });

  test("[LOCK-9] only a backend of the hub's own host breaks", () => {
    const hub = new LockHub();
    const anna = hub.page("Anna");
    anna.lock(1);
    const remote = hub.script("10.0.0.1");
    remote.say("break books 1");
    assert.match(remote.texts()[0] as string, /^next refused not-local /);
    assert.equal(codeOf(hub.page("Bob").ask({ opcode: "break", space: "books", id: 1 })), "not-local");
    assert.deepEqual(anna.told(), []);
  });

  test("locks lists a space: what is one's own with its fence, and whose the others are", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    const { mine } = anna.view(1);
    bob.view(2);
    bob.ask({ opcode: "view", space: "books2", ids: [3] });
    const held = { "2": { by: "Bob", since: hub.clock.time(), state: "held" } };
    assert.deepEqual(anna.ask({ opcode: "locks", space: "books" }).result, { mine, held });
    const script = hub.script();
    script.say("locks books2");
    assert.match(script.texts()[0] as string, /^next done {"mine":{},"held":{"3":{"by":"Bob",/);
  });

  test("a list that would be too long for one answer says that there are more", () => {
    const hub = new LockHub();
    for (let n = 0; n < 3; n++) hub.page(`Page ${n}`).view(...Array.from({ length: 4_000 }, (_, i) => `${n}-${i}`));
    const { held, more } = hub.page("Anna").ask({ opcode: "locks", space: "books" }).result as Holdings;
    assert.equal(more, true);
    assert.ok(idsOf(held).length > 4_000);
  });
});

describe("chapter 17: a page that is slow or away", () => {
  test("[LOCK-5] is told the newest, once, when it reads again", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    anna.view(1, 2);
    bob.view(1, 2);
    bob.peer.stuck = true;
    anna.unlock();
    anna.view();
    bob.pushes();
    for (let i = 0; i < 100; i++) {
      anna.view(1);
      anna.view(2);
    }
    assert.deepEqual(bob.pushes(), []);
    bob.peer.unstick();
    assert.deepEqual(bob.told().sort(), ["1 free", "2 held Anna"]);
  });

  test("[LOCK-5] a page that is away is told when it is back", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    anna.view(1);
    bob.view(1);
    bob.drop();
    anna.view();
    const again = new LockPage(hub.peer({ hello: { ident: "Bob", resume: bob.peer.ready?.resume, seen: 1 } }));
    assert.deepEqual(again.told(), ["1 free"]);
  });

  test("[LOCK-5] 10,000 ids that change at once make no page slow that reads", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    const ids = Array.from({ length: 10_000 }, (_, n) => `${n}`.padStart(20, "x"));
    anna.view(...ids);
    bob.view(...ids);
    anna.quit();
    const free = bob.pushes().flatMap(({ ids = [] }: Packet & { ids?: string[] }) => ids);
    for (let more = bob.pushes(); more.length > 0; more = bob.pushes()) free.push(...more.flatMap(({ ids }) => ids as string[]));
    assert.equal(new Set(free).size, 10_000);
    assert.equal(bob.peer.closedWith(), undefined);
  });
});

describe("chapter 17: what one page does hurts no other", () => {
  test("[LOCK-5] 10,000 long ids that are lost at once make no page slow that reads, and each is told", () => {
    const hub = new LockHub();
    const anna = hub.page("Anna");
    const ids = Array.from({ length: 10_000 }, (_, n) => `${n}`.padStart(250, "x"));
    for (let i = 0; i < ids.length; i += 2_500) assert.equal(anna.lock(...ids.slice(i, i + 2_500)).status, "done");
    hub.clock.pass(10_001);
    hub.clock.advance(1_000);
    const lost: string[] = [];
    for (let some = anna.pushes(); some.length > 0; some = anna.pushes()) lost.push(...some.flatMap(({ ids }) => ids as string[]));
    assert.equal(new Set(lost).size, 10_000);
    assert.equal(anna.peer.closedWith(), undefined);
  });

  test("[LOCK-2] a name of quotes, beside 10,000 ids, fits into what a page may be sent", () => {
    const hub = new LockHub();
    const [eve, bob] = [hub.page('"'.repeat(200)), hub.page("Bob")];
    const ids = Array.from({ length: 10_000 }, (_, n) => `${n}`.padStart(8, "0"));
    eve.view(...ids);
    assert.equal(Object.keys(bob.view(...ids).held).length, 10_000);
    assert.ok(JSON.stringify(bob.view(ids[0]).held).length < 200);
    assert.equal(bob.peer.closedWith(), undefined);
  });

  test("[LOCK-2] all pages of a user together: one id too many is refused, another user's are not, and what a page that left had is free again", () => {
    const hub = new LockHub({ maxLocksPerUser: 3 });
    const [one, two, ben] = [hub.pageOf("anna"), hub.pageOf("anna"), hub.pageOf("ben")];
    one.lock(1, 2);
    assert.equal(codeOf(two.lock(3, 4)), "too-many-locks");
    assert.equal(two.lock(3).status, "done");
    assert.equal(codeOf(one.lock(4)), "too-many-locks");
    assert.equal(ben.lock(4, 5, 6).status, "done");
    one.peer.say({ opcode: "quit" });
    assert.equal(two.lock(7, 8).status, "done");
    assert.equal(codeOf(two.lock(9)), "too-many-locks");
  });

  test("[LOCK-2] a lock that was refused does not count", () => {
    const hub = new LockHub({ maxLocksInAll: 3 });
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    anna.lock(1);
    assert.equal(codeOf(bob.lock(1, 2)), "locked");
    assert.equal(anna.lock(2, 3).status, "done");
  });

  test("[LOCK-7] a page that comes back under another name is seen under that", () => {
    const hub = new LockHub();
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    anna.view(1);
    bob.view(1);
    anna.drop();
    hub.peer({ hello: { ident: "Carla", resume: anna.peer.ready?.resume, seen: 1 } });
    assert.deepEqual(bob.told(), ["1 reconnecting Anna", "1 held Carla"]);
  });

  test("[LOCK-5] `lost` that a slow page has not been told stands in front of the answer to what it says next", () => {
    const hub = new LockHub();
    const anna = hub.page("Anna");
    anna.lock(1);
    anna.peer.stuck = true;
    anna.peer.connection.send({ opcode: "x" });
    hub.clock.endTurn();
    hub.script().say("break books 1");
    anna.peer.say({ opcode: "lock", space: "books", ids: [1] });
    anna.peer.unstick();
    assert.deepEqual(
      anna.peer.read().map(({ opcode, state }) => state ?? opcode),
      ["x", "lost", "next"],
    );
  });
});

describe("chapter 17: bad input", () => {
  const BAD: readonly [name: string, fields: object, code: string][] = [
    ["no ids", { space: "books" }, "bad-message"],
    ["ids that are no list", { space: "books", ids: "1" }, "bad-message"],
    ["no space", { ids: [1] }, "bad-message"],
    ["an empty space", { space: "", ids: [1] }, "bad-message"],
    ["a space with NUL", { space: "a\0b", ids: [1] }, "bad-message"],
    ["a space of 257 bytes", { space: `${"ä".repeat(128)}b`, ids: [1] }, "bad-message"],
    ["an empty id", { space: "books", ids: [1, ""] }, "bad-message"],
    ["an object as id", { space: "books", ids: [{}] }, "bad-message"],
    ["null as id", { space: "books", ids: [null] }, "bad-message"],
    ["half a number as id", { space: "books", ids: [1.5] }, "bad-message"],
    ["an id of 257 bytes", { space: "books", ids: [`${"😀".repeat(64)}x`] }, "bad-message"],
    ["an id of 1 MB", { space: "books", ids: ["x".repeat(1_000_000)] }, "bad-message"],
    ["100,000 ids", { space: "books", ids: Array.from({ length: 100_000 }, (_, n) => n) }, "too-many-locks"],
  ];
  for (const opcode of ["view", "lock", "unlock"]) {
    for (const [name, fields, code] of BAD) {
      test(`[LOCK-2] ${opcode}, ${name}: ${code}, and nothing has changed`, () => {
        const hub = new LockHub();
        const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
        anna.view(1);
        const answer = anna.ask({ opcode, ...fields });
        assert.equal(codeOf(answer), code);
        assert.ok(JSON.stringify(answer).length < 400, "the answer is a sentence");
        assert.deepEqual(idsOf(bob.view(1).held), ["1"]);
        assert.deepEqual(hub.log.of("app.failed"), []);
      });
    }
  }

  test("[LOCK-2] an error names the place in the list", () => {
    const { error } = new LockHub().page("Anna").lock(1, 2, true) as Packet & { error: { message: string } };
    assert.equal(error.message, "Expected `ids`[2] to be a text of 1 to 256 bytes or an integer, got `true`.");
  });

  test("[LOCK-2] a number is that id in decimal; an id that comes twice is one", () => {
    const hub = new LockHub();
    hub.page("Anna").lock(4711, "4711", 4711);
    assert.deepEqual(idsOf(hub.page("Bob").view("4711").held), ["4711"]);
  });

  test("[LOCK-2] __proto__, constructor and toString are ordinary ids", () => {
    const hub = new LockHub();
    const ids = ["__proto__", "constructor", "toString"];
    assert.deepEqual(idsOf(hub.page("Anna").view(...ids).mine), ids);
    assert.deepEqual(idsOf(hub.page("Bob").view(...ids).held), ids);
    const script = hub.script();
    script.say("break books __proto__");
    assert.deepEqual(script.texts(), ["next done"]);
  });

  test("[LOCK-2] what a page lists and locks counts together, over all spaces", () => {
    const hub = new LockHub({ maxLocks: 3 });
    const anna = hub.page("Anna");
    anna.view(1, 2);
    anna.ask({ opcode: "lock", space: "orders", ids: [1] });
    assert.equal(codeOf(anna.lock(3)), "too-many-locks");
    assert.equal(anna.lock(2).status, "done");
    anna.view();
    assert.equal(anna.lock(3).status, "done");
  });

  test("[LOCK-2] all pages together have a limit too, and it is free again when they have gone", () => {
    const hub = new LockHub({ maxLocksInAll: 3 });
    const [anna, bob] = [hub.page("Anna"), hub.page("Bob")];
    anna.view(1, 2);
    assert.equal(codeOf(bob.ask({ opcode: "view", space: "books", ids: [3, 4] })), "too-many-locks");
    anna.quit();
    assert.deepEqual(idsOf(bob.view(3, 4).mine), ["3", "4"]);
  });

  test("[LOCK-2] ids whose answer could be too long for the page are refused, naming the option", () => {
    const hub = new LockHub();
    const answer = hub.page("Anna").lock(...Array.from({ length: 3_900 }, (_, n) => "x".repeat(250) + String(n).padStart(6, "0")));
    assert.equal(answer.status, "done");
    const ids = Array.from({ length: 9_000 }, (_, n) => "x".repeat(100) + n);
    const error = hub.page("Bob").lock(...ids).error as { code: string; message: string };
    assert.equal(error.code, "too-many-locks");
    assert.match(error.message, /`maxQueued`/);
  });

  test("spaces that a page has left are forgotten", () => {
    const hub = new LockHub({ maxLocks: 2 });
    const anna = hub.page("Anna");
    for (let n = 0; n < 10; n++) {
      anna.ask({ opcode: "view", space: `s${n}`, ids: [1, 2] });
      assert.equal(anna.ask({ opcode: "view", space: `s${n}`, ids: [] }).status, "done");
    }
    assert.deepEqual(idsOf(hub.page("Bob").ask({ opcode: "locks", space: "s1" }).result as object), ["mine", "held"]);
  });
});

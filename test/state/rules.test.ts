import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Packet } from "../../protocol/index.js";
import { codeOf, StateClient, StateHub, type Values, versionOf } from "./state-hub.js";

describe("chapter 18: watch", () => {
  test("[STATE-3] the present values at once, then every change, the setter included", () => {
    const hub = new StateHub();
    const [anna, bob] = [hub.client(), hub.client()];
    anna.set("machine/7", { on: true });
    anna.set("order/1", "packed");
    assert.deepEqual(bob.watch("machine/*"), { "machine/7": { on: true } });
    anna.watch("machine/7");
    anna.set("machine/8", 1);
    anna.set("machine/7", null);
    anna.delete("machine/8");
    anna.set("order/1", "sent");
    assert.deepEqual(bob.told(), ["machine/8 1", "machine/7 null", "machine/8 -"]);
    assert.deepEqual(anna.told(), ["machine/7 null"]);
  });

  test("[STATE-3] a key that several patterns fit is told once", () => {
    const hub = new StateHub();
    const anna = hub.client();
    assert.deepEqual(anna.watch("machine/7", "machine/*", "m*", "*"), {});
    anna.set("machine/7", 1);
    assert.deepEqual(anna.told(), ["machine/7 1"]);
    assert.deepEqual(anna.watch("*", "machine/7"), { "machine/7": 1 });
  });

  test("[STATE-2] a prefix is any beginning of a key, with or without a slash; a key without star is that key alone", () => {
    const hub = new StateHub();
    const anna = hub.client();
    for (const key of ["machine", "machine/7", "machine/77", "machines", "mac"]) anna.set(key, 0);
    const found = (pattern: string): string[] => Object.keys(hub.client().watch(pattern)).sort();
    assert.deepEqual(found("machine"), ["machine"]);
    assert.deepEqual(found("machine*"), ["machine", "machine/7", "machine/77", "machines"]);
    assert.deepEqual(found("machine/*"), ["machine/7", "machine/77"]);
    assert.deepEqual(found("machine/7*"), ["machine/7", "machine/77"]);
    assert.deepEqual(found("*").length, 5);
  });

  test("unwatch: no more of these, while other patterns go on", () => {
    const hub = new StateHub();
    const anna = hub.client();
    anna.watch("a/*", "a/1", "b");
    anna.ask({ opcode: "unwatch", keys: ["a/*", "never"] });
    for (const key of ["a/1", "a/2", "b"]) anna.set(key, 1);
    assert.deepEqual(anna.told(), ["a/1 1", "b 1"]);
  });

  test("[STATE-3] who takes no pushes is refused, and can get", () => {
    const hub = new StateHub();
    assert.match(hub.words('{"opcode":"watch","keys":["*"]}'), /"no-pushes"/);
    hub.client().set("machine/7", 1);
    assert.match(hub.words('{"opcode":"get","keys":["*"]}'), /"machine\/7":{"value":1,"version":\d+}/);
  });

  test("[STATE-3] an answer of more than 1 MiB is refused, and nothing is watched", () => {
    const hub = new StateHub();
    const anna = hub.client();
    for (let n = 0; n < 20; n++) anna.set(`big/${n}`, "x".repeat(60_000));
    assert.equal(codeOf(anna.ask({ opcode: "watch", keys: ["big/*"] })), "too-much-state");
    anna.set("big/0", "small");
    assert.deepEqual(anna.told(), []);
    assert.equal(codeOf(anna.ask({ opcode: "get", keys: ["big/*"] })), "too-much-state");
    assert.equal(Object.keys(anna.watch("big/1*")).length, 11);
  });

  test("[STATE-9] a page that was loaded anew watches nothing, its own keys stay", () => {
    const hub = new StateHub();
    const anna = hub.client("Anna");
    anna.watch("*");
    anna.set("looking/1/~", null, { will: true });
    anna.peer.connection.lost("going-away");
    const again = new StateClient(hub.peer({ hello: { resume: anna.peer.ready?.resume, seen: 3, reload: true } }));
    hub.client().set("machine/7", 1);
    assert.deepEqual(again.told(), []);
    hub.clock.advance(60_000);
    assert.equal(Object.keys(again.watch("looking/*")).length, 1);
  });
});

describe("chapter 18: a page that is slow or away", () => {
  test("[STATE-4] is told the newest, once, when it reads again; deletions too", () => {
    const hub = new StateHub();
    const [anna, bob] = [hub.client(), hub.client()];
    bob.watch("*");
    anna.set("gone", 1);
    bob.peer.stuck = true;
    anna.set("first", 0);
    bob.told();
    for (let n = 1; n <= 1_000; n++) anna.set("busy", n);
    anna.delete("gone");
    const last = versionOf(anna.set("busy", "last"));
    assert.deepEqual(bob.told(), []);
    bob.peer.unstick();
    const pushes = bob.pushes();
    assert.deepEqual(
      pushes.map(({ key, value }) => [key, value]),
      [
        ["busy", "last"],
        ["gone", undefined],
      ],
    );
    assert.equal(pushes[0]?.version, last);
    assert.ok((pushes[1] as Packet & { version: number }).version < last);
  });

  test("[STATE-4] 64 MiB of values that change while a page is away cost it nothing, and arrive while it reads", () => {
    const hub = new StateHub();
    const bob = hub.client();
    const backend = new StateClient(hub.peer({ kind: "backend", hello: { window: 8 } }));
    bob.watch("big/*");
    bob.peer.connection.lost("lost");
    const before = hub.hub.budget.used;
    for (let n = 0; n < 900; n++) backend.set(`big/${n}`, "x".repeat(60_000));
    assert.equal(hub.hub.budget.used, before);
    const again = new StateClient(hub.peer({ hello: { resume: bob.peer.ready?.resume, seen: 1 } }));
    const keys = new Set<unknown>();
    for (let some = again.pushes(); some.length > 0; some = again.pushes()) for (const { key } of some) keys.add(key);
    assert.equal(keys.size, 900);
    assert.equal(again.peer.closedWith(), undefined);
  });
});

describe("chapter 18: versions", () => {
  test("[STATE-5] only grow, over all keys, and a deletion has one too", () => {
    const hub = new StateHub();
    const anna = hub.client();
    anna.watch("*");
    anna.set("a", 1);
    anna.set("b", 1);
    anna.delete("a");
    anna.set("a", 2);
    const versions = anna.pushes().map(({ version }) => version as number);
    assert.equal(versions.length, 4);
    for (const [i, version] of versions.entries()) assert.ok(i === 0 || version > (versions[i - 1] as number));
  });

  test("[STATE-5] if: a version that has moved on is refused and nothing has changed", () => {
    const hub = new StateHub();
    const [anna, bob] = [hub.client(), hub.client()];
    const first = versionOf(anna.set("a", 1));
    assert.equal(bob.set("a", 2, { if: first }).status, "done");
    const answer = anna.set("a", 3, { if: first });
    assert.equal(codeOf(answer), "conflict");
    assert.match((answer.error as { message: string }).message, new RegExp(`to have version ${first}, it has version \\d+`));
    assert.equal(codeOf(anna.delete("a", { if: first })), "conflict");
    assert.deepEqual(anna.watch("a"), { a: 2 });
  });

  test("[STATE-5] if: 0 means that it must not exist", () => {
    const hub = new StateHub();
    const anna = hub.client();
    assert.equal(anna.set("a", 1, { if: 0 }).status, "done");
    assert.equal(codeOf(anna.set("a", 2, { if: 0 })), "conflict");
    anna.delete("a");
    assert.equal(anna.set("a", 3, { if: 0 }).status, "done");
    assert.equal(codeOf(anna.set("b", 1, { if: 5 })), "conflict");
  });
});

describe("chapter 18: presence", () => {
  test("[STATE-6] a key with a will is told with its owner's name, and goes when the owner quits", () => {
    const hub = new StateHub();
    const [anna, bob] = [hub.client("Anna"), hub.client("Bob")];
    anna.set("looking/7", { row: 3 }, { will: true });
    assert.equal((bob.ask({ opcode: "watch", keys: ["looking/*"] }).result as Values)["looking/7"]?.by, "Anna");
    anna.peer.say({ opcode: "quit" });
    assert.deepEqual(bob.told(), ["looking/7 -"]);
  });

  test("[STATE-6] a page that is away keeps it for the grace and no longer", () => {
    const hub = new StateHub();
    const [anna, bob] = [hub.client("Anna"), hub.client("Bob")];
    anna.set("looking/7", 1, { will: true });
    bob.watch("looking/*");
    anna.peer.connection.lost("lost");
    hub.clock.advance(29_999);
    assert.deepEqual(bob.told(), []);
    hub.clock.advance(1);
    assert.deepEqual(bob.told(), ["looking/7 -"]);
  });

  test("[STATE-6] nobody else sets or deletes it; its owner can make it a value like any other", () => {
    const hub = new StateHub();
    const [anna, bob] = [hub.client("Anna"), hub.client("Bob")];
    anna.set("a", 1, { will: true });
    assert.equal(codeOf(bob.set("a", 2)), "not-yours");
    assert.match((bob.delete("a").error as { message: string }).message, /`a` belongs to `Anna`/);
    anna.set("a", 3);
    assert.equal(bob.set("a", 4).status, "done");
    anna.peer.say({ opcode: "quit" });
    assert.deepEqual(bob.watch("a"), { a: 4 });
  });

  test("[STATE-6] ~ at the end is a name of the peer's own, the same for its life and no way to reach it", () => {
    const hub = new StateHub();
    const [anna, bob] = [hub.client("Anna"), hub.client("Anna")];
    const keyOf = (client: StateClient): string => (client.set("looking/7/~", 1, { will: true }).result as { key: string }).key;
    assert.match(keyOf(anna), /^looking\/7\/~[a-z0-9]+$/);
    assert.equal(keyOf(anna), keyOf(anna));
    assert.notEqual(keyOf(anna), keyOf(bob));
    assert.ok(!anna.peer.uuid.includes(keyOf(anna).slice("looking/7/".length)));
    assert.equal(anna.delete("looking/7/~").status, "done");
    assert.equal(Object.keys(bob.watch("looking/*")).length, 1);
  });

  test("[STATE-7] who lists the keys that have an owner, and since when", () => {
    const hub = new StateHub();
    const [anna, bob] = [hub.client("Anna"), hub.client("Bob")];
    const since = hub.clock.time();
    anna.set("looking/7/anna", "x", { will: true });
    anna.set("looking/7/note", "no owner");
    assert.deepEqual(bob.ask({ opcode: "who", keys: ["looking/*"] }).result, { "looking/7/anna": { by: "Anna", since, value: "x" } });
  });

  test("[STATE-6] what its pages own is free while a hub stands still, and theirs again when it goes on", () => {
    const hub = new StateHub();
    const [anna, bob] = [hub.client("Anna"), hub.client("Bob")];
    anna.set("mine", 1, { will: true });
    anna.set("ours", 2);
    bob.watch("*");
    hub.clock.pass(10_001);
    anna.set("next", 3);
    assert.deepEqual(bob.told(), ["mine -", "mine 1", "next 3"]);
  });
});

describe("chapter 18: plain words", () => {
  test("[STATE-8] state sets JSON if it parses, else text; without a value it gets", () => {
    const hub = new StateHub();
    const anna = hub.client();
    assert.match(hub.words('state machine/7 {"on":true}'), /^next done {"key":"machine\/7","version":\d+}$/);
    hub.words("state machine/8 half way, 50 %");
    hub.words("state machine/9 12");
    assert.deepEqual(anna.watch("*"), { "machine/7": { on: true }, "machine/8": "half way, 50 %", "machine/9": 12 });
    assert.match(hub.words("state machine/9"), /^next done {"machine\/9":{"value":12,"version":\d+}}$/);
    assert.equal(hub.words("delete machine/9"), "next done");
    assert.equal(hub.words("state machine/9"), "next done {}");
    anna.set("looking/~", 1, { will: true });
    assert.match(hub.words("who looking/*"), /^next done {"looking\/~[a-z0-9]+":{"by":"somebody","since":\d+,"value":1}}$/);
  });
});

describe("chapter 18: what one peer does hurts no other", () => {
  test("[STATE-1] keys of control characters count as what they take in an answer", () => {
    const hub = new StateHub();
    const [eve, bob] = [hub.client(), hub.client()];
    for (let n = 0; n < 1_000; n++) eve.set(`${"\u0001".repeat(250)}${n}`, 1);
    assert.equal(codeOf(bob.ask({ opcode: "get", keys: ["*"] })), "too-much-state");
    assert.equal(bob.peer.closedWith(), undefined);
  });

  test("[STATE-4] a key that came and went while a page was away costs it nothing", () => {
    const hub = new StateHub();
    const [eve, bob] = [hub.client(), hub.client()];
    eve.set("stays", 0);
    bob.watch("*");
    bob.peer.connection.lost("lost");
    for (let n = 0; n < 1_000; n++) {
      eve.set(`k${n}`, 1);
      eve.delete(`k${n}`);
    }
    eve.set("stays", 1);
    const again = new StateClient(hub.peer({ hello: { resume: bob.peer.ready?.resume, seen: 1 } }));
    assert.deepEqual(again.told(), ["stays 1"]);
  });

  test("[STATE-6] nobody makes his own what is there for all; a backend of this host always may", () => {
    const hub = new StateHub();
    const [eve, backend] = [hub.client(), new StateClient(hub.peer({ kind: "backend", address: "127.0.0.1", hello: { window: 8 } }))];
    backend.set("machine/7", 1);
    assert.equal(codeOf(eve.set("machine/7", 2, { will: true })), "conflict");
    eve.set("machine/8", 1, { will: true });
    assert.equal(backend.set("machine/8", 2).status, "done");
    assert.equal(codeOf(hub.client().delete("machine/9")), undefined);
    eve.set("machine/9", 1, { will: true });
    assert.equal(backend.delete("machine/9").status, "done");
    assert.deepEqual(hub.client().watch("machine/*"), { "machine/7": 1, "machine/8": 2 });
  });

  test("[STATE-6] another peer's own key is its own before it has set it", () => {
    const hub = new StateHub();
    const [anna, eve] = [hub.client("Anna"), hub.client("Eve")];
    const { key } = anna.set("looking/1/~", 1, { will: true }).result as { key: string };
    const name = key.slice("looking/1/".length);
    for (const answer of [eve.set(`looking/2/${name}`, 1), eve.delete(`looking/2/${name}`)]) assert.equal(codeOf(answer), "not-yours");
    assert.equal(anna.set("looking/2/~", 1, { will: true }).status, "done");
    assert.equal(anna.set(`looking/2/${name}`, 2, { will: true }).status, "done");
    assert.equal(codeOf(anna.set(`${"x".repeat(250)}/~`, 1)), "bad-message");
  });

  test("[LOCK-7] a page that comes back under another name is told under that", () => {
    const hub = new StateHub();
    const [anna, bob] = [hub.client("Anna"), hub.client("Bob")];
    anna.set("looking/1", 1, { will: true });
    bob.watch("looking/*");
    anna.peer.connection.lost("lost");
    hub.peer({ hello: { ident: "Carla", resume: anna.peer.ready?.resume, seen: 1 } });
    assert.equal(bob.pushes().at(-1)?.by, "Carla");
  });
});

describe("chapter 18: bad input", () => {
  const BAD: readonly [name: string, packet: object, code: string][] = [
    ["no key", { opcode: "set", value: 1 }, "bad-message"],
    ["an empty key", { opcode: "set", key: "", value: 1 }, "bad-message"],
    ["a key of 1 MB", { opcode: "set", key: "x".repeat(1_000_000), value: 1 }, "bad-message"],
    ["a key of 257 bytes", { opcode: "set", key: `${"ä".repeat(128)}b`, value: 1 }, "bad-message"],
    ["a key with a star", { opcode: "set", key: "a*", value: 1 }, "bad-message"],
    ["no value", { opcode: "set", key: "a" }, "bad-message"],
    ["a value of more than 64 KiB", { opcode: "set", key: "a", value: "x".repeat(65_535) }, "bad-message"],
    ["if that is no version", { opcode: "set", key: "a", value: 1, if: "1" }, "bad-message"],
    ["if below 0", { opcode: "delete", key: "a", if: -1 }, "bad-message"],
    ["will that is no flag", { opcode: "set", key: "a", value: 1, will: "yes" }, "bad-message"],
    ["keys that are no list", { opcode: "watch", keys: "*" }, "bad-message"],
    ["no patterns", { opcode: "watch", keys: [] }, "bad-message"],
    ["an object as pattern", { opcode: "get", keys: [{}] }, "bad-message"],
    ["a star in the middle", { opcode: "watch", keys: ["a*b"] }, "bad-message"],
    ["a thousand stars", { opcode: "watch", keys: ["*".repeat(1_000)] }, "bad-message"],
    ["two stars", { opcode: "who", keys: ["a**"] }, "bad-message"],
    ["101 patterns", { opcode: "watch", keys: Array.from({ length: 101 }, (_, n) => `${n}`) }, "too-many-watches"],
  ];
  for (const [name, packet, code] of BAD) {
    test(`[STATE-1] ${(packet as Packet).opcode}, ${name}: ${code}`, () => {
      const hub = new StateHub();
      const anna = hub.client();
      const answer = anna.ask(packet);
      assert.equal(codeOf(answer), code);
      assert.ok(JSON.stringify(answer).length < 400, "the answer is a sentence");
      assert.deepEqual(hub.log.of("app.failed"), []);
      assert.deepEqual(anna.watch("*"), {});
    });
  }

  test("[STATE-1] __proto__ is an ordinary key that hurts nothing", () => {
    const hub = new StateHub();
    const anna = hub.client();
    anna.set("__proto__", { polluted: true });
    assert.deepEqual(Object.keys(anna.watch("*")), ["__proto__"]);
    assert.equal(({} as { polluted?: boolean }).polluted, undefined);
  });

  test("[STATE-1] keys and bytes in total have limits; what is there can still change and go", () => {
    const hub = new StateHub({ maxKeys: 2, maxStateBytes: 100 });
    const anna = hub.client();
    anna.set("a", 1);
    anna.set("b", 1);
    assert.match((anna.set("c", 1).error as { message: string }).message, /`maxKeys` 2/);
    assert.equal(anna.set("a", "x".repeat(90)).status, "done");
    assert.match((anna.set("b", "x".repeat(20)).error as { message: string }).message, /`maxStateBytes` 100/);
    assert.equal(anna.set("a", "y".repeat(90)).status, "done");
    anna.delete("a");
    assert.equal(anna.set("c", "x".repeat(90)).status, "done");
  });

  test("[STATE-2] what a peer watches counts over all its messages", () => {
    const hub = new StateHub({ maxWatches: 2 });
    const anna = hub.client();
    anna.watch("a");
    anna.watch("a", "b");
    assert.equal(codeOf(anna.ask({ opcode: "watch", keys: ["c"] })), "too-many-watches");
    anna.ask({ opcode: "unwatch", keys: ["a"] });
    assert.equal(anna.ask({ opcode: "watch", keys: ["c"] }).status, "done");
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Answer, Refusal } from "../../protocol/index.js";
import type { App } from "../../server/app.js";
import { wordsDialect } from "../../server/dialect.js";
import { checkApp, checkPattern } from "../../server/resource.js";
import { LoopbackHub } from "../support/loopback.js";

/** An app that notes each turn of its life. */
function diary(name: string, opcodes: App["opcodes"] = { [name]: () => name }): { app: App; lines: string[] } {
  const lines: string[] = [];
  const app: App = {
    name,
    opcodes,
    start: (hub) => void lines.push(`start ${[...hub.peers].length}`),
    firstOpen: () => void lines.push("firstOpen"),
    open: (_peer, hub) => void lines.push(`open ${[...hub.peers].length}`),
    close: (_peer, why, hub) => void lines.push(`close ${why} ${[...hub.peers].length}`),
    lastClose: () => void lines.push("lastClose"),
    stop: () => void lines.push("stop"),
  };
  return { app, lines };
}

describe("resources carry lists of apps", () => {
  test("a message goes to the first app that declares its opcode, and the built-in ones end the list", () => {
    const first: App = { opcodes: { order: () => "first", echo: () => "mine" } };
    const second: App = { opcodes: { order: () => "second", other: () => "other" } };
    const peer = new LoopbackHub({ apps: [first, second] }).peer();
    assert.equal(peer.ask({ opcode: "order" })[0]?.result, "first");
    assert.equal(peer.ask({ opcode: "other" })[0]?.result, "other");
    assert.equal(peer.ask({ opcode: "echo" })[0]?.result, "mine");
    assert.equal(peer.ask({ opcode: "broadcast" })[0]?.status, "sent");
  });

  test("[OPEN-5] paths are literal or prefixes; the longest prefix has it, and none of it is a pattern", () => {
    const { hub } = new LoopbackHub();
    for (const pattern of ["/orders", "/orders/*", "/orders/old/*"]) hub.mount(pattern, [{ opcodes: { a: () => pattern } }]);
    const found = (path: string): string => hub.resources.resolve(path).pattern;
    assert.equal(found("/orders"), "/orders");
    assert.equal(found("/orders/7"), "/orders/*");
    assert.equal(found("/orders/7/lines"), "/orders/*");
    assert.equal(found("/orders/old/7"), "/orders/old/*");
    for (const path of ["/order", "/orders/", "/orders/*", "/Orders", "/__proto__", "/constructor", "//orders", "/../orders", ""]) {
      if (path === "/orders/*") continue;
      assert.throws(() => found(path), /No resource .* here; there is \/, \/orders/, path);
    }
    assert.equal(found("/orders/*"), "/orders/*", "a star in a path is a character like any other");
    assert.equal(found(`/orders/${"a/".repeat(2_000)}`), "/orders/*");
  });

  for (const [what, app, rule] of [
    ["no object", "text", /expected an object with `opcodes`, got `text`/],
    ["no opcodes", {}, /handles nothing: expected `opcodes`/],
    ["empty opcodes", { opcodes: {} }, /handles nothing/],
    ["a handler that is no function", { opcodes: { order: true } }, /handler of opcode `order` to be a function, got `true`/],
    ["an opcode of the dialog", { opcodes: { next: () => {} } }, /opcode `next` belongs to the dialog/],
    ["quit", { opcodes: { quit: () => {} } }, /opcode `quit` belongs to the dialog/],
    ["words with capitals", { opcodes: { a: () => {} }, words: { Order: () => ({ opcode: "a" }) } }, /lower-case names, got `Order`/],
  ] as const) {
    test(`an app with ${what} is refused at registration with a sentence that says what is missing`, () => {
      assert.throws(() => checkApp("/orders", app as never), rule);
    });
  }

  test("a path that is none is refused at registration", () => {
    for (const pattern of ["orders", "", "/or*ders", "/orders*", "/orders?x", "*"])
      assert.throws(() => checkPattern(pattern), /Expected a resource to be a path/, pattern);
    for (const pattern of ["/", "/*", "/orders", "/orders/*"]) checkPattern(pattern);
  });
});

describe("an app's plain words", () => {
  test("[WORD-4] a word of an app on / becomes its packet, and its refusal the answer", () => {
    const app: App = {
      opcodes: { order: ({ id }) => `order ${id}` },
      words: {
        order(args) {
          if (!/^\d+$/.test(args)) throw new Refusal("bad-order", "Expected a number.");
          return { opcode: "order", id: Number(args) };
        },
      },
    };
    const peer = new LoopbackHub({ apps: [app] }).peer({ dialect: wordsDialect, kind: "backend" });
    for (const line of ["order 7", "order seven", "broadcast x", "reorder 7"]) peer.say(line);
    const [done, refused, sent, unknown] = peer.texts();
    assert.equal(done, "next done order 7");
    assert.equal(refused, "next refused bad-order Expected a number.");
    assert.equal(sent, "next sent 0");
    assert.match(unknown ?? "", /^next refused unknown-command Expected one of order, feedback, broadcast, echo, quit/);
  });
});

describe("an app's life", () => {
  test("start, first open, open, close, last close and stop come in that order, with the peers at hand", async () => {
    const { app, lines } = diary("diary");
    const loop = new LoopbackHub({ apps: [app] });
    const [a, b] = [loop.peer(), loop.peer()];
    a.say({ opcode: "quit" });
    b.connection.lost("lost");
    loop.peer().say({ opcode: "quit" });
    await loop.hub.stop();
    assert.deepEqual(lines, [
      "start 0",
      "firstOpen",
      "open 1",
      "open 2",
      "close quit 1",
      "close lost 0",
      "lastClose",
      "firstOpen",
      "open 1",
      "close quit 0",
      "lastClose",
      "stop",
    ]);
  });

  test("a hook that throws or rejects is logged and told to the app, and hurts nobody", async () => {
    const told: string[] = [];
    const app: App = {
      name: "fragile",
      opcodes: { a: () => 1 },
      open() {
        throw new Error("in open");
      },
      close: (async () => {
        throw new Error("in close");
      }) as unknown as () => void,
      error: (error) => void told.push((error as Error).message),
    };
    const { app: next, lines } = diary("neighbour");
    const loop = new LoopbackHub({ apps: [app, next] });
    await new Promise(setImmediate);
    const peer = loop.peer();
    assert.equal(peer.ask({ opcode: "a" })[0]?.result, 1);
    peer.say({ opcode: "quit" });
    await new Promise(setImmediate);
    assert.deepEqual(told, ["in open", "in close"]);
    assert.deepEqual(
      loop.log.of("app.failed").map(({ during }) => during),
      ["open", "close"],
    );
    assert.equal(lines.at(-1), "lastClose");
  });

  test("stop is awaited", async () => {
    let finish: () => void = () => {};
    const done = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const loop = new LoopbackHub({ apps: [{ opcodes: { a: () => 1 }, stop: () => done }] });
    let stopped = false;
    const stopping = loop.hub.stop().then(() => {
      stopped = true;
    });
    await new Promise(setImmediate);
    assert.equal(stopped, false);
    finish();
    await stopping;
  });

  test("an app can push, close, answer with a status of its own, and refuse with a code of its own", () => {
    const app: App = {
      opcodes: {
        push: (_packet, peer) => peer.send({ opcode: "pushed", n: 1 }),
        bad: (_packet, peer) => peer.send({ opcode: "next" }),
        cancelled: () => new Answer("cancel", { reason: "user" }),
        locked() {
          throw new Refusal("locked", "Anna has it.");
        },
        leave: (_packet, peer) => peer.close("Bye."),
        tell: (_packet, peer, hub) => hub.broadcast({ opcode: "told" }, { except: peer }),
      },
    };
    const loop = new LoopbackHub({ apps: [app] });
    const [peer, other] = [loop.peer(), loop.peer()];
    assert.deepEqual(peer.ask({ opcode: "push" })[0], { opcode: "pushed", n: 1 });
    assert.equal((peer.ask({ opcode: "bad" })[0]?.error as { code?: string } | undefined)?.code, "app-error");
    assert.deepEqual(peer.ask({ opcode: "cancelled" })[0], { opcode: "next", fyi: "", status: "cancel", reason: "user" });
    assert.deepEqual(peer.ask({ opcode: "locked" })[0]?.error, { code: "locked", message: "Anna has it." });
    assert.equal(peer.ask({ opcode: "tell" })[0]?.n, 1);
    assert.deepEqual(other.read(), [{ opcode: "told" }]);
    assert.deepEqual(peer.ask({ opcode: "leave" }), [{ opcode: "close", error: "Bye.", code: 1000 }]);
  });
});

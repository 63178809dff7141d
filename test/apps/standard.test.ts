import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LoopbackHub, type LoopbackPeer } from "../support/loopback.js";

const codeOf = (peer: LoopbackPeer, packet: object): unknown => (peer.ask(packet)[0]?.error as { code?: string } | undefined)?.code;

describe("7 The built-in opcodes", () => {
  test("[STD-1] forwarded is every field of the sender but those for the hub, and a key __proto__", () => {
    const loop = new LoopbackHub();
    const [page, sender] = [loop.peer(), loop.peer()];
    sender.ask(
      `{"opcode":"feedback","uuid":"${page.uuid}","resource":"/x","ref":1,"wait":"","volatile":false,"message":{"a":[1,null,"ä😀"]},"key":"k","more":1.5,"__proto__":{"bad":1}}`,
    );
    assert.deepEqual(page.read(), [{ opcode: "feedback", message: { a: [1, null, "ä😀"] }, key: "k", more: 1.5, fromUUID: sender.uuid }]);
  });

  test("[STD-2] fromUUID is the hub's own word in feedback, and a broadcast has none", () => {
    const loop = new LoopbackHub();
    const [page, sender] = [loop.peer(), loop.peer()];
    sender.ask({ opcode: "feedback", uuid: page.uuid, fromUUID: "forged" });
    sender.ask({ opcode: "broadcast", fromUUID: "forged", message: 1 });
    assert.deepEqual(page.read(), [
      { opcode: "feedback", fromUUID: sender.uuid },
      { opcode: "broadcast", message: 1 },
    ]);
  });

  test("[STD-3] ident reaches all peers with that name, tags all that have every one of them; an unknown tag matches nobody", () => {
    const loop = new LoopbackHub();
    const editor = loop.peer({ hello: { ident: "anna", tags: { role: "editor", level: 1 } } });
    const reader = loop.peer({ hello: { ident: "anna", tags: { role: "reader", level: 1 } } });
    const backend = loop.peer({ hello: { ident: "importer", tags: { level: 1 } }, kind: "backend" });
    const sender = loop.peer();
    const reached = (target: object): unknown[] => {
      const [next] = sender.ask({ opcode: "feedback", ...target });
      return [next?.status, next?.n, ...[editor, reader, backend].map((peer) => peer.read().length)];
    };
    assert.deepEqual(reached({ ident: "anna" }), ["sent", 2, 1, 1, 0]);
    assert.deepEqual(reached({ ident: "importer" }), ["sent", 1, 0, 0, 1]);
    assert.deepEqual(reached({ tags: { level: 1 } }), ["sent", 3, 1, 1, 1]);
    assert.deepEqual(reached({ tags: { level: 1, role: "editor" } }), ["sent", 1, 1, 0, 0]);
    for (const tags of [{ level: "1" }, { level: 1, role: "admin" }, { colour: "red" }, { toString: 1 }]) {
      assert.deepEqual(reached({ tags }), ["gone", undefined, 0, 0, 0], JSON.stringify(tags));
    }
    assert.deepEqual(reached({ ident: "nobody" }), ["gone", undefined, 0, 0, 0]);
    assert.deepEqual(reached({ uuid: editor.uuid, ident: "" }), ["sent", 1, 1, 0, 0]);
  });

  test("[STD-3] exactly one target, of the right type", () => {
    const peer = new LoopbackHub().peer();
    const bad = [
      {},
      { uuid: "" },
      { uuid: "a", ident: "b" },
      { uuid: true },
      { uuid: 7 },
      { ident: {} },
      { tags: {} },
      { tags: [] },
      { tags: { a: null } },
      { tags: "x" },
    ];
    for (const target of bad) assert.equal(codeOf(peer, { opcode: "feedback", ...target }), "bad-message", JSON.stringify(target));
  });

  test("[STD-3] a sender that is addressed gets it too", () => {
    const peer = new LoopbackHub().peer({ hello: { ident: "anna" } });
    assert.deepEqual(
      peer.ask({ opcode: "feedback", ident: "anna", message: 1 }).map((packet) => packet.opcode),
      ["feedback", "next"],
    );
  });

  test("[STD-5] a broadcast goes to all pages but the sender, narrowed by resource and tags, and never to backends", () => {
    const loop = new LoopbackHub();
    loop.hub.mount("/orders/*", [{ opcodes: { a: () => 1 } }]);
    loop.hub.mount("/web", [{ opcodes: { a: () => 1 } }]);
    const seven = loop.peer({ path: "/orders/7", hello: { tags: { role: "editor" } } });
    const eight = loop.peer({ path: "/orders/8" });
    const web = loop.peer({ path: "/web", hello: { tags: { role: "editor" } } });
    const backend = loop.peer({ kind: "backend", hello: { tags: { role: "editor" } } });
    const sender = loop.peer();
    const reached = (narrowing: object): unknown[] => {
      const [next, ...more] = sender.ask({ opcode: "broadcast", message: 1, ...narrowing });
      assert.equal(next?.status, "sent");
      assert.deepEqual(more, []);
      return [next?.n, ...[seven, eight, web, backend].map((peer) => peer.read().length)];
    };
    assert.deepEqual(reached({}), [3, 1, 1, 1, 0]);
    assert.deepEqual(reached({ resource: "" }), [3, 1, 1, 1, 0]);
    assert.deepEqual(reached({ resource: "/orders/*" }), [2, 1, 1, 0, 0]);
    assert.deepEqual(reached({ resource: "/orders/7" }), [1, 1, 0, 0, 0]);
    assert.deepEqual(reached({ resource: "/web" }), [1, 0, 0, 1, 0]);
    assert.deepEqual(reached({ resource: "/none" }), [0, 0, 0, 0, 0]);
    assert.deepEqual(reached({ tags: { role: "editor" } }), [2, 1, 0, 1, 0]);
    assert.deepEqual(reached({ tags: { role: "editor" }, resource: "/orders/*" }), [1, 1, 0, 0, 0]);
    assert.equal(codeOf(sender, { opcode: "broadcast", resource: 7 }), "bad-message");
    assert.equal(codeOf(sender, { opcode: "broadcast", tags: {} }), "bad-message");
  });

  test("[STD-6] pushes of one sender reach a page in their order, feedback and broadcast mixed, with its own answers between", () => {
    const loop = new LoopbackHub();
    const [page, sender] = [loop.peer({ hello: { window: 8 } }), loop.peer({ hello: { window: 8 } })];
    for (let i = 0; i < 30; i++) {
      sender.say(i % 3 ? { opcode: "feedback", uuid: page.uuid, message: i } : { opcode: "broadcast", message: i });
      if (i % 5 === 0) page.say({ opcode: "broadcast", ref: i });
      if (i % 7 === 0) loop.clock.endTurn();
    }
    const packets = page.read();
    const pushes = packets.filter((packet) => packet.opcode !== "next").map((packet) => packet.message);
    assert.deepEqual(
      pushes,
      Array.from({ length: 30 }, (_, i) => i),
    );
  });

  test("[STD-7] echo comes back as a push without the ref, then its next", () => {
    const peer = new LoopbackHub().peer();
    assert.deepEqual(peer.ask({ opcode: "echo", ref: 1, anything: ["ä"] }), [
      { opcode: "echo", anything: ["ä"] },
      { opcode: "next", fyi: "", ref: 1, status: "done" },
    ]);
  });

  test("[STD-8] an opcode that no app declares is refused, cut and escaped", () => {
    const peer = new LoopbackHub().peer();
    for (const opcode of ["constructor", "__proto__", "toString", "onClose", "then", "x".repeat(200_000), "a\u001b[31m"]) {
      const [next] = peer.ask({ opcode });
      const { code, message } = (next as unknown as { error: { code: string; message: string } }).error;
      assert.equal(code, "unknown-opcode");
      assert.ok(message.length < 200, `${message.length} characters`);
      assert.ok(!message.includes("\u001b"));
    }
    assert.equal(codeOf(peer, { opcode: 7 }), "bad-message");
  });
});

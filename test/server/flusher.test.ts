import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Flusher } from "../../server/flusher.js";
import { Batch, Frame } from "../../server/frame.js";
import { TestClock } from "../support/clock.js";
import { LoopbackHub } from "../support/loopback.js";

describe("one write per peer and turn", () => {
  test("all that becomes due in one turn leaves in one write, in its order", () => {
    const loop = new LoopbackHub();
    const [page, sender] = [loop.peer(), loop.peer({ hello: { window: 64 } })];
    const before = page.writes;
    for (let i = 0; i < 50; i++)
      sender.say({ opcode: i % 2 ? "broadcast" : "feedback", ...(i % 2 ? {} : { uuid: page.uuid }), message: i });
    loop.clock.endTurn();
    assert.equal(page.writes - before, 1);
    assert.deepEqual(
      page.read().map((packet) => packet.message),
      Array.from({ length: 50 }, (_, i) => i),
    );
  });

  test("a broadcast leaves at the end of its turn while it is quiet", () => {
    const loop = new LoopbackHub();
    const [page, sender] = [loop.peer(), loop.peer()];
    sender.say({ opcode: "broadcast", message: 1 });
    assert.equal(page.read().length, 1);
  });

  test("after a round of broadcasts that took long the next waits as long, at most 5 ms, and feedback does not", () => {
    const clock = new TestClock();
    const flusher = new Flusher(clock);
    const flushed: string[] = [];
    const peer = (name: string, ms: number) => ({
      flush() {
        flushed.push(name);
        clock.pass(ms);
      },
    });
    flusher.bulk(peer("a", 3));
    clock.endTurn();
    flusher.bulk(peer("b", 100));
    flusher.urgent(peer("feedback", 0));
    clock.endTurn();
    assert.deepEqual(flushed, ["a", "feedback"]);
    clock.advance(2);
    assert.deepEqual(flushed, ["a", "feedback"]);
    clock.advance(1);
    assert.deepEqual(flushed, ["a", "feedback", "b"]);
    flusher.bulk(peer("c", 0));
    clock.advance(4);
    assert.equal(flushed.length, 3);
    clock.advance(1);
    assert.deepEqual(flushed, ["a", "feedback", "b", "c"]);
  });

  test("a broadcast held back leaves with an answer to the same page, before it", () => {
    const loop = new LoopbackHub();
    const [page, sender] = [loop.peer(), loop.peer({ hello: { window: 8 } })];
    loop.hub.flusher.bulk({ flush: () => loop.clock.pass(5) });
    loop.clock.endTurn();
    sender.say({ opcode: "broadcast", message: 1 });
    assert.deepEqual(page.read(), [], "held");
    page.say({ opcode: "broadcast", ref: 1 });
    assert.deepEqual(
      page.read().map((packet) => packet.opcode),
      ["broadcast", "next"],
    );
    loop.clock.advance(10);
    assert.deepEqual(page.read(), [], "and not once more");
  });

  test("the same frames for many peers are joined once", () => {
    let encoded = 0;
    const encoding = {
      name: "counting",
      encode(text: string) {
        encoded++;
        return Buffer.from(text);
      },
      decode: String,
    };
    const [a, b] = [new Frame("a"), new Frame("b")];
    const batch = new Batch();
    const first = batch.join([a, b], encoding);
    assert.equal(batch.join([a, b], encoding), first);
    assert.equal(encoded, 2);
    assert.notEqual(batch.join([b, a], encoding), first);
    assert.equal(String(batch.join([b, a], encoding)), "ba");
  });
});

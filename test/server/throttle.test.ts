import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { wordsDialect } from "../../server/dialect.js";
import { TokenBucket } from "../../server/token-bucket.js";
import { holds } from "../protocol/arbitraries.js";
import { LoopbackHub, type LoopbackPeer } from "../support/loopback.js";

const RATE = 10;
const slow = (more: object = {}) => new LoopbackHub({ limits: { maxRate: RATE, ...more } });
const nexts = (peer: LoopbackPeer): number => peer.read().filter(({ opcode }) => opcode === "next").length;
const say = (peer: LoopbackPeer, messages: number): void => {
  for (let i = 0; i < messages; i++) peer.say({ opcode: "echo", n: i });
};

describe("a token bucket", () => {
  test("never gives more than its burst and what its rate has brought since", () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 5_000 }), fc.integer({ min: 1, max: 50 })), { maxLength: 60 });
    holds(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 200 }), steps, (rate, burst, steps) => {
      const bucket = new TokenBucket(rate, burst, 0);
      let now = 0;
      let taken = 0;
      for (const [ms, tokens] of steps) {
        now += ms;
        if (bucket.wait(now) > 0) continue;
        bucket.take(tokens, now);
        taken += tokens;
        assert.ok(taken <= burst + (now / 1_000) * rate + tokens, `${taken} after ${now} ms`);
      }
      assert.equal(bucket.wait(now + bucket.wait(now)), 0);
    });
  });
});

describe("who addresses what is nobody's again and again", () => {
  const guess = (peer: LoopbackPeer, times: number): number => {
    for (let i = 0; i < times; i++)
      peer.say({ opcode: "feedback", uuid: `00000000-0000-4000-8000-${String(i).padStart(12, "0")}`, message: 1 });
    return nexts(peer);
  };

  test("is answered the same, a second each, from the hundredth within ten seconds on", () => {
    const hub = new LoopbackHub({ limits: { maxRate: 500 } });
    const page = hub.peer({ hello: { window: 256 } });
    assert.equal(guess(page, 99), 99);
    assert.deepEqual(hub.log.of("peer.guesses"), []);
    const burst = guess(page, 20);
    assert.ok(burst < 5, `${burst}`);
    hub.clock.advance(5_000);
    assert.ok(nexts(page) <= 6);
    assert.ok(hub.log.of("peer.guesses").length > 0);
    assert.equal(page.closedWith(), undefined);
  });

  test("but for a backend of the hub's own host: a job may go on for a page that has left", () => {
    const hub = new LoopbackHub({ limits: { maxRate: 500 } });
    const backend = hub.peer({ kind: "backend", hello: { window: 256 }, address: "unix" });
    assert.equal(guess(backend, 200), 200);
  });
});

describe("[WIN-7] a peer that says more than it may", () => {
  test("has its burst answered at once, the rest at its rate, in order, and nothing is refused", () => {
    const hub = slow();
    const page = hub.peer({ hello: { window: 256 } });
    say(page, 60);
    assert.equal(nexts(page), 2 * RATE + 1);
    assert.equal(page.reading, false);
    hub.clock.advance(1_000);
    assert.equal(nexts(page), RATE);
    hub.clock.advance(10_000);
    assert.equal(nexts(page), 60 - 3 * RATE - 1);
    assert.equal(page.reading, true);
    assert.equal(page.closedWith(), undefined);
  });

  test("by its bytes too", () => {
    const hub = slow({ maxRate: 1_000, maxByteRate: 1_024, maxMessage: 1_024 });
    const page = hub.peer({ hello: { window: 256 } });
    for (let i = 0; i < 6; i++) page.say({ opcode: "echo", message: "x".repeat(1_000) });
    const first = nexts(page);
    assert.ok(first >= 2 && first < 6, `${first}`);
    hub.clock.advance(10_000);
    assert.equal(first + nexts(page), 6);
  });

  test("hurts nobody else", () => {
    const hub = slow();
    const [loud, quiet] = [hub.peer({ hello: { window: 256 } }), hub.peer({ hello: { window: 8 } })];
    say(loud, 500);
    assert.equal(quiet.ask({ opcode: "echo" }).length, 2);
  });

  test("that says only what needs no turn is closed, far above", () => {
    const hub = slow();
    const page = hub.peer({ hello: { window: 8 } });
    for (let i = 0; i < 2 * RATE + 10 * RATE; i++) page.say({ opcode: "seen", n: 0 });
    assert.equal(page.closedWith(), undefined);
    for (let i = 0; i < 10; i++) page.say({ opcode: "seen", n: 0 });
    hub.clock.endTurn();
    assert.equal(page.closedWith()?.code, 1008);
    assert.match(page.closedWith()?.reason as string, /`maxRate` 10/);
  });

  test("and quits is answered to its last message before it is closed", () => {
    const hub = slow();
    const backend = hub.peer({ kind: "backend", dialect: wordsDialect, address: "10.0.0.1" });
    for (let i = 0; i < 40; i++) backend.say("echo x");
    backend.connection.end("left", "normal");
    hub.clock.advance(10_000);
    assert.equal(backend.texts().length, 40);
    assert.equal(backend.closedWith()?.code, 1000);
    assert.equal(hub.clock.pending, 1);
  });

  test("is exempt where it is a backend of the hub's own host", () => {
    const hub = slow();
    const backend = hub.peer({ kind: "backend", hello: { window: 256 }, address: "127.0.0.1" });
    say(backend, 200);
    assert.equal(nexts(backend), 200);
  });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { LineLimit, type Suppressed } from "../../server/line-limit.js";
import { TestClock } from "../support/clock.js";

test("of one kind and address ten lines a second are written, then how many more there were", () => {
  const clock = new TestClock();
  const told: Suppressed[] = [];
  const limit = new LineLimit(clock, (suppressed) => told.push(suppressed));
  const write = (lines: number, event: string, ip: string): number =>
    Array.from({ length: lines }, () => limit.take(event, ip)).filter(Boolean).length;
  assert.equal(write(10, "peer.refused", "1.1.1.1"), 10);
  assert.equal(write(990, "peer.refused", "1.1.1.1"), 0);
  assert.equal(write(3, "peer.refused", "2.2.2.2"), 3);
  assert.equal(write(3, "peer.opened", "1.1.1.1"), 3);
  clock.advance(1_000);
  assert.deepEqual(told, [{ of: "peer.refused", ip: "1.1.1.1", lines: 990 }]);
  assert.equal(write(11, "peer.refused", "1.1.1.1"), 10);
  clock.advance(1_000);
  assert.equal(told.length, 2);
  clock.advance(10_000);
  assert.deepEqual([told.length, clock.pending], [2, 0]);
});

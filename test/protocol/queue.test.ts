import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Queue } from "../../protocol/index.js";
import { holds } from "./arbitraries.js";

type Step = ["push" | "shift", times: number] | ["clear", times: 1];

/** Many at a time, so that a queue grows beyond what it keeps of those already taken. */
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(fc.constantFrom("push" as const, "shift" as const), fc.oneof(fc.nat({ max: 5 }), fc.nat({ max: 1_500 }))),
  fc.constant<Step>(["clear", 1]),
);

function itemsOf(queue: Queue<number>): number[] {
  const items: number[] = [];
  queue.forEach((item) => void items.push(item));
  return items;
}

/** A queue and the array it must not differ from. */
class Pair {
  readonly queue = new Queue<number>();
  readonly model: number[] = [];
  #last = 0;

  push(): void {
    this.queue.push(++this.#last);
    this.model.push(this.#last);
  }

  shift(): void {
    assert.equal(this.queue.shift(), this.model.shift());
  }

  clear(): void {
    this.queue.clear();
    this.model.length = 0;
  }
}

describe("a queue", () => {
  test("gives what an array would give, whatever the order of steps", () => {
    holds(fc.array(step, { maxLength: 12 }), (steps) => {
      const pair = new Pair();
      for (const [action, times] of steps) {
        for (let i = 0; i < times; i++) pair[action]();
        assert.deepEqual(itemsOf(pair.queue), pair.model);
        assert.deepEqual([pair.queue.length, pair.queue.peek()], [pair.model.length, pair.model[0]]);
      }
    });
  });

  test("an item may be `undefined`", () => {
    const queue = new Queue<number | undefined>();
    queue.push(undefined);
    queue.push(1);
    assert.deepEqual([queue.length, queue.shift(), queue.shift(), queue.length], [2, undefined, 1, 0]);
  });
});

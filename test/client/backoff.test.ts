import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Backoff } from "../../client/backoff.js";

const pauses = (backoff: Backoff, count: number): number[] => Array.from({ length: count }, () => backoff.next());

describe("chapter 15: the pause before a client connects again", () => {
  test("is at most 200 ms · 2ⁿ and 10 s, for ever", () => {
    assert.deepEqual(pauses(new Backoff(() => 1), 8), [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    assert.equal(pauses(new Backoff(() => 1), 5_000).at(-1), 10_000);
  });

  test("may be nothing, so that not all come back at once", () => {
    assert.deepEqual(pauses(new Backoff(() => 0), 3), [0, 0, 0]);
  });

  test("is spread evenly between the two", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat({ max: 50 }), (random, tries) => {
        const [all, some] = [new Backoff(() => 1), new Backoff(() => random)].map((backoff) => pauses(backoff, tries + 1).at(-1)) as [
          number,
          number,
        ];
        assert.equal(some, random * all);
      }),
    );
  });

  test("begins anew once there was a connection", () => {
    const backoff = new Backoff(() => 1);
    pauses(backoff, 6);
    backoff.reset();
    assert.deepEqual(pauses(backoff, 2), [200, 400]);
  });
});

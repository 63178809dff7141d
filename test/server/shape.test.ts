import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as v from "valibot";
import { z } from "zod";
import { type App, shaped } from "../../server/main.js";
import { LoopbackHub } from "../support/loopback.js";

const refusal = (app: App, packet: object): { code: string; message: string } | undefined => {
  const [next] = new LoopbackHub({ apps: [app] }).peer({ hello: {} }).ask(packet);
  return (next as { error?: { code: string; message: string } } | undefined)?.error;
};

const ORDER = z.object({ order: z.string(), amount: z.number().int().positive() });
const orders = (seen: unknown[]): App => ({
  opcodes: {
    // The types flow: `amount` is a number, and what is not in the shape is not there.
    place: shaped(ORDER, ({ order, amount, opcode }) => {
      seen.push({ order, amount: amount.toFixed(0), opcode });
      return amount + 1;
    }),
  },
});

describe("a handler with a shape", () => {
  test("gets what fits, as the validator made it, and its result is the answer", () => {
    const seen: unknown[] = [];
    const hub = new LoopbackHub({ apps: [orders(seen)] });
    const [next] = hub.peer({ hello: {} }).ask({ opcode: "place", order: "7", amount: 2, other: true });
    assert.deepEqual([next?.status, next?.result], ["done", 3]);
    assert.deepEqual(seen, [{ order: "7", amount: "2", opcode: "place" }]);
  });

  test("never sees what does not fit; the answer names each place and reason", () => {
    const seen: unknown[] = [];
    const error = refusal(orders(seen), { opcode: "place", order: 7, amount: 0 });
    assert.equal(error?.code, "bad-shape");
    assert.match(error?.message as string, /`place` has not the shape that its app expects: `order`: .+; `amount`: .+\./);
    assert.deepEqual(seen, []);
  });

  test("takes any validator that speaks Standard Schema, one that takes its time too", async () => {
    const valibot: App = { opcodes: { go: shaped(v.object({ n: v.number() }), ({ n }) => n * 2) } };
    assert.equal(refusal(valibot, { opcode: "go", n: "x" })?.code, "bad-shape");
    const slow = z.object({ n: z.number() }).refine(async ({ n }) => n > 0, "too small");
    const hub = new LoopbackHub({ apps: [{ opcodes: { go: shaped(slow, ({ n }) => n) } }] });
    const page = hub.peer({ hello: { window: 2 } });
    page.say({ opcode: "go", ref: 1, n: 0 });
    page.say({ opcode: "go", ref: 2, n: 5 });
    await new Promise((resolve) => setImmediate(resolve));
    const answers = page.read();
    assert.match((answers[0] as unknown as { error: { message: string } }).error.message, /too small/);
    assert.equal(answers[1]?.result, 5);
  });

  test("says how many problems more there are, and nothing of the values", () => {
    const many: App = { opcodes: { go: shaped(z.object({ a: z.string(), b: z.string(), c: z.string(), d: z.string() }), () => 0) } };
    const error = refusal(many, { opcode: "go", a: 4711, b: 1, c: 1, d: 1 });
    assert.match(error?.message as string, /; and 1 more\.$/);
    assert.doesNotMatch(error?.message as string, /4711/);
  });
});

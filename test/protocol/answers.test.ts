import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  Answer,
  cancel,
  DONE,
  done,
  formatNext,
  formatWords,
  GONE,
  NEXT_DONE,
  type Ref,
  refused,
  type Status,
  sent,
} from "../../protocol/index.js";
import { anyText, holds, jsonValue } from "./arbitraries.js";

const STATUSES: readonly Status[] = ["done", "sent", "held", "delivered", "merged", "gone", "dropped", "refused", "cancel"];

const detail = fc.record(
  { n: fc.nat(), held: fc.nat(), result: jsonValue, reason: anyText, error: fc.record({ code: fc.constant("a-code"), message: anyText }) },
  { requiredKeys: [] },
);
const answer = fc.tuple(fc.constantFrom(...STATUSES), detail).map(([status, detail]) => new Answer(status, detail));

describe("chapter 4: `next` as a packet", () => {
  const ROWS: readonly [name: string, answer: Answer, ref: Ref | undefined, packet: object][] = [
    ["the commonest", DONE, undefined, { status: "done" }],
    ["with a ref", DONE, 7, { status: "done", ref: 7 }],
    ["with the ref 0", DONE, 0, { status: "done", ref: 0 }],
    ["with an empty ref", DONE, "", { status: "done", ref: "" }],
    ["a result", done({ a: 1 }), undefined, { status: "done", result: { a: 1 } }],
    ["a result of null", done(null), undefined, { status: "done", result: null }],
    ["sent to nobody", sent(0), 1, { status: "sent", n: 0, ref: 1 }],
    ["sent, with a result of the app's", new Answer("sent", { n: 2, result: "x" }), 1, { status: "sent", n: 2, result: "x", ref: 1 }],
    ["sent, with a result of null", new Answer("sent", { n: 2, result: null }), 1, { status: "sent", n: 2, result: null, ref: 1 }],
    ["sent, with a reason of the app's", new Answer("sent", { n: 2, reason: "late" }), 1, { status: "sent", n: 2, reason: "late", ref: 1 }],
    ["sent, without a number", new Answer("sent"), undefined, { status: "sent" }],
    ["sent to some, held for others", new Answer("sent", { n: 2, held: 1 }), undefined, { status: "sent", n: 2, held: 1 }],
    ["gone", GONE, "x", { status: "gone", ref: "x" }],
    ["cancel", cancel("user"), undefined, { status: "cancel", reason: "user" }],
    ["refused", refused("busy", "Later."), 8, { status: "refused", error: { code: "busy", message: "Later." }, ref: 8 }],
  ];
  for (const [name, answer, ref, packet] of ROWS) {
    test(`[NEXT-3] ${name}`, () => assert.deepEqual(JSON.parse(formatNext(answer, ref)), { opcode: "next", fyi: "", ...packet }));
  }

  test("[NEXT-2] `fyi` and the ref are there, and all that the answer says, whatever it is", () => {
    holds(answer, fc.oneof(fc.integer(), anyText), (answer, ref) => {
      const next = { opcode: "next", fyi: "", ref, status: answer.status, ...answer.detail };
      assert.deepEqual(JSON.parse(formatNext(answer, ref)), JSON.parse(JSON.stringify(next)));
    });
  });

  test("[NEXT-2] the constant is what would be written without it", () => {
    assert.equal(formatNext(DONE, undefined), NEXT_DONE);
    assert.equal(formatNext(new Answer("done"), undefined), NEXT_DONE);
  });

  test("an app that returns nothing is answered with the constant", () => assert.equal(done(undefined), DONE));

  test("a result that is no JSON throws, for the hub to answer", () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    for (const result of [circular, 1n]) assert.throws(() => formatNext(done(result), 1), TypeError);
  });
});

describe("chapter 8: `next` in plain words", () => {
  const ROWS: readonly [answer: Answer, line: string][] = [
    [DONE, "next done"],
    [done("as it is"), "next done as it is"],
    [done({ a: [1, "b"] }), 'next done {"a":[1,"b"]}'],
    [done(null), "next done null"],
    [done(0), "next done 0"],
    [sent(14), "next sent 14"],
    [sent(0), "next sent 0"],
    [new Answer("sent", { n: 2, held: 1 }), "next sent 2"],
    [new Answer("held", { held: 3 }), "next held 3"],
    [GONE, "next gone"],
    [cancel("user"), "next cancel user"],
    [refused("unknown-command", "Expected another."), "next refused unknown-command Expected another."],
  ];
  for (const [answer, line] of ROWS) test(`[WORD-1] ${line}`, () => assert.equal(formatWords(answer), line));

  test("[WORD-1] the answer is exactly one line, whatever an app says", () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
    holds(answer, (answer) => assert.match(formatWords(answer), /^next [a-z]+[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$/));
  });

  test("[WORD-1] a result that is JSON stays the same JSON", () => {
    holds(fc.dictionary(anyText, jsonValue), (result) => {
      assert.deepEqual(JSON.parse(formatWords(done(result)).slice("next done ".length)), JSON.parse(JSON.stringify(result)));
    });
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { MAX_NAME, MAX_TAGS, tagsOf } from "../../protocol/index.js";
import { holds } from "./arbitraries.js";

const many = (count: number): object => Object.fromEntries(Array.from({ length: count }, (_, i) => [`tag${i}`, i]));
const tag = fc.oneof(fc.string({ maxLength: MAX_NAME }), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean());

describe("chapter 3: tags", () => {
  test("[STD-3] strings, numbers and booleans are tags, and stay what they are", () => {
    holds(fc.dictionary(fc.string({ maxLength: MAX_NAME }), tag, { minKeys: 1, maxKeys: MAX_TAGS }), (tags) => {
      assert.deepEqual(new Map(Object.entries(tagsOf(tags))), new Map(Object.entries(tags)));
    });
  });

  const GOOD: readonly [name: string, tags: object][] = [
    [`${MAX_TAGS} tags`, many(MAX_TAGS)],
    ["an empty text", { role: "" }],
    ["the longest text", { role: "x".repeat(MAX_NAME) }],
    ["the longest name", { ["x".repeat(MAX_NAME)]: 1 }],
  ];
  for (const [name, tags] of GOOD) test(`[STD-3] ${name}: allowed`, () => assert.deepEqual({ ...tagsOf(tags) }, tags));

  const BAD: readonly [name: string, tags: unknown, message: RegExp][] = [
    ["nothing", undefined, /`tags` .* 1 to 32 fields, got `undefined`/],
    ["null", null, /got null/],
    ["a text", "role", /got `role`/],
    ["an array", ["role"], /got an array/],
    ["no tag at all", {}, /1 to 32/],
    ["too many", many(MAX_TAGS + 1), /1 to 32/],
    ["a text that is too long", { role: "x".repeat(MAX_NAME + 1) }, /tag `role` .*256 characters/],
    ["a name that is too long", { ["x".repeat(MAX_NAME + 1)]: 1 }, /256 characters/],
    ["a tag of null", { role: null }, /tag `role` .*got null/],
    ["a list", { role: ["editor"] }, /tag `role` .*got an array/],
    ["an object", { role: {} }, /tag `role` .*got an object/],
  ];
  for (const [name, tags, message] of BAD) {
    test(`[STD-3] ${name}: refused`, () => assert.throws(() => tagsOf(tags), { name: "Refusal", code: "bad-message", message }));
  }

  test("[STD-3] a tag `__proto__` is a tag like any other, and no prototype", () => {
    const tags = tagsOf(JSON.parse('{"__proto__":"editor"}'));
    assert.deepEqual(Object.entries(tags), [["__proto__", "editor"]]);
    assert.equal(Object.getPrototypeOf(tags), null);
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { cutText, escapeControls, Fault, quoted, Refusal } from "../../protocol/index.js";
import { anyText, holds } from "./arbitraries.js";

/** What a terminal or a log could obey instead of showing. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const HARMFUL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;
const HALF_PAIR = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
const wholeText = fc.string({ unit: "binary" });

describe("two kinds of failure", () => {
  test("[NEXT-5] a refusal has a code that is stable and a sentence for people", () => {
    const { name, code, message } = new Refusal("busy", "Later.");
    assert.deepEqual({ name, code, message }, { name: "Refusal", code: "busy", message: "Later." });
  });

  test("[END-3] a fault has the close code of its kind", () => {
    const { name, kind, code, message } = new Fault("no-resource", "No.");
    assert.deepEqual({ name, kind, code, message }, { name: "Fault", kind: "no-resource", code: 4404, message: "No." });
  });
});

describe("text of a peer in a sentence for people", () => {
  const ROWS: readonly [name: string, text: string, shown: string][] = [
    ["a line end", "a\r\nb", String.raw`a\u000d\u000ab`],
    ["a terminal's escape sequence", "\u001b[2J", String.raw`\u001b[2J`],
    ["a C1 control", "\u009b2J", String.raw`\u009b2J`],
    ["delete and null", "\u007f\u0000", String.raw`\u007f\u0000`],
    ["a bidirectional override", "\u202egpj", String.raw`\u202egpj`],
    ["bidirectional embeddings", "\u202a\u202b\u202c\u202d", String.raw`\u202a\u202b\u202c\u202d`],
    ["bidirectional isolates", "\u2066\u2067\u2068\u2069", String.raw`\u2066\u2067\u2068\u2069`],
    ["line separators", "\u2028\u2029", String.raw`\u2028\u2029`],
    ["any other text", "Grüße, ünï, 😀 \\ `", "Grüße, ünï, 😀 \\ `"],
  ];
  for (const [name, text, shown] of ROWS) test(`${name}: shown, not obeyed`, () => assert.equal(escapeControls(text), shown));

  test("nothing harmful is left of any text, and nothing else is changed", () => {
    holds(anyText, (text) => {
      const escaped = escapeControls(text);
      assert.doesNotMatch(escaped, HARMFUL);
      assert.equal(escaped.length - text.length, [...text].filter((c) => HARMFUL.test(c)).length * 5);
    });
  });

  test("a cut text is its beginning, at most as long, and never ends in half a surrogate pair", () => {
    holds(wholeText, fc.nat({ max: 20 }), (text, max) => {
      const cut = cutText(text, max);
      assert.ok(text.startsWith(cut) && cut.length <= max && cut.length >= Math.min(text.length, max - 1));
      assert.doesNotMatch(cut, HALF_PAIR);
    });
  });

  for (const [max, cut] of [
    [0, ""],
    [1, "a"],
    [2, "a"],
    [3, "a😀"],
    [4, "a😀b"],
    [9, "a😀b"],
  ] as const) {
    test(`"a😀b" cut to ${max} is "${cut}"`, () => assert.equal(cutText("a😀b", max), cut));
  }

  const QUOTED: readonly [value: unknown, shown: string][] = [
    ["text", "`text`"],
    ["", "``"],
    ["a\nb", "`a\\u000ab`"],
    ["x".repeat(64), `\`${"x".repeat(64)}\``],
    ["x".repeat(65), `\`${"x".repeat(64)}…\``],
    [`${"x".repeat(63)}😀`, `\`${"x".repeat(63)}…\``],
    [5, "`5`"],
    [true, "`true`"],
    [undefined, "`undefined`"],
    [null, "null"],
    [["secret"], "an array"],
    [{ secret: 1 }, "an object"],
    [function secret() {}, "a function"],
  ];
  for (const [value, shown] of QUOTED) {
    test(`${typeof value === "function" ? "a function" : JSON.stringify(value)?.slice(0, 20)} is quoted as ${shown.slice(0, 20)}`, () => {
      assert.equal(quoted(value), shown);
    });
  }

  test("a quoted text is harmless and short, whatever it is", () => {
    const LONGEST_ESCAPE = 6;
    holds(fc.oneof(anyText, fc.anything()), (value) => {
      const shown = quoted(value);
      assert.doesNotMatch(shown, HARMFUL);
      assert.ok(shown.length <= 64 * LONGEST_ESCAPE + 3);
    });
  });

  test("a quoted text never has half a surrogate pair that was not there", () => {
    holds(wholeText, fc.nat({ max: 20 }), (text, max) => assert.doesNotMatch(quoted(text, max), HALF_PAIR));
  });
});

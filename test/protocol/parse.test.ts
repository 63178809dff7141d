import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { depthOf, parseMessage, parsePacket, Refusal, refOf } from "../../protocol/index.js";
import { holds, indent, jsonObject, jsonValue, textOf } from "./arbitraries.js";

const MAX_DEPTH = 64;
const parse = (text: string) => parseMessage(text, MAX_DEPTH);
const nested = (levels: number, inner = ""): string => "[".repeat(levels) + inner + "]".repeat(levels);
/** A packet of this many levels, its own included. */
const packetOf = (levels: number): string => `{"opcode":"x","a":${nested(levels - 1)}}`;

function refusalOf(text: string): Refusal | undefined {
  try {
    parse(text);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof Refusal, String(error));
    return error;
  }
}

describe("chapter 2: what a packet is", () => {
  test("[PKT-1] any object with an opcode is a packet, with all its fields", () => {
    holds(jsonObject, indent, (fields, indent) => {
      const text = JSON.stringify({ ...fields, opcode: "x" }, null, indent);
      const expected = JSON.parse(text) as object;
      // The one key that is dropped [PKT-4].
      if (Object.hasOwn(expected, "__proto__")) Reflect.deleteProperty(expected, "__proto__");
      assert.deepEqual(parse(text), expected);
    });
  });

  test("[PKT-4] of duplicate keys the last counts", () => {
    assert.equal(parse('{"opcode":"a","opcode":"b"}').opcode, "b");
  });

  const BAD: readonly [text: string, code: string][] = [
    ["", "bad-json"],
    ["nonsense", "bad-json"],
    ["{", "bad-json"],
    ['{"opcode":"x"', "bad-json"],
    ['{"opcode":"x"}}', "bad-json"],
    ['{"opcode":"x"} and more', "bad-json"],
    ["{'opcode':'x'}", "bad-json"],
    ['{"opcode":"x\n"}', "bad-json"],
    ['\ufeff{"opcode":"x"}', "bad-json"],
    ['{"opcode":NaN}', "bad-json"],
    ["null", "bad-message"],
    ["true", "bad-message"],
    ["5", "bad-message"],
    ['"opcode"', "bad-message"],
    ["[]", "bad-message"],
    ['[{"opcode":"x"}]', "bad-message"],
    ["{}", "bad-message"],
    ['{"Opcode":"x"}', "bad-message"],
    ['{"opcode":""}', "bad-message"],
    ['{"opcode":null}', "bad-message"],
    ['{"opcode":5}', "bad-message"],
    ['{"opcode":["x"]}', "bad-message"],
    [nested(MAX_DEPTH + 1), "too-deep"],
    [packetOf(MAX_DEPTH + 1), "too-deep"],
  ];
  for (const [text, code] of BAD) {
    test(`[PKT-5] ${code}: ${JSON.stringify(text.slice(0, 40))}`, () => assert.equal(refusalOf(text)?.code, code));
  }

  test("[PKT-5] a text is a packet or refused, never anything else", () => {
    const codes = new Set([undefined, "bad-json", "bad-message", "too-deep"]);
    holds(textOf("{", "}", "[", "]", '"', ":", ",", "\\", "opcode", '"opcode":"x"', "1", " "), (text) => {
      assert.ok(codes.has(refusalOf(text)?.code));
    });
  });
});

describe("chapter 2: what an error says", () => {
  test("[PKT-5] no sentence contains a piece of the text", () => {
    const parts = ["Ж", "{", "}", "[", "]", '"', ":", ",", "\\", "987654", "at position 987654", '{"opcode":', '{"opcode":"x","ref":'];
    holds(fc.array(fc.constantFrom(...parts)), (parts) => {
      const text = parts.join("");
      const { message } = refusalOf(text) ?? { message: "" };
      assert.doesNotMatch(message, /Ж|98765/, text);
    });
  });

  for (const text of ["at position 987654", "987654", '{"opcode":987654}', '{"opcode":"Ж" 987654']) {
    test(`[PKT-5] not even a number of it: ${text}`, () => assert.doesNotMatch(refusalOf(text)?.message ?? "", /Ж|987654/));
  }

  const SENTENCES: readonly [text: string, message: RegExp][] = [
    ['{"opcode":"x",}', /^Expected JSON, got a text of 15 characters that is not, stopped at character 14\.$/],
    ["nonsense", /^Expected JSON, got a text of 8 characters that is not/],
    ["[1]", /`opcode`, got an array\.$/],
    ["null", /`opcode`, got null\.$/],
    ['{"opcode":""}', /`opcode` .* got an empty string\.$/],
    ['{"opcode":{}}', /`opcode` .* got an object\.$/],
    [packetOf(65), /`maxDepth` 64 levels/],
  ];
  for (const [text, message] of SENTENCES) {
    test(`[NEXT-5] the sentence names the rule and what came: ${text.slice(0, 40)}`, () =>
      assert.match(refusalOf(text)?.message ?? "", message));
  }
});

describe("chapter 2: depth", () => {
  const count = (value: unknown): number =>
    typeof value === "object" && value !== null ? 1 + Math.max(0, ...Object.values(value).map(count)) : 0;

  test("[PKT-4] the depth read from the text is that of the value", () => {
    holds(jsonValue, indent, (value, indent) => {
      assert.equal(depthOf(JSON.stringify(value, null, indent), Number.POSITIVE_INFINITY), count(value));
    });
  });

  const DEPTHS: readonly [text: string, depth: number][] = [
    ["1", 0],
    ["{}", 1],
    ['"[[[["', 0],
    ['["[[","]]",[]]', 2],
    [String.raw`["\"[[", []]`, 2],
    [String.raw`["\\", [[]]]`, 3],
    [String.raw`["\\\"[[[[\\"]`, 1],
    [String.raw`{"\"{{":{"}":[]}}`, 3],
    ['"not ended [[', 0],
  ];
  for (const [text, depth] of DEPTHS) {
    test(`[PKT-4] ${text} has ${depth} levels`, () => assert.equal(depthOf(text, 100), depth));
  }

  test("[PKT-4] counting stops above what is enough to know", () => {
    assert.equal(depthOf("[".repeat(1_000_000), MAX_DEPTH), MAX_DEPTH + 1);
  });

  test("[PKT-4] the limit is the deepest level allowed", () => {
    assert.equal(parse(packetOf(MAX_DEPTH)).opcode, "x");
    assert.equal(refusalOf(packetOf(MAX_DEPTH + 1))?.code, "too-deep");
  });

  test("[PKT-4] the limit holds wherever it is set", () => {
    holds(fc.integer({ min: 2, max: 80 }), fc.integer({ min: 2, max: 80 }), (maxDepth, levels) => {
      const read = () => parseMessage(packetOf(levels), maxDepth);
      if (levels <= maxDepth) assert.equal(read().opcode, "x");
      else assert.throws(read, { code: "too-deep" });
    });
  });

  test("a client reads whatever its hub says, however deep", () => {
    assert.equal(parsePacket(packetOf(1_000)).opcode, "x");
  });

  test("[PKT-5] 100,000 levels are too deep, closed or not", () => {
    for (const text of [nested(100_000), packetOf(100_000), "[".repeat(100_000), '{"a":'.repeat(100_000)]) {
      assert.equal(refusalOf(text)?.code, "too-deep");
    }
  });
});

describe("chapter 4: ref", () => {
  for (const ref of [undefined, 0, 7, -1.5, "", "a name", "x".repeat(128)]) {
    test(`[NEXT-2] ${JSON.stringify(ref)?.slice(0, 20)} may be a ref`, () => assert.equal(refOf({ opcode: "x", ref }), ref));
  }

  for (const ref of [null, true, [], {}, "x".repeat(129)]) {
    test(`[NEXT-2] ${JSON.stringify(ref).slice(0, 20)} may not`, () => {
      assert.throws(() => refOf({ opcode: "x", ref }), { name: "Refusal", code: "bad-message", message: /`ref` .*128/ });
    });
  }
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { cookieOf } from "../../server/auth/cookies.js";
import { holds, textOf } from "../protocol/arbitraries.js";

describe("a cookie of a header", () => {
  const CASES: readonly [rule: string, header: string | undefined, value: string | undefined][] = [
    ["there is no header", undefined, undefined],
    ["the header is empty", "", undefined],
    ["it is the only one", "a=1", "1"],
    ["it is one of several", "x=0; a=1; y=2", "1"],
    ["without a blank behind the semicolon", "x=0;a=1;y=2", "1"],
    ["blanks and tabs around name and value do not count", " \ta \t=\t 1 ", "1"],
    ["the first of two counts", "a=1; a=2", "1"],
    ["an empty one is one", "a=; a=2", ""],
    ["a value may hold an equals sign", "a=b=c", "b=c"],
    ["nothing is decoded, and quotes stay", 'a="%41"', '"%41"'],
    ["upper and lower case are two names", "A=1", undefined],
    ["the end of another name is not its name", "ba=1; b-a=2", undefined],
    ["a name without a value is none", "a; a=1", "1"],
    ["what has no equals sign is none, even if it begins with the name", "ab; a=1", "1"],
    ["a value with the name in it is none", "x=a=1", undefined],
  ];
  for (const [rule, header, value] of CASES) test(rule, () => assert.equal(cookieOf(header, "a"), value));

  test("other white space belongs to the name: no page makes a cookie that is taken for one with the prefix __Host-", () => {
    for (const space of ["\u00a0", "\u2000", "\u0085", "\v", "\f", "\ufeff"]) {
      assert.equal(cookieOf(`${space}__Host-a=1`, "__Host-a"), undefined);
      assert.equal(cookieOf(`__Host-a${space}=1`, "__Host-a"), undefined);
    }
  });

  test("is what was set, whatever stands around it", () => {
    const other = textOf("b", "=", " ", "a", '"').map((text) => `x=${text.replaceAll(";", "")}`);
    holds(fc.array(other), fc.stringMatching(/^[\w.-]*$/), fc.array(other), (before, value, behind) => {
      assert.equal(cookieOf([...before, `a=${value}`, ...behind].join("; "), "a"), value);
    });
  });

  test("never throws", () => {
    holds(textOf("a", "=", ";", " ", "\t"), (header) => {
      const value = cookieOf(header, "a");
      assert.ok(value === undefined || header.includes(value));
    });
  });
});

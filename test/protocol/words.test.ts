import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { splitUuid, splitWord, UUID_LENGTH } from "../../protocol/index.js";
import { anyText, holds } from "./arbitraries.js";

const UUID = "6fd1a8e2-1c1b-4a52-9d0e-8f7f0a3b2c11";

describe("chapter 8: a line of plain words", () => {
  const ROWS: readonly [line: string, word: string, rest: string][] = [
    ["quit", "quit", ""],
    ["quit ", "quit", ""],
    ["echo a b", "echo", "a b"],
    ["echo  a ", "echo", " a "],
    ["echo\ta", "echo\ta", ""],
    [" echo", "", "echo"],
    ["", "", ""],
  ];
  for (const [line, word, rest] of ROWS) {
    test(`[WORD-1] a word, one blank, the rest as it is: ${JSON.stringify(line)}`, () => assert.deepEqual(splitWord(line), [word, rest]));
  }

  test("[WORD-1] nothing of a text is lost", () => {
    holds(anyText, (text) => assert.deepEqual(splitWord(`echo ${text}`), ["echo", text]));
  });

  test("[WORD-3] the UUID is the first argument", () => {
    assert.equal(UUID.length, UUID_LENGTH);
    holds(anyText, (text) => assert.deepEqual(splitUuid(`${UUID} ${text}`), [UUID, text]));
    assert.deepEqual(splitUuid(UUID), [UUID, ""]);
  });

  for (const args of ["", " ", "Hello from cron", UUID.slice(1), `${UUID}x text`, ` ${UUID} text`]) {
    test(`[WORD-3] anything else in its place is refused: ${JSON.stringify(args)}`, () => {
      assert.throws(() => splitUuid(args), { name: "Refusal", code: "bad-message", message: /UUID of 36 characters/ });
    });
  }
});

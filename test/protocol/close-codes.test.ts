import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CLOSE, mayReconnect } from "../../protocol/index.js";
import { table } from "./document.js";

const DOCUMENT = table("code").map(({ code, name, reconnect }) => ({ name, code: Number(code), reconnect: reconnect === "yes" }));
const ROWS = Object.entries(CLOSE).map(([name, row]) => ({ name, ...row }));

describe("chapter 10: close codes", () => {
  test("the code's table is the document's, row by row", () => assert.deepEqual(ROWS, DOCUMENT));

  test("a code has one meaning", () => assert.equal(new Set(ROWS.map(({ code }) => code)).size, ROWS.length));

  test("those for this protocol alone are from the range for that (RFC 6455, 7.4.2)", () => {
    for (const { code } of ROWS) assert.ok((code >= 1000 && code <= 1015) || (code >= 4000 && code <= 4999), String(code));
  });

  for (const { name, code, reconnect } of DOCUMENT) {
    test(`after ${code} ${name} a client ${reconnect ? "may" : "must not"} reconnect`, () => assert.equal(mayReconnect(code), reconnect));
  }

  test("after a code that is not in the table it may", () => assert.equal(mayReconnect(4999), true));
});

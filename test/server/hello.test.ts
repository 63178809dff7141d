import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Fault } from "../../protocol/index.js";
import { parseHello } from "../../server/hello.js";
import { holds, indent, jsonValue, textOf } from "../protocol/arbitraries.js";

const MAX_DEPTH = 64;
const anything = fc.oneof(jsonValue, fc.constantFrom<unknown>(1, 1.5, 2 ** 53, -1, 0, "5", true, null, {}, []));
const name = fc.oneof(anything, fc.string({ minLength: 250, maxLength: 260 }));
const manyTags = fc.dictionary(fc.string({ maxLength: 5 }), fc.oneof(fc.string(), fc.integer(), fc.boolean()), { maxKeys: 34 });

/** A hello whose fields have some right and some wrong types. */
const fields = fc.record(
  {
    window: anything,
    ident: name,
    tags: fc.oneof(anything, manyTags),
    resource: name,
    token: name,
    resume: name,
    seen: anything,
    attempt: anything,
    reload: anything,
    other: anything,
  },
  { requiredKeys: [] },
);

/** Every hello that is taken is one that the hub can work with; all others are the one fault. */
function check(text: string): void {
  try {
    const { window, ident = "", tags, resource = "", token = "", resume = "", seen = 0, attempt = 0, reload } = parseHello(text, MAX_DEPTH);
    assert.ok(Number.isSafeInteger(window) && window >= 1, `${window}`);
    for (const name of [ident, resource]) assert.ok(typeof name === "string" && name.length <= 256);
    for (const secret of [token, resume]) assert.equal(typeof secret, "string");
    for (const count of [seen, attempt]) assert.equal(typeof count, "number");
    assert.equal(typeof reload, "boolean");
    assert.ok(Object.keys(tags).length <= 32);
    for (const tag of Object.values(tags)) assert.ok(["string", "number", "boolean"].includes(typeof tag));
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    assert.equal(error.kind, "protocol");
    assert.match(error.message, /^Expected /);
  }
}

describe("chapter 3: a hello, whatever it says", () => {
  test("[OPEN-3] fields of any type are taken or the fault that closes with 1002, never anything else", () => {
    holds(fields, indent, (fields, indent) => check(JSON.stringify({ opcode: "hello", ...fields }, null, indent)));
  });

  test("[OPEN-3] so is any text", () => {
    holds(textOf("{", "}", '"opcode":"hello"', ",", '"window":', '"tags":', "1", '"', "[", "]", "null", "1e999", "-0"), check);
  });

  test("[OPEN-3] no sentence about it says what a secret is", () => {
    const secret = fc.constantFrom<unknown>(["s3cr3t"], { s3cr3t: "s3cr3t" });
    holds(fc.constantFrom("token", "resume"), secret, (name, secret) => {
      const text = JSON.stringify({ opcode: "hello", [name]: secret });
      assert.throws(
        () => parseHello(text, MAX_DEPTH),
        ({ message }: Error) => !message.includes("s3cr3t"),
      );
    });
  });
});

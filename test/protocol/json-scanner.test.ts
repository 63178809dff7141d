import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Fault, JsonScanner } from "../../protocol/index.js";
import { bytesOf, cutAt, cuts, holds, indent, jsonObject, textFrom } from "./arbitraries.js";

const space = fc.string({ unit: fc.constantFrom(" ", "\t", "\r", "\n"), maxLength: 3 });
const texts = fc.array(
  fc.tuple(jsonObject, indent, space).map(([object, indent, before]) => ({ before, text: JSON.stringify(object, null, indent) })),
  { maxLength: 5 },
);

function scan(parts: readonly Uint8Array[], limit = 100_000): { found: string[]; pending: number } {
  const scanner = new JsonScanner(limit);
  const found: string[] = [];
  for (const part of parts) {
    for (let next = scanner.next(part, 0); next; next = scanner.next(part, next.offset)) found.push(textFrom(next.text));
    part.fill(0); // What is pending must be the scanner's own.
  }
  return { found, pending: scanner.pending };
}

const scanText = (text: string, limit?: number) => scan([bytesOf(text)], limit);

describe("chapter 9: a packet ends with its closing brace", () => {
  test("[ORIG-1] objects one behind the other, cut anywhere, are found as they were written", () => {
    holds(texts, space, cuts, (texts, after, places) => {
      const stream = texts.map(({ before, text }) => before + text).join("") + after;
      const expected = { found: texts.map(({ text }) => text), pending: 0 };
      assert.deepEqual(scan(cutAt(bytesOf(stream), places)), expected);
    });
  });

  test("[ORIG-1] a byte at a time gives the same", () => {
    holds(texts, (texts) => {
      const stream = bytesOf(texts.map(({ text }) => text).join("\n"));
      assert.deepEqual(
        scan([...stream].map((byte) => new Uint8Array([byte]))).found,
        texts.map(({ text }) => text),
      );
    });
  });

  test("[ORIG-1] a text that is not ended is kept and not given", () => {
    assert.deepEqual(scanText('{"a":1}{"b":{}'), { found: ['{"a":1}'], pending: 7 });
  });

  test("[ORIG-1] brackets that do not fit end a text too: whether it is JSON is said by who reads it", () => {
    assert.deepEqual(scanText('{"a":1]{}').found, ['{"a":1]', "{}"]);
  });

  for (const text of ["[1]", "1", '"text"', "null", "bufferON", "}", "\ufeff{}", "{} x", "GET / HTTP/1.1\n"]) {
    test(`[ORIG-2] what is no object closes the connection: ${JSON.stringify(text)}`, () => {
      assert.throws(() => scanText(text), { name: "Fault", kind: "protocol", code: 1002, message: /JSON object/ });
    });
  }
});

describe("chapter 9, whatever comes", () => {
  const bytes = fc
    .array(
      fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...bytesOf('{}[]"\\ \n,:1')) }, { weight: 1, arbitrary: fc.nat({ max: 255 }) }),
      {
        maxLength: 60,
      },
    )
    .map((bytes) => Uint8Array.from([0x7b, ...bytes]));

  /** What is found, and why no more is. */
  function outcome(parts: readonly Uint8Array[], limit: number): { found: number[][]; end: unknown } {
    const scanner = new JsonScanner(limit);
    const found: number[][] = [];
    try {
      for (const part of parts)
        for (let next = scanner.next(part, 0); next; next = scanner.next(part, next.offset)) found.push([...next.text]);
      return { found, end: scanner.pending };
    } catch (error) {
      assert.ok(error instanceof Fault, String(error));
      return { found, end: error.kind };
    }
  }

  test("[ORIG-2] any bytes are texts or a fault, the same wherever they are cut", () => {
    holds(bytes, cuts, fc.integer({ min: 1, max: 60 }), (bytes, places, limit) => {
      const whole = outcome([bytes], limit);
      assert.deepEqual(outcome(cutAt(bytes, places), limit), whole);
      for (const text of whole.found) assert.ok(text[0] === 0x7b && text.length <= limit);
    });
  });
});

describe("chapter 11: a text has a limit", () => {
  const tooBig = { name: "Fault", kind: "too-big", code: 1009, message: /`maxMessage` 9 / };

  test("the limit counts the bytes of one text, white space around it does not", () => {
    assert.deepEqual(scanText('   {"a":"é"}   {"a":"é"}', 10).found, ['{"a":"é"}', '{"a":"é"}']);
    assert.throws(() => scanText('{"a":"é"}', 9), tooBig);
  });

  test("the limit holds however the text is cut, and before it has ended", () => {
    holds(fc.nat({ max: 200 }), cuts, (more, places) => {
      const text = bytesOf(`{"a":"${"x".repeat(2 + more)}`);
      if (text.length > 9) assert.throws(() => scan(cutAt(text, places), 9), tooBig);
      else assert.equal(scan(cutAt(text, places), 9).pending, text.length);
    });
  });

  test("above the limit the memory is free at once", () => {
    const scanner = new JsonScanner(9);
    scanner.next(bytesOf('{"a":"x'), 0);
    assert.throws(() => scanner.next(bytesOf("xxx"), 0), tooBig);
    assert.equal(scanner.pending, 0);
  });
});

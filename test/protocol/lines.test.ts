import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { LineFramer, LineTooLong } from "../../protocol/index.js";
import { bytesOf, cutAt, cuts, holds, textFrom } from "./arbitraries.js";

const LF = 0x0a;
const CR = 0x0d;

/** Bytes of a stream with many line ends in it. */
const stream = fc
  .array(fc.oneof(fc.constantFrom(LF, CR), fc.integer({ min: 0, max: 255 })), { maxLength: 60 })
  .map((bytes) => new Uint8Array(bytes));

/** All lines that a framer finds in these parts; `rest` is what `end` finds. */
function frame(parts: readonly Uint8Array[], limit = 1_000): { lines: number[][]; rest: number[] | undefined } {
  const framer = new LineFramer(limit);
  const lines: number[][] = [];
  for (const part of parts) {
    for (let found = framer.next(part, 0); found; found = framer.next(part, found.offset)) lines.push([...found.line]);
    part.fill(0); // What is pending must be the framer's own.
  }
  const rest = framer.end();
  return { lines, rest: rest && [...rest.line] };
}

/** The rule itself, on the whole stream. */
function split(bytes: Uint8Array): { lines: number[][]; rest: number[] | undefined } {
  const lines: number[][] = [[]];
  for (const byte of bytes) {
    if (byte === LF) lines.push([]);
    else lines.at(-1)?.push(byte);
  }
  for (const line of lines) if (line.at(-1) === CR) line.pop();
  const rest = lines.pop() as number[];
  return { lines: lines.filter(({ length }) => length > 0), rest: rest.length > 0 ? rest : undefined };
}

describe("chapter 2 on TCP: a packet is a line", () => {
  test("[PKT-2] any bytes, cut anywhere, give the same lines", () => {
    holds(stream, cuts, (bytes, places) => {
      const expected = split(bytes);
      assert.deepEqual(frame(cutAt(bytes, places)), expected);
    });
  });

  for (const [name, end] of [
    ["LF", "\n"],
    ["CRLF", "\r\n"],
  ] as const) {
    test(`[PKT-2] ${name} ends a line and is no part of it, and a line of nothing else is none`, () => {
      const { lines } = frame([bytesOf(`one${end}${end}two${end}`)]);
      assert.deepEqual(
        lines,
        ["one", "two"].map((line) => [...bytesOf(line)]),
      );
    });
  }

  test("[PKT-2] a CR elsewhere belongs to the line", () => {
    assert.deepEqual(frame([bytesOf("a\rb\r\r\n")]).lines, [[...bytesOf("a\rb\r")]]);
  });

  test("[PKT-3] a line cut inside a UTF-8 sequence is whole again", () => {
    const bytes = bytesOf("é€😀\n");
    for (let at = 0; at <= bytes.length; at++) {
      const { lines } = frame(cutAt(bytes, [at]));
      assert.equal(textFrom(new Uint8Array(lines[0] as number[])), "é€😀");
    }
  });

  test("[WORD-4] a last line without line end counts, an empty one does not", () => {
    assert.deepEqual(frame([bytesOf("one\ntwo")]), { lines: [[...bytesOf("one")]], rest: [...bytesOf("two")] });
    assert.equal(frame([bytesOf("one\n")]).rest, undefined);
  });
});

describe("chapter 11: a line has a limit", () => {
  for (const [name, end] of [
    ["LF", "\n"],
    ["CRLF", "\r\n"],
    ["the end of the stream", ""],
  ] as const) {
    test(`a line of exactly the limit may end with ${name}, one byte above it may not`, () => {
      const { lines, rest } = frame([bytesOf(`1234${end}`)], 4);
      assert.deepEqual(lines[0] ?? rest, [...bytesOf("1234")]);
      assert.throws(() => frame([bytesOf(`12345${end}`)], 4), LineTooLong);
    });
  }

  test("the limit counts bytes", () => {
    frame([bytesOf("éé\n")], 4);
    assert.throws(() => frame([bytesOf("ééé\n")], 5), { limit: 5, message: /5 bytes/ });
  });

  test("any bytes, cut anywhere: the lines in front of the first that is too long, and no other", () => {
    holds(stream, cuts, fc.nat({ max: 8 }), (bytes, places, limit) => {
      const { lines, rest } = split(bytes);
      const all = rest === undefined ? lines : [...lines, rest];
      const tooLong = all.findIndex((line) => line.length > limit);
      const found: number[][] = [];
      const read = (): void => {
        const framer = new LineFramer(limit);
        for (const part of cutAt(bytes, places))
          for (let next = framer.next(part, 0); next; next = framer.next(part, next.offset)) found.push([...next.line]);
        const last = framer.end();
        if (last) found.push([...last.line]);
      };
      if (tooLong === -1) read();
      else assert.throws(read, LineTooLong);
      assert.deepEqual(found, tooLong === -1 ? all : all.slice(0, tooLong));
    });
  });

  test("an endless line is refused before it ends, and its memory is free", () => {
    const framer = new LineFramer(4);
    framer.next(bytesOf("1234"), 0);
    assert.throws(() => framer.next(bytesOf("56"), 0), LineTooLong);
    assert.equal(framer.pending, 0);
  });

  test("the limit can change between two lines", () => {
    const framer = new LineFramer(2);
    const bytes = bytesOf("ab\nabcd\n");
    const first = framer.next(bytes, 0);
    framer.limit = 4;
    assert.equal(textFrom(framer.next(bytes, first?.offset ?? 0)?.line as Uint8Array), "abcd");
  });

  test("a byte at a time costs a byte each, not the buffer it came in", () => {
    const framer = new LineFramer(10_000);
    const length = 5_000;
    const text = Uint8Array.from({ length }, (_, i) => 0x61 + (i % 26));
    for (const byte of text) framer.next(new Uint8Array(65_536).fill(byte).subarray(0, 1), 0);
    assert.equal(framer.pending, length);
    const line = framer.next(new Uint8Array([LF]), 0)?.line as Uint8Array;
    assert.deepEqual(line, text);
    assert.ok(line.buffer.byteLength <= 2 * length, `${line.buffer.byteLength} bytes are held for a line of ${length}`);
    assert.equal(framer.pending, 0);
  });

  test("a line that came whole is not copied", () => {
    const bytes = bytesOf("whole\n");
    assert.equal(new LineFramer(10).next(bytes, 0)?.line.buffer, bytes.buffer);
  });
});

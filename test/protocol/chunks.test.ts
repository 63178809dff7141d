import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { BUFFER_OFF, BUFFER_ON, CHUNK_OVERHEAD, ChunkJoiner, Fault, splitChunks } from "../../protocol/index.js";
import { anyText, bytesOf, holds } from "./arbitraries.js";

const size = fc.integer({ min: BUFFER_OFF.length + 2, max: 40 });

describe("chapter 6, the sender: cutting", () => {
  test("[CHUNK-3] the pieces of any text, joined, are the text again", () => {
    holds(anyText, size, (text, size) => assert.equal(splitChunks(text, size).join(""), text));
  });

  test("[CHUNK-3] no cut is inside a surrogate pair", () => {
    holds(anyText, size, (text, size) => {
      const pieces = splitChunks(text, size);
      for (const [i, piece] of pieces.slice(1).entries()) {
        const before = pieces[i] as string;
        assert.doesNotMatch(`${before.at(-1)}${piece[0]}`, /^[\ud800-\udbff][\udc00-\udfff]$/);
      }
    });
  });

  test("[CHUNK-3] no piece equals a control word, whatever the text", () => {
    holds(anyText, size, (text, size) => {
      for (const word of [BUFFER_ON, BUFFER_OFF]) assert.ok(!splitChunks(text, size).includes(word));
    });
  });

  for (const word of [BUFFER_ON, BUFFER_OFF]) {
    test(`[CHUNK-3] a text that is all \`${word}\` is cut off it at every size`, () => {
      for (let times = 1; times <= 6; times++) {
        for (let size = 11; size <= 30; size++)
          assert.ok(!splitChunks(word.repeat(times), size).includes(word), `${times} times, size ${size}`);
      }
    });
  }

  test("no piece is empty, none longer than the size", () => {
    holds(anyText, size, (text, size) => {
      for (const piece of splitChunks(text, size)) assert.ok(piece.length > 0 && piece.length <= size);
    });
  });

  test("pieces are as long as the rules allow, but for the last two", () => {
    holds(anyText, size, (text, size) => {
      for (const piece of splitChunks(text, size).slice(0, -2)) assert.ok(piece.length >= size - 2);
    });
  });

  for (const size of [Number.NaN, 0, 10, 11.5, -20]) {
    test(`a size of ${size} is refused: a cut could not move off a control word`, () => {
      assert.throws(() => splitChunks("text", size), { name: "RangeError", message: new RegExp(`above 10 .*\`${size}\``) });
    });
  }
});

describe("chapter 6, the receiver: joining", () => {
  const maxMessage = 1_024;
  const tooBig = { name: "Fault", kind: "too-big", code: 1009, message: /`maxMessage` 1024/ };

  test("[CHUNK-1] pieces are joined as they came", () => {
    const joiner = new ChunkJoiner(maxMessage);
    for (const piece of [" a ", "", "b\n", "{"]) joiner.add(piece, piece.length);
    assert.equal(joiner.join(), " a b\n{");
  });

  test("[CHUNK-5] the limit counts bytes, not characters, and 64 for each piece", () => {
    new ChunkJoiner(maxMessage).add("é", maxMessage - CHUNK_OVERHEAD);
    assert.equal(CHUNK_OVERHEAD, 64);
    assert.throws(() => new ChunkJoiner(maxMessage).add("é", maxMessage - CHUNK_OVERHEAD + 1), tooBig);
  });

  test("[CHUNK-5] pieces of nothing are bounded too", () => {
    const joiner = new ChunkJoiner(maxMessage);
    for (let i = 0; i < maxMessage / CHUNK_OVERHEAD; i++) joiner.add("", 0);
    assert.throws(() => joiner.add("", 0), tooBig);
  });

  test("[CHUNK-5] above the limit the memory is free at once", () => {
    const joiner = new ChunkJoiner(maxMessage);
    joiner.add("kept", 4);
    assert.throws(() => joiner.add("too much", maxMessage), Fault);
    assert.equal(joiner.join(), "");
  });

  test("[CHUNK-5] any pieces are joined as they came, or refused with the one that passes the limit", () => {
    holds(fc.array(anyText, { maxLength: 30 }), (pieces) => {
      const joiner = new ChunkJoiner(maxMessage);
      let cost = 0;
      for (const [i, piece] of pieces.entries()) {
        const bytes = bytesOf(piece).length;
        cost += bytes + CHUNK_OVERHEAD;
        if (cost > maxMessage) {
          assert.throws(() => joiner.add(piece, bytes), tooBig);
          assert.equal(joiner.join(), "");
          return;
        }
        joiner.add(piece, bytes);
        assert.deepEqual([joiner.cost, joiner.join()], [cost, pieces.slice(0, i + 1).join("")]);
      }
    });
  });

  test("what the sender cut the receiver joins, whatever the text", () => {
    holds(anyText, size, (text, size) => {
      const joiner = new ChunkJoiner(Number.POSITIVE_INFINITY);
      for (const piece of splitChunks(text, size)) joiner.add(piece, piece.length);
      assert.equal(joiner.join(), text);
    });
  });
});

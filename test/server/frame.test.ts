import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Batch, Frame, sizeOf } from "../../server/frame.js";
import { webSocketEncoding } from "../../server/transports/websocket-frame.js";

describe("frames", () => {
  test("a small frame that is kept keeps its text, not a slab of buffers; a long one its bytes", () => {
    const batch = new Batch();
    for (const [text, lasts] of [
      ["ä".repeat(50), false],
      ["ä".repeat(5_000), true],
    ] as const) {
      const frame = new Frame(text);
      const size = sizeOf(frame, webSocketEncoding);
      const bytes = batch.join([frame], webSocketEncoding);
      assert.equal(batch.join([frame], webSocketEncoding), bytes, "within a turn the same bytes go to everybody");
      batch.clear();
      const again = frame.bytes(webSocketEncoding);
      assert.equal(again === bytes, lasts);
      assert.deepEqual(again, bytes);
      assert.equal(frame.text, text);
      assert.equal(sizeOf(frame, webSocketEncoding), size);
    }
  });

  test("a constant frame is made once", () => {
    const frame = Frame.constant("next", {});
    const batch = new Batch();
    const bytes = batch.join([frame], webSocketEncoding);
    batch.clear();
    assert.equal(frame.bytes(webSocketEncoding), bytes);
  });
});

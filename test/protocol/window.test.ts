import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { BUFFER_OFF, BUFFER_ON, ChunkJoiner, type Next, SendWindow } from "../../protocol/index.js";
import { holds, textOf } from "./arbitraries.js";

const CHUNK_SIZE = 12;

/** A message as the test knows it: how often, and with what, it was settled. */
interface Sent {
  readonly text: string;
  readonly answers: Next[];
  readonly errors: Error[];
}

/** What the receiver of the texts makes of them: messages again, and the number of the text that completed each. */
class Receiver {
  readonly messages: { text: string; last: number }[] = [];
  #joiner: ChunkJoiner | undefined;

  get insideBuffer(): boolean {
    return this.#joiner !== undefined;
  }

  take(text: string, number: number): void {
    if (this.#joiner && text !== BUFFER_OFF) this.#joiner.add(text, 0);
    else if (text === BUFFER_ON) this.#joiner = new ChunkJoiner(Number.POSITIVE_INFINITY);
    else this.#whole(this.#joiner ? this.#joiner.join() : text, number);
  }

  #whole(text: string, last: number): void {
    this.#joiner = undefined;
    this.messages.push({ text, last });
  }
}

/** A window, a receiver at its other end, and what is true of them at any time. */
class Dialog {
  readonly window = new SendWindow(CHUNK_SIZE);
  readonly sent: Sent[] = [];
  receiver = new Receiver();
  #taken = 0;
  #answered = 0;
  #open: Sent[] = [];

  push(text: string): void {
    const message: Sent = { text, answers: [], errors: [] };
    this.sent.push(message);
    this.#open.push(message);
    this.window.push(
      text,
      (next) => message.answers.push(next),
      (error) => message.errors.push(error),
    );
  }

  take(): void {
    const underWay = this.#taken - this.#answered;
    const message = this.#open[this.receiver.messages.length];
    const beginsInPieces = message !== undefined && message.text.length > CHUNK_SIZE && !this.receiver.insideBuffer;
    // Before `take`, for it changes what it looks at [CHUNK-6].
    const mayTake = underWay < this.window.credit && message !== undefined && (!beginsInPieces || underWay === 0);
    const text = this.window.take();
    assert.equal(text !== undefined, mayTake, `a text with ${underWay} under way and credit ${this.window.credit}`);
    if (text !== undefined) this.receiver.take(text, this.#taken++);
    assert.equal(this.window.insideBuffer, this.receiver.insideBuffer);
  }

  /** Answers the oldest text; one answer too many where nothing is under way. */
  answer(): void {
    const surplus = this.#answered === this.#taken;
    this.window.answered({ opcode: "next", fyi: "", status: "done", ref: surplus ? "surplus" : this.#answered });
    if (!surplus) this.#answered++;
  }

  /** The connection ends; the next one starts from nothing. */
  fail(): void {
    const error = new Error("lost");
    const waiting = this.#open.filter((message) => message.answers.length === 0);
    this.window.failAll(error);
    for (const message of waiting) assert.deepEqual(message.errors, [error]);
    assert.equal(this.window.credit, 0);
    this.receiver = new Receiver();
    this.#taken = 0;
    this.#answered = 0;
    this.#open = [];
  }

  check(): void {
    // Order is kept and pieces stand together, or other messages would come out.
    const received = this.receiver.messages;
    assert.deepEqual(
      received.map(({ text }) => text),
      this.#open.slice(0, received.length).map(({ text }) => text),
    );
    for (const [i, message] of this.#open.entries()) {
      const last = received[i]?.last ?? Number.POSITIVE_INFINITY;
      assert.deepEqual(
        message.answers.map(({ ref }) => ref),
        last < this.#answered ? [last] : [],
        "settled by the answer to its last text, once",
      );
    }
    assert.equal(this.window.unanswered, this.#open.filter((message) => message.answers.length === 0).length);
  }
}

type Step = (dialog: Dialog) => void;

const texts = textOf("😀", BUFFER_ON, BUFFER_OFF, "{}").filter((text) => text !== BUFFER_ON && text !== BUFFER_OFF);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: texts.map((text) => (dialog: Dialog) => dialog.push(text)) },
  { weight: 8, arbitrary: fc.constant((dialog: Dialog) => dialog.take()) },
  { weight: 6, arbitrary: fc.constant((dialog: Dialog) => dialog.answer()) },
  {
    weight: 2,
    arbitrary: fc.nat({ max: 5 }).map((credit) => (dialog: Dialog) => {
      dialog.window.credit = credit;
    }),
  },
  { weight: 1, arbitrary: fc.constant((dialog: Dialog) => dialog.fail()) },
);

/** A window with these messages and this credit. */
function windowWith(credit: number, ...texts: string[]): { window: SendWindow; settled: unknown[] } {
  const window = new SendWindow(CHUNK_SIZE);
  const settled: unknown[] = [];
  window.credit = credit;
  for (const text of texts) {
    window.push(
      text,
      ({ ref }) => settled.push([text, ref]),
      (error) => settled.push([text, error.message]),
    );
  }
  return { window, settled };
}

const next = (ref: number): Next => ({ opcode: "next", fyi: "", status: "done", ref });
const never = (): never => assert.fail("settled");
const takeAll = (window: SendWindow): string[] => {
  const all: string[] = [];
  for (let text = window.take(); text !== undefined; text = window.take()) all.push(text);
  return all;
};

describe("chapter 5, the sender's half: the window", () => {
  test("[WIN-1] whatever happens: credit is kept, order too, nothing is lost, each message is settled once", () => {
    holds(fc.array(step, { minLength: 1, maxLength: 80 }), (steps) => {
      const dialog = new Dialog();
      for (const step of steps) {
        step(dialog);
        dialog.check();
      }
    });
  });

  test("[NEXT-1] with answers to all texts every message is settled, in the order in which they were sent", () => {
    holds(fc.array(texts, { maxLength: 10 }), fc.integer({ min: 1, max: 8 }), (texts, credit) => {
      const { window, settled } = windowWith(credit, ...texts);
      let sent = 0;
      for (let answered = 0; answered <= sent; answered++) {
        sent += takeAll(window).length;
        window.answered(next(answered));
      }
      assert.deepEqual(
        settled.map((each) => (each as [string])[0]),
        texts,
      );
      assert.equal(window.unanswered, 0);
    });
  });

  test("[WIN-1] nothing is sent before `ready` gave credit", () => {
    const { window } = windowWith(0, "a");
    assert.equal(window.take(), undefined);
    window.credit = 1;
    assert.equal(window.take(), "a");
  });

  test("[WIN-2] a window of 2 has 2 texts under way, and the third follows the first answer", () => {
    const { window, settled } = windowWith(2, "a", "b", "c");
    assert.deepEqual(takeAll(window), ["a", "b"]);
    window.answered(next(1));
    assert.deepEqual(settled, [["a", 1]]);
    assert.deepEqual(takeAll(window), ["c"]);
  });

  test("[CHUNK-1] a long message takes credit for each of its texts; its answer is that of `bufferOFF`", () => {
    const { window, settled } = windowWith(1, "x".repeat(20), "after");
    const sent: (string | undefined)[] = [];
    for (let i = 0; i < 5; i++) {
      sent.push(...takeAll(window));
      window.answered(next(i));
    }
    assert.deepEqual(sent, [BUFFER_ON, "x".repeat(12), "x".repeat(8), BUFFER_OFF, "after"]);
    assert.deepEqual(settled, [
      ["x".repeat(20), 3],
      ["after", 4],
    ]);
  });

  test("[CHUNK-3] a message is cut above the chunk size, not at it", () => {
    assert.deepEqual(takeAll(windowWith(9, "x".repeat(12)).window), ["x".repeat(12)]);
    assert.equal(takeAll(windowWith(9, "x".repeat(13)).window).length, 4);
  });

  test("[CHUNK-2] inside a buffer is from `bufferON` to `bufferOFF`", () => {
    const { window } = windowWith(9, "x".repeat(13));
    const inside = [window.insideBuffer];
    while (window.take() !== undefined) inside.push(window.insideBuffer);
    assert.deepEqual(inside, [false, true, true, true, false]);
  });

  test("a surplus answer is ignored, and the next message gets its own", () => {
    const { window, settled } = windowWith(1, "a");
    window.answered(next(1));
    takeAll(window);
    window.answered(next(2));
    window.answered(next(3));
    assert.deepEqual(settled, [["a", 2]]);
    assert.equal(window.unanswered, 0);
  });

  test("at the end everybody who waits is told once: under way, half sent, not sent", () => {
    const { window, settled } = windowWith(3, "a", "b", "x".repeat(20), "c");
    takeAll(window);
    window.answered(next(0));
    window.failAll(new Error("lost"));
    assert.deepEqual(settled, [
      ["a", 0],
      ["b", "lost"],
      ["x".repeat(20), "lost"],
      ["c", "lost"],
    ]);
    window.failAll(new Error("again"));
    assert.equal(settled.length, 4);
    assert.deepEqual([window.unanswered, window.credit, window.insideBuffer], [0, 0, false]);
  });

  test("who is told of the end may send again, for the next connection", () => {
    const window = new SendWindow(CHUNK_SIZE);
    const again = (): void => window.push("again", never, never);
    window.push("a", never, again);
    window.failAll(new Error("lost"));
    window.credit = 1;
    assert.equal(window.unanswered, 1);
    assert.deepEqual(takeAll(window), ["again"]);
  });
});

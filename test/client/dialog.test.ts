import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ClientDialog, type DialogEvents, type Wire } from "../../client/dialog.js";
import { BUFFER_OFF, BUFFER_ON, type Close, type Packet } from "../../protocol/index.js";
import { TestClock } from "../support/clock.js";

const CHUNK_SIZE = 20;

/** A dialog whose wire is an array: what the client says is in `sent`, what the hub says goes in by `hear`. */
class Scripted implements Wire, DialogEvents {
  sent: string[] = [];
  readonly told: [what: string, packet: unknown][] = [];
  closed = false;
  /** What the page's code is still busy with, one for each push; none: it is done at once. */
  busy: (Promise<unknown> | undefined)[] = [];
  readonly clock = new TestClock();
  readonly dialog = new ClientDialog(this, { chunkSize: CHUNK_SIZE, after: (ms, callback) => this.clock.after(ms, callback) });

  send(text: string): void {
    this.sent.push(text);
  }

  close(): void {
    this.closed = true;
  }

  ready(ready: unknown): void {
    this.told.push(["ready", ready]);
  }

  push(packet: Packet): Promise<unknown> | undefined {
    this.told.push(["push", packet]);
    return this.busy.shift();
  }

  farewell(close: Close): void {
    this.told.push(["farewell", close]);
  }

  hear(packet: object): void {
    this.dialog.receive(JSON.stringify(packet));
  }

  /** The hub answers the oldest text. */
  answer(fields: object = { status: "done" }): void {
    this.hear({ opcode: "next", fyi: "", ...fields });
  }

  /** What was sent since the last look. */
  take(): string[] {
    return this.sent.splice(0);
  }

  /** A dialog of a page that can be taken up again. */
  static openPage(): Scripted {
    const scripted = new Scripted();
    scripted.dialog.open(scripted, {});
    scripted.hear({ ...READY, resumed: false, got: 0, owed: 0 });
    scripted.take();
    return scripted;
  }

  /** A dialog that the hub has greeted. */
  static open(window: number): Scripted {
    const scripted = new Scripted();
    scripted.dialog.open(scripted, { window });
    scripted.hear({ opcode: "ready", uuid: "the-uuid", window, limits: {}, time: 0 });
    scripted.take();
    return scripted;
  }
}

const READY = { opcode: "ready", uuid: "the-uuid", window: 4, limits: {}, time: 0, resume: "a secret", grace: 1_000 };
const a = { opcode: "a" };
const b = { opcode: "b" };
const c = { opcode: "c" };
const texts = (...packets: object[]): string[] => packets.map((packet) => JSON.stringify(packet));

describe("chapter 15, the client's half: opening", () => {
  test("`hello` is said first, and nothing else before `ready`", async () => {
    const hub = new Scripted();
    hub.dialog.open(hub, { window: 2, ident: undefined, tags: { role: "editor" } });
    const outcome = hub.dialog.send(a);
    hub.dialog.say(b);
    assert.deepEqual(hub.take(), texts({ opcode: "hello", window: 2, tags: { role: "editor" } }));
    hub.hear({ opcode: "ready", window: 2 });
    assert.deepEqual(hub.take().sort(), texts(a, b));
    hub.answer();
    assert.equal((await outcome).status, "done");
  });

  test("`ready` is told with all it says", () => {
    const hub = Scripted.open(3);
    assert.deepEqual(hub.told, [["ready", { opcode: "ready", uuid: "the-uuid", window: 3, limits: {}, time: 0 }]]);
  });
});

describe("chapter 15, the client's half: the window", () => {
  test("[WIN-1] as many messages are under way as `ready` granted; each `next` lets one more out", () => {
    const hub = Scripted.open(2);
    for (const packet of [a, b, c]) void hub.dialog.send(packet);
    assert.deepEqual(hub.take(), texts(a, b));
    hub.answer();
    assert.deepEqual(hub.take(), texts(c));
  });

  test("[NEXT-1] each `next` belongs to the oldest message", async () => {
    const hub = Scripted.open(3);
    const outcomes = [a, b, c].map((packet) => hub.dialog.send(packet));
    hub.answer({ status: "sent", n: 14 });
    hub.answer({ status: "done", result: { x: 1 } });
    hub.answer({ status: "gone", ref: 7 });
    assert.deepEqual(await Promise.all(outcomes), [{ status: "sent", n: 14 }, { status: "done", result: { x: 1 } }, { status: "gone" }]);
  });

  test("[NEXT-5] a refused message rejects with code and sentence, and the next one is served", async () => {
    const hub = Scripted.open(1);
    const refused = hub.dialog.send(a);
    const served = hub.dialog.send(b);
    hub.answer({ status: "refused", error: { code: "busy", message: "Later." } });
    hub.answer();
    await assert.rejects(refused, { name: "RefusedError", code: "busy", message: "Later." });
    assert.deepEqual(await served, { status: "done" });
  });

  test("a message that is no JSON rejects, and costs no credit", async () => {
    const hub = Scripted.open(1);
    await assert.rejects(hub.dialog.send({ opcode: "a", big: 1n }), TypeError);
    void hub.dialog.send(b);
    assert.deepEqual(hub.take(), texts(b));
  });

  test("[WIN-5] what needs no credit is said at once, with all credit used up, and earns none", () => {
    const hub = Scripted.open(1);
    void hub.dialog.send(a);
    void hub.dialog.send(b);
    hub.dialog.say({ opcode: "cancel" });
    assert.deepEqual(hub.take(), texts(a, { opcode: "cancel" }));
    hub.answer();
    assert.deepEqual(hub.take(), texts(b));
  });

  test("a surplus `next` is ignored", async () => {
    const hub = Scripted.open(1);
    hub.answer({ status: "gone" });
    const outcome = hub.dialog.send(a);
    hub.answer({ status: "done" });
    hub.answer({ status: "gone" });
    assert.deepEqual(await outcome, { status: "done" });
  });
});

describe("chapter 15, the client's half: long messages", () => {
  const long = { opcode: "long", text: "x".repeat(25) };

  test("[CHUNK-1] a long message goes in pieces between the control words, each with credit of its own", async () => {
    const hub = Scripted.open(1);
    const outcome = hub.dialog.send(long);
    const sent: string[] = [];
    for (let i = 0; i < 5; i++) {
      assert.equal(hub.sent.length, 1);
      sent.push(...hub.take());
      hub.answer({ status: "done", result: i });
    }
    assert.deepEqual([sent[0], sent[4]], [BUFFER_ON, BUFFER_OFF]);
    assert.equal(sent.slice(1, 4).join(""), JSON.stringify(long));
    assert.deepEqual(await outcome, { status: "done", result: 4 });
  });

  test("[CHUNK-2] nothing comes between the pieces, not even what needs no credit", () => {
    const hub = Scripted.open(2);
    void hub.dialog.send(long);
    void hub.dialog.send(a);
    hub.dialog.say({ opcode: "cancel" });
    const sent = hub.take();
    for (let i = 0; i < 6; i++) {
      hub.answer();
      sent.push(...hub.take());
    }
    assert.deepEqual(sent.slice(4), [BUFFER_OFF, ...texts({ opcode: "cancel" }, a)]);
  });
});

describe("chapter 15, the client's half: what the hub says", () => {
  test("what is neither `next`, `ready` nor `close` is a push, whatever its fields", () => {
    const hub = Scripted.open(1);
    const packets = [
      { opcode: "feedback", message: { ref: 1 } },
      { opcode: "question", ask: 3 },
      { opcode: "cancel", status: "refused" },
    ];
    for (const packet of packets) hub.hear(packet);
    assert.deepEqual(
      hub.told.slice(1),
      packets.map((packet) => ["push", packet]),
    );
  });

  test("[END-3] why it closes is told", () => {
    const hub = Scripted.open(1);
    hub.hear({ opcode: "close", code: 4404, error: "No." });
    assert.deepEqual(hub.told[1], ["farewell", { opcode: "close", code: 4404, error: "No." }]);
  });

  for (const text of ["HTTP/1.1 400 Bad Request", "", "null", "5", "[]", "{}", '{"opcode":5}', "next done"]) {
    test(`[PKT-1] who says ${JSON.stringify(text)} is no hub: the connection ends, with a sentence, and nothing throws`, async () => {
      const hub = new Scripted();
      hub.dialog.open(hub, {});
      hub.dialog.receive(text);
      assert.equal(hub.closed, true);
      const [[what, close] = []] = hub.told;
      assert.equal(what, "farewell");
      assert.equal((close as Close).code, 1002);
      assert.match((close as Close).error, /no hub/);
    });
  }
});

describe("chapter 15, the client's half: the end", () => {
  test("whoever waits is told that the answer will not come, whether it was sent or not", async () => {
    const hub = Scripted.open(1);
    const outcomes = [a, b, { opcode: "long", text: "x".repeat(25) }].map((packet) => hub.dialog.send(packet));
    hub.dialog.closed(1012, "The hub is being restarted.");
    for (const outcome of outcomes) {
      await assert.rejects(outcome, { name: "ClosedError", code: 1012, message: "The hub is being restarted." });
    }
  });

  test("nothing is sent any more", () => {
    const hub = Scripted.open(2);
    hub.dialog.closed(1006, "");
    void hub.dialog.send(a);
    hub.dialog.say(b);
    hub.answer();
    assert.deepEqual(hub.take(), []);
  });
});

/** Promises that were waited for have been heard. */
const settled = (): Promise<void> => new Promise(setImmediate);

describe("14 Resume: what the page's code has not finished with", () => {
  const waited = { opcode: "w", wait: "page" };

  test("[RES-8] seen is said when the promise has settled, and never past a packet that is not finished", async () => {
    const page = Scripted.openPage();
    let finish = (): void => {};
    page.busy = [
      new Promise<void>((resolve) => {
        finish = resolve;
      }),
      undefined,
    ];
    page.hear(waited);
    page.hear(waited);
    await settled();
    assert.deepEqual(page.take(), []);
    finish();
    await settled();
    assert.deepEqual(
      page.take().map((text) => JSON.parse(text)),
      [{ opcode: "seen", n: 2 }],
    );
  });

  test("[RES-8] seen is said once for all that came within twenty seconds of the first, or as soon as that is 64 KiB", () => {
    const page = Scripted.openPage();
    const said = (): unknown[] => page.take().map((text) => JSON.parse(text));
    for (let n = 1; n <= 3; n++) {
      page.hear({ opcode: "x", n });
      page.clock.advance(6_600);
      assert.deepEqual(said(), []);
    }
    page.clock.advance(200);
    assert.deepEqual(said(), [{ opcode: "seen", n: 3 }]);
    page.clock.advance(60_000);
    assert.deepEqual(said(), [], "nothing has come");
    // A character may take three bytes.
    page.hear({ opcode: "x", text: "x".repeat(65_536 / 3 - 400) });
    assert.deepEqual(said(), []);
    page.hear({ opcode: "x", text: "x".repeat(200) });
    assert.deepEqual(said(), [{ opcode: "seen", n: 5 }]);
    page.clock.advance(60_000);
    assert.deepEqual(said(), []);
  });

  test("[RES-4] a drop meanwhile: the hello counts what is finished, what comes once more is passed over", async () => {
    const page = Scripted.openPage();
    page.busy = [undefined, new Promise(() => {})];
    page.hear({ opcode: "x", n: 1 });
    page.hear({ opcode: "x", n: 2 });
    page.hear({ opcode: "x", n: 3 });
    page.dialog.closed(1006, "");
    page.dialog.open(page, {});
    assert.equal(JSON.parse(page.take()[0] as string).seen, 1);
    page.hear({ ...READY, resumed: true, got: 0, owed: 0 });
    for (const n of [2, 3, 4]) page.hear({ opcode: "x", n });
    const heard = page.told.filter(([what]) => what === "push").map(([, packet]) => (packet as Packet).n);
    assert.deepEqual(heard, [1, 2, 3, 4]);
  });

  test("[RES-9] a reload meanwhile: the packet comes once more, to the new page", () => {
    const page = Scripted.openPage();
    page.busy = [new Promise(() => {})];
    page.hear(waited);
    const reloaded = new Scripted();
    assert.ok(page.dialog.snapshot);
    reloaded.dialog.restore(page.dialog.snapshot);
    reloaded.dialog.open(reloaded, {});
    assert.equal(JSON.parse(reloaded.take()[0] as string).seen, 0);
    reloaded.hear({ ...READY, resumed: true, got: 0, owed: 0 });
    reloaded.hear(waited);
    assert.deepEqual(reloaded.told.at(-1), ["push", waited]);
  });
});

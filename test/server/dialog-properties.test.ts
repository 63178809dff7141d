import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { BUFFER_OFF, BUFFER_ON, CREDIT_FREE, type Packet, Refusal } from "../../protocol/index.js";
import type { App } from "../../server/app.js";
import { type Dialect, jsonDialect, originalDialect } from "../../server/dialect.js";
import { holds } from "../protocol/arbitraries.js";
import { LoopbackHub, type LoopbackPeer } from "../support/loopback.js";

const MAX_MESSAGE = 2_048;
/** ms; the hub looks about once a second. */
const TIMEOUT = 10_000;

/** An app whose `slow` messages are settled at will, without a turn of the event loop. */
class SlowApp implements App {
  readonly name = "slow";
  readonly started: unknown[] = [];
  /** How each was settled, by its ref. */
  readonly settled = new Map<unknown, Ending>();
  readonly #open: { readonly ref: unknown; settle(how: Ending): void }[] = [];
  readonly opcodes = {
    slow: ({ ref }: Packet) => {
      this.started.push(ref);
      // biome-ignore lint/suspicious/noThenProperty: what settles at once is needed here, and a promise does not
      return { then: (resolve: (value: unknown) => void, reject: (error: unknown) => void) => this.#await(ref, resolve, reject) };
    },
    now: ({ ref }: Packet) => {
      this.started.push(ref);
      return ref;
    },
    fails: ({ ref }: Packet) => {
      this.started.push(ref);
      throw new Error("on purpose");
    },
  };

  get underWay(): number {
    return this.#open.length;
  }

  /** One of those under way. It says so twice, and the first word counts. */
  settle(place: number, how: Ending): void {
    const [message] = this.#open.splice(place % Math.max(1, this.#open.length), 1);
    if (message === undefined) return;
    this.settled.set(message.ref, how);
    message.settle(how);
    message.settle("done");
  }

  #await(ref: unknown, resolve: (value: unknown) => void, reject: (error: unknown) => void): void {
    const settle = (how: Ending): void => {
      if (how === "done") resolve(how);
      else reject(how === "no" ? new Refusal(how, "No.") : new Error("on purpose"));
    };
    this.#open.push({ ref, settle });
  }
}

/** What a `slow` message comes to: the status or the code of its answer. */
type Ending = "done" | "no" | "app-error";

/** How somebody speaks. */
interface Manner {
  readonly dialect: Dialect;
  readonly kind: "page" | "backend";
  readonly window: number | undefined;
  readonly maxRate: number;
}

/** One peer, and beside it what PROTOCOL.md says of it, as simply as it can be said. */
class World {
  readonly app = new SlowApp();
  readonly loop: LoopbackHub;
  readonly peer: LoopbackPeer;
  /** Texts for which there is to be one `next` each. */
  messages = 0;
  /** Refs in the order in which they were said. */
  lastRef = 0;
  /** The highest ref that was said before the end. */
  lastServed = Number.POSITIVE_INFINITY;
  readonly nexts: Packet[] = [];
  /** Pieces that have come, where a buffer is on. */
  #pieces: string[] | undefined;
  #lost = false;
  #closed = false;

  constructor(private readonly manner: Manner) {
    const limits = { maxMessage: MAX_MESSAGE, appTimeout: TIMEOUT, bufferTimeout: TIMEOUT, maxRate: manner.maxRate };
    this.loop = new LoopbackHub({ apps: [this.app], limits });
    const { dialect, kind, window } = manner;
    this.peer = this.loop.peer({ dialect, kind, ...(window === undefined ? undefined : { hello: { window } }) });
  }

  say(text: string): void {
    this.#note(text);
    this.peer.say(text);
    this.check();
  }

  /** What is said in the transport's name: a frame that is too long, and bytes that are no text. */
  tooLong(): void {
    this.peer.connection.fault("too-big", "A frame exceeds `maxMessage`.");
    this.check();
  }

  notText(): void {
    this.messages++;
    this.peer.connection.receive(new Refusal("bad-utf8", "This is no text."), 10);
    this.check();
  }

  lose(why: string): void {
    this.#lost = true;
    this.peer.connection.lost(why);
    this.check();
  }

  /** What is to come of a text, if it is served at all. */
  #note(text: string): void {
    const { chunks } = this.manner.dialect;
    if (chunks && this.#pieces && text === BUFFER_OFF) {
      this.#message(this.#pieces.join(""));
      this.#pieces = undefined;
    } else if (chunks && text === BUFFER_ON) {
      this.messages++;
      this.#pieces ??= [];
    } else if (this.#pieces) {
      this.messages++;
      this.#pieces.push(text);
    } else this.#message(text);
  }

  #message(text: string): void {
    const { pushes, quitAnswered } = this.manner.dialect;
    const opcode = opcodeOf(text);
    const creditFree = CREDIT_FREE.has(opcode) && (pushes || opcode === "quit");
    if (!creditFree || (opcode === "quit" && quitAnswered)) this.messages++;
    if (opcode === "quit") this.lastServed = Math.min(this.lastServed, this.lastRef);
  }

  check(): void {
    for (const packet of this.peer.read()) {
      assert.ok(!this.#closed, "nothing comes behind `close`");
      if (packet.opcode === "next") this.#next(packet);
      else if (packet.opcode === "close") this.#closed = true;
    }
    assert.ok(this.nexts.length <= this.messages, `${this.nexts.length} answers to ${this.messages} messages`);
    const refs = this.nexts.flatMap(({ ref }) => ref ?? []) as number[];
    assert.deepEqual(
      refs,
      [...new Set(refs)].sort((a, b) => a - b),
      "each once, in the order of the messages",
    );
    assert.deepEqual(
      this.app.started,
      [...new Set(this.app.started as number[])].sort((a, b) => a - b),
      "handled once, in that order",
    );
    for (const ref of [...refs, ...(this.app.started as number[])]) assert.ok(ref <= this.lastServed, "nothing behind `quit` is served");
  }

  #next(packet: Packet): void {
    this.nexts.push(packet);
    const said = (packet.error as { code?: string } | undefined)?.code ?? packet.status;
    const expected = this.app.settled.get(packet.ref);
    if (expected !== undefined && said !== "app-timeout") assert.equal(said, expected);
  }

  /** Time for all that is to come; a peer whose connection holds has its answers then. */
  end(): void {
    this.peer.unstick();
    for (let i = 0; i < 4 && this.#pieces === undefined; i++) {
      while (this.app.underWay > 0) this.app.settle(0, "done");
      this.loop.clock.advance(TIMEOUT * 2);
      this.check();
    }
    const holds = !this.#lost && !this.#closed && this.peer.connection.state === "open" && this.#pieces === undefined;
    if (holds) assert.equal(this.nexts.length, this.messages, "exactly one `next` for each message [NEXT-1]");
  }
}

function opcodeOf(text: string): string {
  try {
    return String((JSON.parse(text) as Packet | null)?.opcode);
  } catch {
    return "";
  }
}

type Step = (world: World) => void;

const says = (build: (ref: number) => string): Step => {
  return (world) => world.say(build(++world.lastRef));
};
const packetOf =
  (opcode: string, more: object = {}) =>
  (ref: number): string =>
    JSON.stringify({ opcode, ref, ...more });

const creditFree = fc.constantFrom<object>(
  { opcode: "seen", n: 0 },
  { opcode: "seen", n: 1 },
  { opcode: "cancel" },
  { opcode: "cancel", uuid: "nobody" },
  { opcode: "reply", ask: 1 },
  { opcode: "reply", ask: null, error: {} },
);
const broken = fc.constantFrom(
  "",
  "nonsense",
  "{",
  "[]",
  "null",
  '{"opcode":5}',
  '{"opcode":"hello"}',
  '{"opcode":"now","ref":{}}',
  "[".repeat(200),
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("slow", "now", "fails", "echo", "unknown").map((opcode) => says(packetOf(opcode))) },
  { weight: 4, arbitrary: fc.constantFrom(BUFFER_ON, BUFFER_OFF, BUFFER_OFF).map((text) => (world: World) => world.say(text)) },
  { weight: 2, arbitrary: broken.map((text) => (world: World) => world.say(text)) },
  { weight: 2, arbitrary: creditFree.map((packet) => (world: World) => world.say(JSON.stringify(packet))) },
  { weight: 1, arbitrary: fc.nat({ max: MAX_MESSAGE * 2 }).map((size) => says(packetOf("now", { text: "x".repeat(size) }))) },
  { weight: 1, arbitrary: fc.constant((world: World) => world.notText()) },
  {
    weight: 6,
    arbitrary: fc.tuple(fc.nat(), fc.constantFrom<Ending>("done", "no", "app-error")).map(([place, how]) => (world: World) => {
      world.app.settle(place, how);
      world.check();
    }),
  },
  {
    weight: 3,
    arbitrary: fc.nat({ max: TIMEOUT }).map((ms) => (world: World) => {
      world.loop.clock.advance(ms);
      world.check();
    }),
  },
  {
    weight: 1,
    arbitrary: fc.boolean().map((stuck) => (world: World) => {
      if (stuck) world.peer.stuck = true;
      else world.peer.unstick();
      world.check();
    }),
  },
);
/** What ends a connection, and what is said behind it. */
const ends: fc.Arbitrary<Step> = fc.oneof(
  fc.constant((world: World) => world.say('{"opcode":"quit"}')),
  fc.constant((world: World) => world.tooLong()),
  fc.constantFrom("lost", "left", "going-away", "heartbeat").map((why) => (world: World) => world.lose(why)),
  fc.constant((world: World) => world.say('{"opcode":"seen","n":99999}')),
);

const manner: fc.Arbitrary<Manner> = fc.record({
  dialect: fc.constantFrom(jsonDialect, originalDialect),
  kind: fc.constantFrom("page", "backend"),
  window: fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }),
  maxRate: fc.constantFrom(Number.MAX_SAFE_INTEGER, 2),
});

function run(manner: Manner, steps: readonly Step[]): World {
  const world = new World(manner);
  for (const step of steps) step(world);
  world.end();
  return world;
}

describe("chapters 4 to 6 and 10, whatever a peer says", () => {
  test("[NEXT-1] each message has exactly one `next`, in the order of the messages, and never more are under way than the window allows", () => {
    holds(manner, fc.array(step, { maxLength: 60 }), (manner, steps) => {
      const world = new World(manner);
      for (const step of steps) {
        step(world);
        assert.ok(world.app.underWay <= (manner.window ?? 1) || world.loop.clock.now() >= TIMEOUT, "[WIN-2]");
      }
      world.end();
    });
  });

  test("[END-1] [END-4] however it ends, nothing throws, nothing is answered twice, and nothing behind `quit` is served", () => {
    const steps = fc.array(step, { maxLength: 25 });
    holds(manner, steps, ends, steps, (manner, before, end, after) => void run(manner, [...before, end, ...after]));
  });

  test("the model is worth something: with a wide window and quick handlers all is served", () => {
    const world = run({ dialect: jsonDialect, kind: "page", window: 8, maxRate: Number.MAX_SAFE_INTEGER }, [
      says(packetOf("now")),
      (world) => world.say(BUFFER_ON),
      says(packetOf("now")),
      (world) => world.say(BUFFER_OFF),
      says(packetOf("slow")),
      (world) => world.say('{"opcode":"cancel"}'),
      (world) => world.say('{"opcode":"quit"}'),
      says(packetOf("now")),
    ]);
    assert.deepEqual(world.app.started, [1, 2, 3]);
    assert.deepEqual(
      world.nexts.map(({ ref, status }) => [ref, status]),
      [
        [1, "done"],
        [undefined, "done"],
        [undefined, "done"],
        [2, "done"],
        [3, "done"],
      ],
    );
  });
});

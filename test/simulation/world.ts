import assert from "node:assert/strict";
import { ClientDialog, type Outcome } from "../../client/dialog.js";
import { ClosedError } from "../../client/errors.js";
import { CLOSE, type Packet, type Ready } from "../../protocol/index.js";
import type { Connection } from "../../server/connection.js";
import { LoopbackHub, type LoopbackPeer } from "../support/loopback.js";
import type { Random } from "./random.js";
import { SimulatedWire } from "./wire.js";

/** What one sender said to one page, and what became of it. */
interface Told {
  readonly sender: number;
  readonly n: number;
  readonly key: string | undefined;
  status: string | undefined;
}

/** One life of a page, under one UUID. */
interface Life {
  readonly uuid: string;
  seen: { sender: number; n: number; key: string | undefined }[];
  /** What its code has finished with. */
  readonly finished: Set<number>;
  readonly told: Told[];
  readonly asked: { n: number; outcome: Outcome | Error | "reloaded" | undefined }[];
  /** It was replaced by a new page, and its client was told. */
  over: boolean;
}

/** After which a page has said what it has seen, ms [RES-8]. */
const SEEN_DUE = 20_100;
const GRACE = 30_000;
/** Messages at once: often more than may wait for one page. */
const BURST = 30;

/** Hub, pages and senders of one simulation. Everything that happens is drawn from `random`. */
export class World {
  readonly loop: LoopbackHub;
  readonly pages: SimulatedPage[];
  readonly senders: LoopbackPeer[];
  /** What the app handled, by UUID. */
  readonly handled = new Map<string, number[]>();
  /** Why pages were new ones. */
  readonly reasons: string[] = [];
  #unsettled: (() => void)[] = [];
  #n = 0;

  constructor(readonly random: Random) {
    const work = (packet: Packet, peer: { uuid: string }): unknown => {
      const list = this.handled.get(peer.uuid) ?? [];
      this.handled.set(peer.uuid, list);
      list.push(packet.n as number);
      if (random.chance(0.5)) return packet.n;
      return new Promise((resolve) => this.#unsettled.push(() => resolve(packet.n)));
    };
    this.loop = new LoopbackHub({
      apps: [{ name: "work", opcodes: { work } }],
      limits: { maxQueued: 82_000, maxMessage: 16_400, maxKept: 66_560, grace: GRACE, appTimeout: 2 ** 31 - 1 },
    });
    this.senders = [0, 1].map(() => this.loop.peer({ kind: "backend", hello: { window: 256 } }));
    this.pages = [0, 1, 2].map(() => new SimulatedPage(this));
  }

  /** Everybody the hub knows. */
  get peers(): Iterable<Connection> {
    return this.loop.hub.peers;
  }

  /** One thing happens. */
  step(): void {
    const { random } = this;
    const page = random.pick(this.pages);
    const what = random.below(100);
    if (what < 1) for (let i = 0; i < BURST; i++) this.#tell(page);
    else if (what < 30) this.#tell(page);
    else if (what < 45) page.ask(++this.#n);
    else if (what < 75) page.carry(random.pick([1, 7, 60, 500, 5_000, 5_000, 5_000]), 0.7);
    else if (what < 80) page.cut();
    else if (what < 84) for (let i = random.below(2); i >= 0; i--) page.reconnect();
    else if (what < 86) page.reload();
    else if (what < 88) page.hubNotices();
    else if (what < 94) this.settleSome();
    else this.loop.clock.advance(random.pick([1, 100, SEEN_DUE, 6_000, random.chance(0.1) ? GRACE + 2_000 : 10]));
    this.loop.clock.endTurn();
  }

  /** For what sometimes takes a while. */
  maybeLater(): Promise<void> | undefined {
    if (this.random.chance(0.7)) return undefined;
    return new Promise((resolve) => this.#unsettled.push(resolve));
  }

  settleSome(): void {
    for (const settle of this.#unsettled.splice(0, 1 + this.random.below(3))) settle();
  }

  /** All faults end; everything that can still arrive does. */
  async heal(): Promise<void> {
    for (const page of this.pages) page.reconnect();
    let quiet = 0;
    for (let round = 0; round < 2_000; round++) {
      while (this.#unsettled.length > 0) this.settleSome();
      await null;
      this.loop.clock.advance(round % 10 === 0 ? SEEN_DUE : 1);
      let idle = true;
      for (const page of this.pages) {
        page.comeBack();
        idle = page.carry(100_000) && idle;
      }
      this.loop.clock.endTurn();
      this.readAnswers();
      quiet = idle ? quiet + 1 : 0;
      if (quiet > 20) return;
    }
    assert.fail("it never came to rest");
  }

  readAnswers(): void {
    for (const sender of this.senders) {
      for (const packet of sender.read()) if (packet.opcode === "next") this.#answer(packet);
    }
  }

  readonly #open = new Map<unknown, Told>();

  #tell(page: SimulatedPage): void {
    const { random } = this;
    const life = page.life;
    if (life === undefined) return;
    const sender = random.below(this.senders.length);
    const n = ++this.#n;
    const key = random.chance(0.4) ? random.pick(["a", "b"]) : undefined;
    const told: Told = { sender, n, key, status: undefined };
    const options = random.chance(0.15) ? { wait: "page" } : random.chance(0.05) ? { volatile: true } : {};
    const message = { sender, n, filler: "x".repeat(random.pick([0, 0, 10, 3_000, 15_000])) };
    life.told.push(told);
    this.#open.set(n, told);
    (this.senders[sender] as LoopbackPeer).say({
      opcode: "feedback",
      ref: n,
      uuid: life.uuid,
      message,
      ...(key ? { key } : {}),
      ...options,
    });
    this.readAnswers();
  }

  #answer(packet: Packet): void {
    const told = this.#open.get(packet.ref);
    assert.ok(told, `an answer to nothing: ${JSON.stringify(packet)}`);
    const isFinished = this.pages.some(({ lives }) => lives.some(({ finished }) => finished.has(told.n)));
    if (packet.status === "delivered") assert.ok(isFinished, `${told.n} was said to be delivered before the page's code had finished`);
    this.#open.delete(packet.ref);
    told.status = String(packet.status);
  }
}

/** A page whose client is the real one, on a network that is not. */
export class SimulatedPage {
  readonly lives: Life[] = [];
  #wires: SimulatedWire[] = [];
  #dialog: ClientDialog;

  constructor(private readonly world: World) {
    this.#dialog = this.#load();
    this.reconnect();
  }

  /** The page's code begins anew. What it had asked nobody waits for any more; what it had not finished with, and all behind it, comes again. */
  reload(): void {
    const { snapshot } = this.#dialog;
    const { life } = this;
    if (snapshot === undefined || life === undefined) return;
    const unfinished = life.seen.findIndex(({ n }) => !life.finished.has(n));
    if (unfinished >= 0) for (const { n } of life.seen.splice(unfinished)) life.finished.delete(n);
    for (const asked of life.asked) asked.outcome ??= "reloaded";
    const wire = this.#wire;
    if (wire) this.#clientNotices(wire);
    this.#dialog = this.#load();
    this.#dialog.restore(snapshot);
    this.reconnect();
  }

  #load(): ClientDialog {
    const { world } = this;
    const after = (ms: number, callback: () => void): (() => void) => world.loop.clock.after(ms, callback);
    const dialog: ClientDialog = new ClientDialog(
      {
        ready: (ready) => this.#ready(ready),
        push: ({ message, key }) => {
          const { sender, n } = message as { sender: number; n: number };
          const { life } = this;
          life?.seen.push({ sender, n, key: key as string | undefined });
          const later = world.maybeLater();
          if (later === undefined) life?.finished.add(n);
          return later?.then(() => {
            if (this.#dialog === dialog) life?.finished.add(n);
          });
        },
        farewell: ({ code }) => assert.notEqual(code, CLOSE.replaced.code, "the only client of a page does not take it away from itself"),
      },
      { after, chunkSize: 64 },
    );
    return dialog;
  }

  get life(): Life | undefined {
    return this.lives.at(-1);
  }

  get #wire(): SimulatedWire | undefined {
    return this.#wires.find((wire) => wire.clientOpen);
  }

  ask(n: number): void {
    const life = this.life;
    if (life === undefined) return;
    const asked: Life["asked"][number] = { n, outcome: undefined };
    life.asked.push(asked);
    const settle = (outcome: Outcome | Error): void => {
      if (asked.outcome === "reloaded") return;
      assert.equal(asked.outcome, undefined, "settled once");
      asked.outcome = outcome;
    };
    const filler = "ä😀".repeat(this.world.random.pick([0, 1, 200]));
    this.#dialog.send({ opcode: "work", n, filler }).then(settle, settle);
  }

  /** Lets bytes arrive, on each connection with this probability. @returns true where nothing is under way */
  carry(bytes: number, probability = 1): boolean {
    for (const wire of this.#wires) if (this.world.random.chance(probability)) wire.carry(bytes);
    // A close packet of the hub ends what the client believes in.
    for (const wire of this.#wires) if (!wire.hubOpen && wire.idle && wire.clientOpen) this.#clientNotices(wire);
    this.#wires = this.#wires.filter((wire) => wire.hubOpen || wire.clientOpen);
    return this.#wires.every((wire) => wire.idle);
  }

  /** Where it was told that its connection is over: a page that was slow, say, hears of it late. */
  comeBack(): void {
    if (this.#wire === undefined) this.reconnect();
  }

  cut(): void {
    this.#wire?.cut();
  }

  /** The client opens another connection, whatever became of the one before; the hub may still believe in that. */
  reconnect(): void {
    const before = this.#wire;
    if (before) this.#clientNotices(before);
    const wire = new SimulatedWire(this.world.loop.hub, (text) => this.#dialog.receive(text));
    this.#wires.push(wire);
    this.#dialog.open(wire, { window: 4 });
  }

  /** The hub finds out about one of the wires. */
  hubNotices(): void {
    const wire = this.#wires.find((each) => each.hubOpen);
    if (wire === undefined) return;
    wire.cut();
    wire.hubNotices(this.world.random.pick(["lost", "going-away", "heartbeat"]));
  }

  /** What it had written may still arrive, and after the hello of the connection that follows. */
  #clientNotices(wire: SimulatedWire): void {
    if (this.world.random.chance(0.5)) wire.cut();
    wire.clientOpen = false;
    this.#dialog.closed(1006, "cut");
  }

  #ready(ready: Ready): void {
    if (ready.resumed) {
      assert.equal(ready.uuid, this.life?.uuid, "a page that is taken up again keeps its UUID");
      return;
    }
    if (this.life) this.life.over = true;
    if (ready.reason) this.world.reasons.push(ready.reason);
    this.lives.push({ uuid: ready.uuid, seen: [], finished: new Set(), told: [], asked: [], over: false });
  }
}

/** The invariant: what a page's code saw is what was acknowledged, each once, in order per sender; or `fresh` was raised. */
export function checkPage(page: SimulatedPage, handled: ReadonlyMap<string, number[]>): void {
  for (const life of page.lives) {
    for (const sender of [0, 1]) checkSender(life, sender);
    const done = handled.get(life.uuid) ?? [];
    // What was asked before a reload may not have been sent.
    const asked = life.asked.filter(({ n, outcome }) => outcome !== "reloaded" || done.includes(n)).map(({ n }) => n);
    assert.deepEqual(done, asked.slice(0, done.length), "the app sees each message once, in order");
    if (!life.over) assert.deepEqual(done, asked, "and all of them");
    for (const { n, outcome } of life.asked) {
      assert.ok(outcome !== undefined, `message ${n} hangs`);
      if (outcome === "reloaded") continue;
      if (outcome instanceof Error) assert.ok(life.over && outcome instanceof ClosedError, `message ${n}: ${outcome}`);
      else assert.equal(outcome.result, n);
    }
  }
}

const TAKEN: ReadonlySet<string | undefined> = new Set(["sent", "held", "delivered"]);

function checkSender(life: Life, sender: number): void {
  const told = life.told.filter((each) => each.sender === sender);
  const seen = life.seen.filter((each) => each.sender === sender);
  const order = seen.map(({ n }) => n);
  assert.equal(new Set(order).size, order.length, "nothing is seen twice");
  for (const { n, status } of told) {
    assert.ok(status !== undefined, `${n} was never answered`);
    if (status === "delivered") assert.ok(order.includes(n), `${n} was said to be delivered`);
    if (status === "dropped" || status === "merged") assert.ok(!order.includes(n), `${n} was ${status} and came all the same`);
  }
  const events = seen.filter(({ key }) => key === undefined).map(({ n }) => n);
  const expected = told.filter(({ key, status }) => key === undefined && TAKEN.has(status)).map(({ n }) => n);
  if (life.over) assert.deepEqual(events, eventsBefore(told, events), "in order, none left out, up to the end of the page");
  else assert.deepEqual(events, expected, "every event that was acknowledged, in order");
  for (const key of ["a", "b"]) checkState(life, sender, key);
}

/** Of a page that ended: as many of the events as it saw, from the first on. */
function eventsBefore(told: readonly Told[], seen: readonly number[]): number[] {
  return told
    .filter(({ key, status }) => key === undefined && (TAKEN.has(status) || status === "gone"))
    .map(({ n }) => n)
    .filter((n) => TAKEN.has(told.find((each) => each.n === n)?.status) || seen.includes(n))
    .slice(0, seen.length);
}

/** The newest value of a key is seen; older ones may be, never after a newer one of the same sender. */
function checkState(life: Life, sender: number, key: string): void {
  const seen = life.seen.filter((each) => each.key === key && each.sender === sender).map(({ n }) => n);
  assert.deepEqual(
    seen,
    [...seen].sort((a, b) => a - b),
    "no older value after a newer one",
  );
  if (life.over) return;
  const values = life.told.filter((each) => each.key === key && (TAKEN.has(each.status) || each.status === "merged"));
  const newest = values.at(-1)?.n;
  const last = life.seen.filter((each) => each.key === key).at(-1)?.n;
  if (newest !== undefined && values.at(-1)?.sender === sender && newest === Math.max(...allOf(life, key)))
    assert.equal(last, newest, "the newest value arrives");
}

function allOf(life: Life, key: string): number[] {
  return life.told.filter((each) => each.key === key && (TAKEN.has(each.status) || each.status === "merged")).map(({ n }) => n);
}

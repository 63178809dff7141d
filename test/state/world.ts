import assert from "node:assert/strict";
import { state } from "../../apps/state/state.js";
import type { Packet } from "../../protocol/index.js";
import { MemoryCluster } from "../../server/cluster/memory.js";
import { OPTIONS } from "../../server/options.js";
import type { Random } from "../simulation/random.js";
import { TestClock } from "../support/clock.js";
import { LoopbackHub } from "../support/loopback.js";
import { History } from "./history.js";
import { Link } from "./link.js";
import { StatePage } from "./page.js";

const KEYS = ["a/1", "a/2", "b", "b/1", "a/~"];
const PATTERNS = [...KEYS.slice(0, 4), "a/*", "b*", "*"];
/** As the hub has them if nobody says otherwise. */
export const LIMITS = {
  maxKeys: OPTIONS.maxKeys.default,
  maxStateBytes: OPTIONS.maxStateBytes.default,
  maxWatches: OPTIONS.maxWatches.default,
};
/** Somewhat more than the feed waits before it reads again. */
const RETRY = 1_100;
const GRACE = OPTIONS.grace.default;

/** What was settled is known to all who wait for it: each `then` takes a turn. */
export async function turn(): Promise<void> {
  for (let i = 0; i < 8; i++) await null;
}

/** Two hubs on tables that answer late, pages that watch and set, come and go. */
export class StateWorld {
  readonly #clock = new TestClock();
  readonly #history = new History((uuid) => this.#everybody.get(uuid)?.mayGo === true);
  readonly #links: readonly Link[];
  readonly #hubs: readonly LoopbackHub[];
  #pages: StatePage[] = [];
  /** All that there ever were. */
  readonly #everybody = new Map<string, StatePage>();
  #value = 0;

  constructor(private readonly random: Random) {
    this.#clock.wall = 1_795_000_000_000;
    const cluster = new MemoryCluster(this.#clock);
    cluster.join(this.#history);
    this.#links = [1, 2].map(() => new Link(cluster, this.#history, random));
    this.#hubs = this.#links.map((link) => new LoopbackHub({ apps: [state(LIMITS)], clock: this.#clock, cluster: link }));
    for (let n = 4 + random.below(8); n > 0; n--) this.#newPage();
  }

  /** Something happens. */
  async step(): Promise<void> {
    const what = this.random.below(100);
    if (what < 45) this.random.pick(this.#links).step();
    else if (what < 75) this.#ask();
    else if (what < 90) this.#comeOrGo();
    else if (what < 95) this.#stickOrUnstick();
    else if (what < 97) this.random.pick(this.#links).failing = this.random.pick([0, 3, 6]);
    else if (what < 98) this.#clock.wall -= this.random.pick([1, 3_600_000]);
    else await this.#wait();
    await turn();
    this.look();
  }

  /** Everybody reads what has come. */
  look(): void {
    this.#clock.endTurn();
    for (const page of this.#pages) page.read();
    this.#pages = this.#pages.filter((page) => !page.over);
    this.#history.check();
  }

  /** Nothing is on its way any more between hubs and tables: who has read all there is knows all there is. */
  async settle(): Promise<void> {
    for (const link of this.#links) link.failing = 0;
    await this.#drain();
    // What could not be read is read again.
    this.#clock.advance(RETRY);
    await this.#drain();
    for (const page of this.#pages) if (page.upToDate) page.check();
  }

  async #drain(): Promise<void> {
    do {
      for (const link of this.#links) link.step();
      await turn();
      this.look();
    } while (!this.#links.every((link) => link.quiet));
  }

  /** Nothing goes wrong any more. */
  async heal(): Promise<void> {
    for (const page of this.#pages) {
      if (!page.connected) page.comeBack(this.random.chance(0.3));
      if (page.peer.stuck) page.peer.unstick();
    }
    this.look();
    await this.settle();
    this.#clock.advance(GRACE + 1_000);
    await this.settle();
    for (const page of this.#pages) assert.ok(page.upToDate, "everything is answered");
    for (const [key, { owner }] of this.#history.table)
      assert.ok(owner === undefined || !this.#everybody.get(owner)?.over, `${key} has gone with its owner`);
    for (const { log } of this.#hubs) for (const event of ["app.failed", "hub.failed"]) assert.deepEqual(log.of(event), []);
  }

  // ── What can happen ────────────────────────────────────────────────────────────────────────────────────────────

  #newPage(): void {
    const page = new StatePage(this.random.pick(this.#hubs), this.#history, this.random.pick([undefined, "Anna", "Ben"]));
    this.#pages.push(page);
    this.#everybody.set(page.uuid, page);
  }

  #ask(): void {
    const opcode = this.random.pick(["set", "set", "set", "delete", "watch", "watch", "unwatch", "get"]);
    const page = this.#pick((each) => each.mayAsk(opcode));
    if (opcode === "set") page?.ask({ opcode, value: ++this.#value, will: this.random.chance(0.3), ...this.#keyAndIf() });
    else if (opcode === "delete") page?.ask({ opcode, ...this.#keyAndIf() });
    else page?.ask({ opcode, keys: [this.random.pick(PATTERNS), this.random.pick(PATTERNS)] });
  }

  #keyAndIf(): Omit<Packet, "opcode"> {
    const key = this.random.pick(KEYS);
    const present = this.#history.table.get(key)?.version ?? 0;
    return this.random.chance(0.4)
      ? { key, if: this.random.pick([present, present, 0, this.random.pick(this.#history.ofKey.get(key) ?? [1])]) }
      : { key };
  }

  #comeOrGo(): void {
    const what = this.random.below(12);
    if (this.#pages.length < 4 || (what < 2 && this.#pages.length < 14)) this.#newPage();
    else if (what < 3) this.#pick((page) => page.connected)?.quit();
    else if (what < 4) this.#pick((page) => page.connected)?.closed();
    else if (what < 5) this.#pick((page) => page.connected)?.comeBack(this.random.chance(0.7));
    else if (what < 8) this.#pick((page) => page.connected)?.vanish(this.random.pick(["lost", "lost", "going-away"]));
    else if (what < 11) this.#pick((page) => !page.connected)?.comeBack(this.random.chance(0.3));
    else this.#neverBack(this.#pick((page) => !page.connected));
  }

  #neverBack(page: StatePage | undefined): void {
    if (page) page.over = true;
  }

  /** Longer than tables take to answer. */
  async #wait(): Promise<void> {
    await this.settle();
    this.#clock.advance(this.random.pick([1, 1_000, 5_001, GRACE + 1]));
  }

  #stickOrUnstick(): void {
    const stuck = this.#pages.filter(({ peer }) => peer.stuck);
    if (stuck.length > 0 && this.random.chance(0.6)) this.random.pick(stuck).peer.unstick();
    else this.#pick((page) => page.connected)?.stick();
  }

  #pick(which: (page: StatePage) => boolean): StatePage | undefined {
    const some = this.#pages.filter(which);
    return some.length === 0 ? undefined : this.random.pick(some);
  }
}

import assert from "node:assert/strict";
import { locks } from "../../apps/locks/locks.js";
import type { Holding } from "../../apps/locks/packets.js";
import type { Packet } from "../../protocol/index.js";
import { MemoryCluster } from "../../server/cluster/memory.js";
import { OPTIONS } from "../../server/options.js";
import type { Random } from "../simulation/random.js";
import { TestClock } from "../support/clock.js";
import { LoopbackHub, type LoopbackPeer } from "../support/loopback.js";
import { type Act, History, keyOf, showHolding } from "./history.js";
import { DEFAULTS } from "./lock-hub.js";
import { LockPage, type StallingHub } from "./page.js";
import { Stall, StallingClock, StallingCluster } from "./stall.js";

const SPACES = ["books", "maps"];
const IDS = ["1", "2", "3"];
const IDENTS = [undefined, "Anna", "Ben"];
const LEASE = OPTIONS.lease.default;
const GRACE = OPTIONS.grace.default;
/** Around all that is waited for: a tick, the lease, the graces. */
const TIMES = [1, 50, 999, 1_001, 4_999, LEASE - 1, LEASE + 1, 3 * LEASE, GRACE + 1];

/** A hub of the world, with a backend of its own host. */
class LockHub implements StallingHub {
  readonly stall = new Stall();
  readonly loop: LoopbackHub;
  readonly backend: LoopbackPeer;
  /** When it goes on, while it stands still. */
  until = 0;

  constructor(clock: TestClock, cluster: MemoryCluster, history: History) {
    this.loop = new LoopbackHub({
      apps: [locks(DEFAULTS)],
      clock: new StallingClock(clock, this.stall),
      cluster: new StallingCluster(cluster, this.stall, history),
    });
    this.backend = this.loop.peer({ kind: "backend", address: "unix", hello: { window: 8 } });
  }
}

/** Two hubs on one cluster, pages that come and go, and whatever can go wrong. */
export class LockWorld {
  readonly #clock = new TestClock();
  readonly #history = new History(this.#clock, (uuid) => this.#isOver(uuid));
  readonly #hubs: readonly LockHub[];
  readonly #pages: LockPage[] = [];
  /** All that there ever were. */
  readonly #everybody = new Map<string, LockPage>();

  constructor(private readonly random: Random) {
    this.#clock.wall = 1_795_000_000_000;
    const cluster = new MemoryCluster(this.#clock);
    cluster.join(this.#history);
    this.#hubs = [new LockHub(this.#clock, cluster, this.#history), new LockHub(this.#clock, cluster, this.#history)];
    for (let n = 8 + random.below(25); n > 0; n--) this.#newPage();
  }

  /** Something happens; then all who know all there is to know have to be right. */
  step(): void {
    const what = this.random.below(100);
    if (what < 45) this.#claim();
    else if (what < 57) this.#check();
    else if (what < 60) this.#break();
    else if (what < 78) this.#comeOrGo();
    else if (what < 84) this.#stickOrUnstick();
    else if (what < 88) this.#stall();
    else if (what < 91) this.#clock.wall += this.random.pick([-1, 1]) * this.random.pick([1, 1_000, 3_600_000]);
    else if (what < 92) this.#clock.pass(this.random.pick(TIMES));
    else this.#clock.advance((this.random.pick(TIMES) / this.random.pick([1, 1, 10])) | 0);
    for (const hub of this.#hubs) if (hub.stall.standing && hub.until <= this.#clock.now()) this.#goOn(hub);
    this.#look();
  }

  /** Nothing goes wrong any more: nothing is stuck for longer than the lease, and the grace of those who do not return. */
  heal(): void {
    for (const hub of this.#hubs) this.#goOn(hub);
    for (const page of this.#pages) {
      if (!page.connected) page.comeBack(this.random.chance(0.5));
      if (page.peer.stuck) page.unstick();
    }
    this.#clock.advance(LEASE + 2_000);
    this.#look();
    for (const { owner } of this.#history.table.values()) assert.ok(!this.#isOver(owner as string), "who is at its end has nothing");
    this.#clock.advance(GRACE);
    this.#look();
    this.#checkAll();
  }

  // ── What can happen ────────────────────────────────────────────────────────────────────────────────────────────

  #newPage(): void {
    this.#add(new LockPage(this.random.pick(this.#hubs), this.#history, this.random.pick(IDENTS), (page) => this.#add(page)));
  }

  #add(page: LockPage): void {
    this.#pages.push(page);
    this.#everybody.set(page.uuid, page);
  }

  #claim(): void {
    const able = this.#pages.filter((page) => page.connected && !page.waits);
    if (able.length === 0) return;
    const page = this.random.pick(able);
    const what = this.random.pick(["view", "view", "lock", "lock", "unlock", "locks"] as const);
    const ids = IDS.filter(() => this.random.chance(0.6));
    const space = this.random.pick(SPACES);
    const standing = page.hub.stall.standing;
    page.claim(what, space, what === "locks" ? [] : ids);
    this.#read();
    if (what === "lock" && !standing)
      this.#checkTogether(
        page,
        ids.map((id) => keyOf(space, id)),
      );
  }

  /** A backend that was handed a fence by a page, lately or long ago, saves. */
  #check(): void {
    const key = this.random.pick([...this.#history.fences.keys(), keyOf("books", "1")]);
    const fences = this.#history.fences.get(key) ?? [1];
    const fence = this.random.chance(0.6) ? (fences.at(-1) as number) : this.random.pick(fences);
    this.#ask({ opcode: "check", fence, ...partsOf(key) }, key, ({ status, error }) => {
      if (status === "done") this.#history.write(key, fence);
      else {
        assert.equal((error as { code: string }).code, "stale");
        assert.notEqual(this.#history.table.get(key)?.version, fence, "the holder's fence is not stale");
      }
    });
  }

  #break(): void {
    const key = keyOf(this.random.pick(SPACES), this.random.pick(IDS));
    this.#ask({ opcode: "break", ...partsOf(key) }, key, ({ status }, { batches }) => {
      const broken = batches.flat().some((change) => change.key === key && change.taken);
      if (status === "done") assert.ok(broken);
      assert.ok(!this.#history.table.has(key), "what was broken is free");
    });
  }

  #ask(packet: Packet, key: string, check: (answer: Packet, act: Act) => void): void {
    const { stall, backend } = this.random.pick(this.#hubs);
    stall.do(backend, () => {
      const act = this.#history.during(backend.uuid, () => backend.say(packet), packet.opcode === "break" ? key : undefined);
      check(backend.read().findLast(({ opcode }) => opcode === "next") as Packet, act);
    });
  }

  #comeOrGo(): void {
    const what = this.random.below(18);
    if (this.#pages.length < 8 || (what < 2 && this.#pages.length < 32)) this.#newPage();
    else if (what < 4) this.#end(this.#pick(() => true));
    else if (what < 7) this.#pick((page) => page.connected)?.comeBack(this.random.chance(0.7));
    else if (what < 11) this.#pick((page) => page.connected)?.vanish(this.random.pick(["lost", "lost", "going-away"]));
    else if (what < 17) this.#pick((page) => !page.connected)?.comeBack(this.random.chance(0.3));
    else this.#pick((page) => page.upToDate)?.seen();
  }

  /** It says goodbye, or is never seen again. */
  #end(page: LockPage | undefined): void {
    if (page === undefined) return;
    if (page.connected && this.random.chance(0.5)) page.quit();
    else {
      if (page.connected) page.vanish(this.random.pick(["lost", "going-away"]));
      page.over = true;
    }
  }

  #stickOrUnstick(): void {
    const stuck = this.#pages.filter(({ peer }) => peer.stuck);
    if (stuck.length > 0 && this.random.chance(0.6)) this.random.pick(stuck).unstick();
    else this.#pick((page) => page.connected)?.stick();
  }

  #stall(): void {
    const hub = this.random.pick(this.#hubs);
    if (hub.stall.standing) return;
    hub.stall.standing = true;
    hub.until = this.#clock.now() + this.random.pick(TIMES);
  }

  #goOn(hub: LockHub): void {
    hub.stall.goOn(this.random, () => this.#clock.endTurn());
    this.#clock.endTurn();
  }

  // ── What has to be true ────────────────────────────────────────────────────────────────────────────────────────

  #read(): void {
    this.#clock.endTurn();
    for (const page of [...this.#pages]) page.read();
    for (let i = this.#pages.length - 1; i >= 0; i--) if (this.#pages[i]?.over) this.#pages.splice(i, 1);
  }

  #look(): void {
    this.#read();
    this.#history.check();
    for (const page of this.#pages) {
      page.settled = page.upToDate;
      if (page.settled) this.#checkPage(page);
    }
    for (const { owner, value } of this.#history.table.values()) this.#checkPresence(owner as string, value as Holding);
  }

  /** Everybody is told whether the holder is there; a hub that stands still cannot know. */
  #checkPresence(owner: string, { state }: Holding): void {
    const page = this.#everybody.get(owner) as LockPage;
    if (!page.hub.stall.standing) assert.equal(state, page.peer.connection.away ? "reconnecting" : "held", "who is away is shown as such");
  }

  /** It believes to have what it has, shows what there is, and was told once of each loss. */
  #checkPage(page: LockPage): void {
    const { table, taken } = this.#history;
    for (const [key, fence] of page.owns) assert.equal(this.#fenceOf(page, key), fence, "a page that lost its lock is told");
    for (const [key, { owner }] of table) assert.ok(owner !== page.uuid || page.owns.has(key), "a page knows what it has");
    for (const [key, what] of page.shown) assert.equal(what, this.#history.shown(key, page.uuid), "a page shows what there is");
    for (const [key, times] of page.lost) assert.equal(times, taken.get(`${page.uuid} ${key}`), "lost is told once for each loss");
  }

  #fenceOf({ uuid }: LockPage, key: string): number | undefined {
    const entry = this.#history.table.get(key);
    return entry?.owner === uuid ? entry.version : undefined;
  }

  /** Who lists several of the ids that were locked together hears of them together. */
  #checkTogether(by: LockPage, keys: readonly string[]): void {
    if (!keys.every((key) => by.owns.has(key))) return;
    for (const page of this.#pages) {
      const packets = page.latest.filter(({ opcode, state }) => opcode === "lock" && state === "held");
      const together = packets.map((packet) => idsIn(packet).map((id) => keyOf(packet.space as string, id)));
      const told = together.flat().filter((key) => keys.includes(key));
      for (const each of together)
        assert.ok(
          told.every((key) => each.includes(key)),
          "a part of a lock is never seen",
        );
    }
  }

  #checkAll(): void {
    for (const page of this.#pages) assert.ok(page.upToDate, "nobody waits for ever");
    for (const [ownerAndKey, times] of this.#history.taken) {
      const [owner = "", key = ""] = splitOnce(ownerAndKey);
      const page = this.#everybody.get(owner);
      assert.ok(page?.over || page?.lost.get(key) === times, "lost is told once for each loss, or the page is a new one");
    }
    for (const [key, { owner, value }] of this.#history.table) {
      assert.ok(!this.#everybody.get(owner as string)?.over, `${key} is held by nobody: ${showHolding(value as Holding)}`);
    }
    for (const { loop } of this.#hubs)
      for (const event of ["app.failed", "hub.failed", "cluster.failed"]) assert.deepEqual(loop.log.of(event), []);
  }

  #isOver(uuid: string): boolean {
    const state = this.#everybody.get(uuid)?.peer.connection.state;
    return state === "closed" || state === "ending";
  }

  #pick(which: (page: LockPage) => boolean): LockPage | undefined {
    const some = this.#pages.filter(which);
    return some.length === 0 ? undefined : this.random.pick(some);
  }
}

function splitOnce(text: string): string[] {
  const at = text.indexOf(" ");
  return [text.slice(0, at), text.slice(at + 1)];
}

function partsOf(key: string): { space: string; id: string } {
  const [space = "", id = ""] = key.split("\0");
  return { space, id };
}

const idsIn = ({ id, ids }: Packet): readonly string[] => (ids as string[] | undefined) ?? [id as string];

import assert from "node:assert/strict";
import type { Holdings } from "../../apps/locks/claims.js";
import type { Holding } from "../../apps/locks/packets.js";
import type { Packet } from "../../protocol/index.js";
import type { LoopbackHub, LoopbackPeer } from "../support/loopback.js";
import { type Claim, checkClaim, FREE, type History, keyOf, showHolding, showMine } from "./history.js";
import type { Stall } from "./stall.js";

/** A hub that may stand still. */
export interface StallingHub {
  readonly loop: LoopbackHub;
  readonly stall: Stall;
}

/** What it has said and was not yet answered. */
interface Asked extends Claim {
  /** What the table held when the hub had served it, as this page shows it. */
  moment: ReadonlyMap<string, string> | undefined;
  /** What it unlocks, with the fences: where it is refused nothing was unlocked. */
  readonly unlocked: Map<string, number>;
  /** Listed ids that it had not when it asked, where it was told everything at once: it is to hear `yours` of those that it gets. */
  news: Set<string>;
  /** Its code was loaded anew since then. */
  forgotten: boolean;
}

/** Not counted [RES-1]. */
const UNCOUNTED: ReadonlySet<string> = new Set(["ready", "seen", "close"]);

/** A page as its user sees it: what it shows, and what it believes to have. It says one message at a time; it comes and goes. */
export class LockPage {
  peer: LoopbackPeer;
  /** Has it a connection, as far as it knows? */
  connected = true;
  /** It quit, will never come back, or was told that it is a new page. */
  over = false;
  /** Fences by key: what it believes to have. */
  readonly owns = new Map<string, number>();
  /** What it shows for the ids that it lists. */
  readonly shown = new Map<string, string>();
  /** How often it was told `lost`, by key. */
  readonly lost = new Map<string, number>();
  /** It was up to date, and has done nothing since: what comes now is news of what it lists. */
  settled = false;
  /** What came since it was last looked at. */
  latest: readonly Packet[] = [];
  readonly #viewing = new Set<string>();
  readonly #locking = new Set<string>();
  #asked: Asked | undefined;
  #seen = 0;
  /** Its hub stands still, and has a connection to take. */
  #returns = false;

  /** @param fresh called with the new page that it is told to be */
  constructor(
    readonly hub: StallingHub,
    private readonly history: History,
    private readonly ident: string | undefined,
    private readonly fresh: (page: LockPage) => void,
    peer?: LoopbackPeer,
  ) {
    this.peer = peer ?? hub.loop.peer({ hello: this.#hello() });
  }

  get uuid(): string {
    return this.peer.uuid;
  }

  get waits(): boolean {
    return this.#asked !== undefined;
  }

  /** It has read and been answered all there is: what it shows and believes has to be true. */
  get upToDate(): boolean {
    return this.connected && !this.over && !this.peer.stuck && !this.hub.stall.standing && !this.waits;
  }

  // ── What it does ───────────────────────────────────────────────────────────────────────────────────────────────

  claim(what: Claim["what"], space: string, ids: readonly string[]): void {
    const asked: Asked = {
      what,
      keys: ids.map((id) => keyOf(space, id)),
      space,
      moment: undefined,
      unlocked: new Map(),
      news: new Set(),
      forgotten: false,
    };
    if (what === "lock" && this.settled) asked.news = new Set(asked.keys.filter((key) => this.shown.has(key) && !this.owns.has(key)));
    this.#asked = asked;
    this.settled = false;
    if (what === "view") this.#leaveOut(asked);
    if (what === "unlock") this.#unlock(asked);
    const { peer } = this;
    this.hub.stall.do(this, () => {
      const act = this.history.during(this.uuid, () => peer.say({ opcode: what, space, ids }));
      checkClaim(asked, act, this.history);
      asked.moment = new Map([...this.history.table.keys(), ...asked.keys].map((key) => [key, this.history.shown(key, this.uuid)]));
    });
  }

  quit(): void {
    this.over = true;
    const { peer } = this;
    this.hub.stall.do(this, () => void this.history.during(this.uuid, () => peer.say({ opcode: "quit" })));
  }

  /** Its connection is gone; what stands in the wire is lost. @param why `lost`, or `going-away` for a reload and a closed tab */
  vanish(why: string): void {
    this.#noNews();
    this.connected = false;
    const { peer } = this;
    this.hub.stall.do(this, () => peer.connection.lost(why));
  }

  /** On another connection; also while its hub has not seen the one before end. */
  comeBack(reload: boolean): void {
    if (this.#returns) return;
    this.#returns = true;
    this.#noNews();
    this.connected = false;
    if (reload) this.#loadAnew();
    const hello = { ...this.#hello(), resume: this.peer.ready?.resume, seen: this.#seen, reload };
    this.hub.stall.do(this, () => {
      this.#returns = false;
      const { state } = this.peer.connection;
      if (this.over) {
        // Its connection from before is found to be dead some time.
        if (state === "open") this.peer.connection.lost("lost");
        return;
      }
      const again = this.hub.loop.peer({ hello });
      const resumed = again.ready?.resumed === true;
      assert.equal(resumed, state === "open" || state === "held", "who is there or held is taken up again, and nobody else");
      if (resumed) this.#goOn(again);
      else {
        assert.equal(again.ready?.reason, "expired");
        this.over = true;
        this.fresh(new LockPage(this.hub, this.history, this.ident, this.fresh, again));
      }
    });
  }

  stick(): void {
    this.#noNews();
    this.peer.stuck = true;
  }

  unstick(): void {
    const { peer } = this;
    this.hub.stall.do(this, () => peer.unstick());
  }

  /** Tells its hub how far it has read. */
  seen(): void {
    const { peer } = this;
    const n = this.#seen;
    this.hub.stall.do(this, () => peer.say({ opcode: "seen", n }));
  }

  read(): void {
    this.latest = this.connected && !this.over && !this.peer.stuck ? this.peer.read() : [];
    for (const packet of this.latest) this.#hear(packet);
  }

  // ── What it hears ──────────────────────────────────────────────────────────────────────────────────────────────

  #goOn(again: LoopbackPeer): void {
    this.peer = again;
    this.connected = true;
    const before = this.waits;
    for (const packet of again.rest) this.#hear(packet);
    assert.equal(again.ready?.owed, before ? 1 : 0, "it is told how many answers are still to come");
  }

  /** New code lists nothing, and does not know what was asked before it; what the page has it has. */
  #loadAnew(): void {
    this.shown.clear();
    if (this.#asked) this.#asked.forgotten = true;
  }

  #unlock({ keys, unlocked }: Asked): void {
    for (const key of keys) {
      if (!this.#locking.delete(key)) continue;
      unlocked.set(key, this.owns.get(key) as number);
      if (!this.#viewing.has(key)) this.owns.delete(key);
    }
  }

  #notUnlocked({ unlocked }: Asked): void {
    for (const [key, fence] of unlocked) {
      this.#locking.add(key);
      this.owns.set(key, fence);
    }
  }

  #leaveOut({ space, keys }: Claim): void {
    const out = (key: string): boolean => key.startsWith(keyOf(space, "")) && !keys.includes(key);
    for (const key of this.#viewing) {
      if (!out(key)) continue;
      this.#viewing.delete(key);
      if (!this.#locking.has(key)) this.owns.delete(key);
    }
    for (const key of this.shown.keys()) if (out(key)) this.shown.delete(key);
    for (const key of keys) if (!this.shown.has(key)) this.shown.set(key, "not yet known");
  }

  #hear(packet: Packet): void {
    if (UNCOUNTED.has(packet.opcode)) return;
    this.#seen++;
    if (packet.opcode === "lock") this.#told(packet as unknown as Told);
    else this.#answered(packet);
  }

  #told(told: Told): void {
    const { space, state } = told;
    for (const id of told.ids ?? [told.id as string]) {
      const key = keyOf(space, id);
      assert.ok(!this.settled || state === "lost" || this.shown.has(key), "a page hears of what it lists, and of nothing else");
      if (state === "lost") this.#lose(key);
      else if (state === "yours") this.#isGiven(key, told.fence as number);
      else this.#show(key, state === "free" ? FREE : showHolding(told as Holding));
    }
  }

  #answered({ status, result }: Packet): void {
    const asked = this.#asked as Asked;
    this.#asked = undefined;
    const { mine = {}, held = {} } = (result ?? {}) as Partial<Holdings>;
    for (const [id, fence] of Object.entries(mine)) {
      const key = keyOf(asked.space, id);
      if (asked.what === "view") this.#viewing.add(key);
      if (asked.what === "lock") this.#locking.add(key);
      this.#gain(key, fence);
      assert.ok(!asked.news.has(key), "who lists what it locks is told that it is its own");
      assert.equal(asked.moment?.get(key), showMine(fence), "an answer tells what the table holds");
    }
    for (const [id, holding] of Object.entries(held)) {
      const key = keyOf(asked.space, id);
      if (!asked.forgotten) this.#show(key, showHolding(holding));
      assert.equal(asked.moment?.get(key), showHolding(holding), "an answer tells what the table holds");
    }
    if (asked.what === "unlock" && status === "refused") this.#notUnlocked(asked);
    if (asked.what === "unlock") return;
    const told = Object.keys(mine).length + Object.keys(held).length;
    const there = [...(asked.moment as ReadonlyMap<string, string>)].filter(
      ([key, what]) => what !== FREE && (asked.what === "locks" ? key.startsWith(keyOf(asked.space, "")) : asked.keys.includes(key)),
    );
    if (status === "done") assert.equal(told, there.length, "an answer tells all there is");
  }

  #isGiven(key: string, fence: number): void {
    this.#asked?.news.delete(key);
    this.#gain(key, fence);
  }

  /** It does not hear everything at once any more. */
  #noNews(): void {
    this.settled = false;
    this.#asked?.news.clear();
  }

  #gain(key: string, fence: number): void {
    this.owns.set(key, fence);
    this.#show(key, showMine(fence));
  }

  #lose(key: string): void {
    this.lost.set(key, (this.lost.get(key) ?? 0) + 1);
    this.owns.delete(key);
    this.#viewing.delete(key);
    this.#locking.delete(key);
    this.#asked?.unlocked.delete(key);
    this.#show(key, FREE);
  }

  #show(key: string, what: string): void {
    if (this.shown.has(key)) this.shown.set(key, what);
  }

  #hello(): object {
    return { window: 8, ...(this.ident === undefined ? undefined : { ident: this.ident }) };
  }
}

/** A push of the app. */
interface Told extends Partial<Omit<Holding, "state">> {
  readonly space: string;
  readonly state: Holding["state"] | "free" | "yours" | "lost";
  readonly id?: string;
  readonly ids?: readonly string[];
  readonly fence?: number;
}

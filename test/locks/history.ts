import assert from "node:assert/strict";
import type { Holding } from "../../apps/locks/packets.js";
import { type Called, type Member, NOBODY, type Reach } from "../../server/cluster/cluster.js";
import type { Change, Entry } from "../../server/cluster/table.js";
import type { TestClock } from "../support/clock.js";
import type { Witness } from "./stall.js";

/** What a page that lists it has to show for an id. */
export const FREE = "free";
export const showHolding = ({ state, by, since }: Holding): string => `${state} ${by} ${since}`;
export const showMine = (fence: number): string => `mine ${fence}`;

export const keyOf = (space: string, id: string): string => `${space}\0${id}`;

/** What a page says of ids of one space. */
export interface Claim {
  readonly what: "view" | "lock" | "unlock" | "locks";
  readonly space: string;
  readonly keys: readonly string[];
}

/** Who acts, and what the table was told to do meanwhile. */
export interface Act {
  /** UUID of whoever speaks. */
  readonly by: string;
  /** A key that it breaks. */
  readonly breaks?: string | undefined;
  /** All that happened, write by write. */
  readonly batches: (readonly Change[])[];
}

/**
 * All that happens in the table of the locks, in its order, told to a member that has no pages and never stands still. What must hold at any
 * moment is checked at that moment.
 */
export class History implements Member, Witness {
  readonly id = "history";
  readonly lease = Number.POSITIVE_INFINITY;
  /** What the table holds. */
  readonly table = new Map<string, Entry>();
  /** Every fence that was granted, by key. */
  readonly fences = new Map<string, number[]>();
  /** How often each key was taken from each owner, by both. */
  readonly taken = new Map<string, number>();
  /** The highest fence with which each key was written. */
  readonly #written = new Map<string, number>();
  /** Through whom each key was granted. */
  readonly #through = new Map<string, Member>();
  /** When each member last showed a sign of life. */
  readonly #signs = new Map<Member, number>();
  /** What the leases that are over have to free before anything else happens. */
  readonly #due = new Set<string>();
  #newest = 0;
  #calling: Member | undefined;
  #act: Act | undefined;
  #wrong: Error | undefined;

  constructor(
    private readonly clock: TestClock,
    /** Is the peer with this UUID at its end? */
    private readonly isOver: (uuid: string) => boolean,
  ) {}

  /** Somebody speaks. @returns what the table did meanwhile */
  during(by: string, speak: () => void, breaks?: string): Act {
    const act: Act = { by, breaks, batches: [] };
    this.#act = act;
    speak();
    this.#act = undefined;
    this.check();
    return act;
  }

  /** Throws what was wrong first: where it was seen the hub would take it for a fault of an app. */
  check(): void {
    if (this.#wrong) throw this.#wrong;
  }

  /** A call of a member: what is over is judged before it is served, and only that [LOCK-10]. */
  called<T>(member: Member, call: () => T): T {
    const now = this.clock.now();
    for (const [key, through] of this.#through) if (now - (this.#signs.get(through) ?? now) > through.lease) this.#due.add(key);
    this.#signs.set(member, now);
    this.#calling = member;
    const value = call();
    this.#note(() => assert.deepEqual([...this.#due], [], "what a hub that stood still had is free before anything is served"));
    return value;
  }

  changed(_table: string, changes: readonly Change[]): void {
    this.#act?.batches.push(changes);
    for (const change of changes) this.#note(() => this.#changed(change));
  }

  /** A backend was told that this fence is the holder's, and saves. */
  write(key: string, fence: number): void {
    assert.equal(fence, this.table.get(key)?.version, "a check is done with the fence of whoever has it");
    assert.ok(fence >= (this.#written.get(key) ?? 0), `${key} was written with fence ${fence} behind ${this.#written.get(key)}`);
    this.#written.set(key, fence);
  }

  /** What somebody shows who knows all there is. */
  shown(key: string, uuid: string): string {
    const entry = this.table.get(key);
    if (entry === undefined) return FREE;
    return entry.owner === uuid ? showMine(entry.version) : showHolding(entry.value as Holding);
  }

  deliver(): Reach {
    return NOBODY;
  }

  call(): Called | undefined {
    return undefined;
  }

  #changed(change: Change): void {
    const { key, before, entry } = change;
    assert.equal(before, this.table.get(key), "the table goes from one state to the next");
    if (entry === undefined) this.#freed(change);
    else if (before === undefined) this.#granted(change, entry);
    else this.#amended(key, before, entry);
  }

  #note(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#wrong ??= error as Error;
    }
  }

  #granted({ key, taken }: Change, entry: Entry): void {
    assert.equal(this.#due.size, 0, "what is over is judged first");
    assert.equal(taken, false);
    assert.ok(entry.owner !== undefined, "a lock is somebody's");
    this.#isNewer(entry.version);
    this.table.set(key, entry);
    this.#through.set(key, this.#calling as Member);
    const fences = this.fences.get(key) ?? [];
    this.fences.set(key, fences);
    fences.push(entry.version);
  }

  #amended(key: string, before: Entry, entry: Entry): void {
    assert.equal(entry.owner, before.owner, "nobody takes what is held");
    assert.equal(entry.version, before.version, "who has it keeps its fence");
    this.table.set(key, entry);
  }

  #freed({ key, before, version, taken }: Change): void {
    const owner = before?.owner as string;
    const due = this.#due.delete(key);
    if (taken) {
      assert.ok(due || this.#act?.breaks === key, "nothing is taken but what is broken, or over");
      this.taken.set(`${owner} ${key}`, (this.taken.get(`${owner} ${key}`) ?? 0) + 1);
    } else assert.ok(!due && (this.#act?.by === owner || this.isOver(owner)), `${key} was given back by somebody else than ${owner}`);
    this.#isNewer(version);
    this.table.delete(key);
    this.#through.delete(key);
  }

  #isNewer(version: number): void {
    assert.ok(Number.isSafeInteger(version) && version > this.#newest, `version ${version} came behind ${this.#newest}`);
    this.#newest = version;
  }
}

/** What the table did for a page's message: all or nothing, wholly at once, and nothing to anybody else. */
export function checkClaim({ what, keys }: Claim, { by, batches }: Act, { table }: History): void {
  const writes = batches.map((changes) => changes.filter(({ taken }) => !taken)).filter((changes) => changes.length > 0);
  assert.ok(writes.length <= 1, "one message is one write");
  const granted = (writes[0] ?? []).filter(({ entry }) => entry !== undefined);
  const has = (key: string): boolean => table.get(key)?.owner === by;
  for (const { key, entry } of granted) assert.ok(keys.includes(key) && entry?.owner === by, "nobody is granted what it has not asked for");
  if (what === "lock") assert.ok(keys.every(has) ? granted.length === writes.flat().length : writes.length === 0, "all or none is locked");
  if (what === "view")
    assert.ok(
      keys.every((key) => table.has(key)),
      "what was free is claimed",
    );
  if (what === "unlock" || what === "locks") assert.deepEqual(granted, []);
}

import assert from "node:assert/strict";
import type { Change, Done, Entry, Step } from "../../server/app.js";
import { type Called, type Member, NOBODY, type Reach } from "../../server/cluster/cluster.js";
import type { Witness } from "./link.js";

/** A version that a key has had. */
export interface Was {
  readonly key: string;
  readonly version: number;
  readonly deleted: boolean;
  /** The one before it, 0 where there was none. */
  readonly before: number;
}

/** All that happens in the table of the state, in its order; what must hold at any moment is checked at that moment. */
export class History implements Member, Witness {
  readonly id = "history";
  readonly lease = Number.POSITIVE_INFINITY;
  /** What the table holds. */
  readonly table = new Map<string, Entry>();
  /** All versions there ever were, of each key in their order. */
  readonly versions = new Map<number, Was>();
  readonly ofKey = new Map<string, number[]>();
  #steps: readonly Step[] = [];
  #wrong: Error | undefined;
  #newest = 0;

  constructor(
    /** May what this peer owns go? */
    private readonly mayGo: (uuid: string) => boolean,
  ) {}

  /** Throws what was wrong first: where it was seen the hub would take it for a fault of an app. */
  check(): void {
    if (this.#wrong) throw this.#wrong;
  }

  during(steps: readonly Step[], change: () => readonly Done[]): readonly Done[] {
    const expected = steps.map((step) => this.#mayDo(step));
    this.#steps = steps;
    const made = change();
    this.#steps = [];
    this.#note(() =>
      assert.deepEqual(
        made.map(({ ok }) => ok),
        expected,
        "`if` and owner decide, by what the key holds at that moment",
      ),
    );
    return made;
  }

  changed(_table: string, changes: readonly Change[]): void {
    for (const change of changes) this.#note(() => this.#changed(change));
  }

  deliver(): Reach {
    return NOBODY;
  }

  call(): Called | undefined {
    return undefined;
  }

  #note(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#wrong ??= error as Error;
    }
  }

  /** Steps of this app come one by one, but for what goes with its owner. */
  #mayDo(step: Step): boolean {
    const entry = this.table.get(step.key);
    if (step.do === "free") return entry !== undefined && entry.owner === step.owner;
    assert.ok(step.do === "set" || step.do === "delete");
    if (entry?.owner !== undefined && entry.owner !== step.by && !step.force) return false;
    if (step.do === "set" && step.owned && entry !== undefined && entry.owner !== step.by) return false;
    return step.if === undefined || step.if === (entry?.version ?? 0);
  }

  #changed({ key, entry, before, version, taken }: Change): void {
    assert.equal(before, this.table.get(key), "the table goes from one state to the next");
    assert.ok(version > this.#newest, "versions only grow");
    this.#newest = version;
    const owner = before?.owner;
    if (entry === undefined && owner !== undefined && !this.#steps.some((step) => step.do === "delete" && step.by === owner))
      assert.ok(!taken && this.mayGo(owner), `${key} goes with its owner, and not before`);
    if (entry) this.table.set(key, entry);
    else this.table.delete(key);
    this.versions.set(version, { key, version, deleted: entry === undefined, before: before?.version ?? 0 });
    const versions = this.ofKey.get(key) ?? [];
    this.ofKey.set(key, versions);
    versions.push(version);
  }
}

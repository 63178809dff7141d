import { endOfGroup, Prefixes } from "./prefixes.js";
import type { Change, Done, Entry, Query, Step } from "./table.js";
import type { Versions } from "./versions.js";

/** An entry, and the member that speaks for its owner. */
interface Kept extends Entry {
  readonly member: string;
}

/** One table in the memory of one process. */
export class MemoryTable {
  readonly #entries = new Map<string, Kept>();
  /** The keys by their first part, so that a prefix is not looked for among all. */
  readonly #groups = new Map<string, Set<string>>();

  constructor(private readonly versions: Versions) {}

  /**
   * All steps, in their order.
   * @param all nothing happens unless every step can
   * @returns for each step whether it was done; where nothing happened, whether it could have been
   */
  change(member: string, steps: readonly Step[], all: boolean, changes: Change[]): readonly Done[] {
    const possible = all ? steps.map((step) => this.mayDo(step, this.#entries.get(step.key))) : [];
    if (possible.includes(false)) return steps.map(({ key }, i) => ({ ok: possible[i] as boolean, entry: this.get(key) }));
    return steps.map((step) => {
      const before = this.#entries.get(step.key);
      const ok = this.mayDo(step, before);
      return { ok, entry: ok ? this.#do(step, before, member, changes) : before };
    });
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  read({ keys = [], prefixes = [], owned = false, limit = Number.POSITIVE_INFINITY }: Query): Map<string, Entry> {
    const found = new Map<string, Entry>();
    for (const key of chain(keys, prefixes.length === 0 ? [] : this.#keysWith(new Prefixes(prefixes)))) {
      if (found.size >= limit) break;
      const entry = this.#entries.get(key);
      if (entry && (!owned || entry.owner !== undefined)) found.set(key, entry);
    }
    return found;
  }

  /** Frees all that a member speaks for: its lease is over, or it has left. */
  takeAll(member: string, changes: Change[]): void {
    for (const [key, entry] of this.#entries)
      if (entry.owner !== undefined && entry.member === member) this.#delete(key, entry, true, changes);
  }

  /** @param entry what its key holds */
  mayDo(step: Step, entry: Kept | undefined): boolean {
    switch (step.do) {
      case "claim":
        return entry === undefined || entry.owner === step.owner;
      case "amend":
      case "free":
        return entry !== undefined && entry.owner === step.owner;
      case "break":
        return entry !== undefined;
      default:
        if (entry?.owner !== undefined && entry.owner !== step.by && !step.force) return false;
        if (step.do === "set" && step.owned && entry !== undefined && entry.owner !== step.by) return false;
        return step.if === undefined || step.if === (entry?.version ?? 0);
    }
  }

  /** @returns what the key holds now */
  #do(step: Step, before: Kept | undefined, member: string, changes: Change[]): Entry | undefined {
    switch (step.do) {
      case "claim": {
        const { key, value, owner } = step;
        return before ?? this.#put(key, before, { value, version: this.versions.next(), owner, member }, changes);
      }
      case "amend":
        return this.#put(step.key, before, { ...(before as Kept), value: step.value }, changes);
      case "set": {
        const { key, value, by, owned } = step;
        return this.#put(key, before, { value, version: this.versions.next(), owner: owned ? by : undefined, member }, changes);
      }
      default:
        return before && this.#delete(step.key, before, step.do === "break", changes);
    }
  }

  #put(key: string, before: Kept | undefined, entry: Kept, changes: Change[]): Entry {
    this.#entries.set(key, entry);
    if (before === undefined) {
      const group = this.#groups.get(groupOf(key));
      if (group) group.add(key);
      else this.#groups.set(groupOf(key), new Set([key]));
    }
    changes.push({ key, entry, before, version: entry.version, taken: false });
    return entry;
  }

  #delete(key: string, before: Kept, taken: boolean, changes: Change[]): undefined {
    this.#entries.delete(key);
    const name = groupOf(key);
    const group = this.#groups.get(name);
    group?.delete(key);
    if (group?.size === 0) this.#groups.delete(name);
    changes.push({ key, entry: undefined, before, version: this.versions.next(), taken });
  }

  /** The keys that begin with one of the prefixes: of a group that a prefix ends in all are looked at, of one that begins with it none need be. */
  *#keysWith(prefixes: Prefixes): Iterable<string> {
    for (const name of prefixes.groups) for (const key of this.#groups.get(name) ?? []) if (prefixes.fit(key)) yield key;
    if (prefixes.open) for (const [name, keys] of this.#groups) if (prefixes.fit(name)) yield* keys;
  }
}

function groupOf(key: string): string {
  const end = endOfGroup(key);
  return end === -1 ? key : key.slice(0, end);
}

function* chain<T>(...all: readonly Iterable<T>[]): Iterable<T> {
  for (const each of all) yield* each;
}

import { type Change, type Done, type Entry, type Query, SEPARATORS, type Step } from "./table.js";

/** An entry, and the member that speaks for its owner. */
interface Kept extends Entry {
  readonly member: string;
}

/** The next of the versions of all tables. */
export type NextVersion = () => number;

/** One table in the memory of one process. */
export class MemoryTable {
  readonly #entries = new Map<string, Kept>();
  /** The keys by their first part, so that a prefix is not looked for among all. */
  readonly #groups = new Map<string, Set<string>>();

  constructor(private readonly nextVersion: NextVersion) {}

  /**
   * All steps, in their order.
   * @param all nothing happens unless every step can
   * @returns for each step whether it was done; where nothing happened, whether it could have been
   */
  change(member: string, steps: readonly Step[], all: boolean, changes: Change[]): readonly Done[] {
    const possible = all ? steps.map((step) => this.#mayDo(step)) : [];
    if (possible.includes(false)) return steps.map(({ key }, i) => ({ ok: possible[i] as boolean, entry: this.get(key) }));
    return steps.map((step) => {
      const ok = this.#mayDo(step);
      if (ok) this.#do(step, member, changes);
      return { ok, entry: this.get(step.key) };
    });
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  read({ keys = [], prefixes = [] }: Query): Map<string, Entry> {
    const found = new Map<string, Entry>();
    for (const key of keys) this.#collect(key, found);
    for (const prefix of prefixes) for (const key of this.#keysLike(prefix)) if (key.startsWith(prefix)) this.#collect(key, found);
    return found;
  }

  /** Frees all that a member speaks for: its lease is over, or it has left. */
  takeAll(member: string, changes: Change[]): void {
    for (const [key, entry] of this.#entries) if (entry.owner !== undefined && entry.member === member) this.#delete(key, true, changes);
  }

  #mayDo(step: Step): boolean {
    const entry = this.#entries.get(step.key);
    switch (step.do) {
      case "claim":
        return entry === undefined || entry.owner === step.owner;
      case "amend":
      case "free":
        return entry !== undefined && entry.owner === step.owner;
      case "break":
        return entry !== undefined;
      default:
        if (entry?.owner !== undefined && entry.owner !== step.by) return false;
        return step.if === undefined || step.if === (entry?.version ?? 0);
    }
  }

  #do(step: Step, member: string, changes: Change[]): void {
    const { key } = step;
    const before = this.#entries.get(key);
    switch (step.do) {
      case "claim":
        if (before === undefined) this.#put(key, { value: step.value, version: this.nextVersion(), owner: step.owner, member }, changes);
        break;
      case "amend":
        this.#put(key, { ...(before as Kept), value: step.value }, changes);
        break;
      case "set":
        this.#put(key, { value: step.value, version: this.nextVersion(), owner: step.owned ? step.by : undefined, member }, changes);
        break;
      default:
        if (before !== undefined) this.#delete(key, step.do === "break", changes);
    }
  }

  #put(key: string, entry: Kept, changes: Change[]): void {
    const before = this.#entries.get(key);
    this.#entries.set(key, entry);
    if (before === undefined) {
      const group = this.#groups.get(groupOf(key));
      if (group) group.add(key);
      else this.#groups.set(groupOf(key), new Set([key]));
    }
    changes.push({ key, entry, before, version: entry.version, taken: false });
  }

  #delete(key: string, taken: boolean, changes: Change[]): void {
    const before = this.#entries.get(key);
    this.#entries.delete(key);
    const name = groupOf(key);
    const group = this.#groups.get(name);
    group?.delete(key);
    if (group?.size === 0) this.#groups.delete(name);
    changes.push({ key, entry: undefined, before, version: this.nextVersion(), taken });
  }

  #collect(key: string, found: Map<string, Entry>): void {
    const entry = this.#entries.get(key);
    if (entry) found.set(key, entry);
  }

  /** The keys that may begin with a prefix. */
  *#keysLike(prefix: string): Iterable<string> {
    const end = endOfGroup(prefix);
    if (end !== -1) yield* this.#groups.get(prefix.slice(0, end)) ?? [];
    else for (const [name, keys] of this.#groups) if (name.startsWith(prefix)) yield* keys;
  }
}

function groupOf(key: string): string {
  const end = endOfGroup(key);
  return end === -1 ? key : key.slice(0, end);
}

function endOfGroup(key: string): number {
  for (let i = 0; i < key.length; i++) if (SEPARATORS.includes(key.charAt(i))) return i;
  return -1;
}

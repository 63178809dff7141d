import type { MaybePromise } from "../app.js";
import { type Clock, systemClock } from "../clock.js";
import type { Frame } from "../frame.js";
import { type Address, anybody, type Called, type Cluster, type Member, type Reach, sum } from "./cluster.js";
import { MemoryTable } from "./memory-table.js";
import type { Change, Done, Entry, Query, Step } from "./table.js";

/** µs in a ms. */
const MICROSECONDS = 1_000;

/** Until when a member is believed to live, ms of the monotonic clock; Infinity: it was not, and what it had is free. */
interface Lease {
  until: number;
}

/** Hubs of one process, usually just the one: direct calls, nothing can fail. */
export class MemoryCluster implements Cluster {
  readonly #members = new Map<Member, Lease>();
  readonly #tables = new Map<string, MemoryTable>();
  #lastVersion = 0;
  /** What is yet to be told: whoever is told of one change may make another. */
  #untold: (readonly [table: string, changes: readonly Change[]])[] | undefined;

  constructor(private readonly clock: Clock = systemClock) {}

  join(member: Member): void {
    this.#members.set(member, { until: this.clock.now() + member.lease });
  }

  leave(member: Member): void {
    this.#takeAllOf(member);
    this.#members.delete(member);
  }

  send(from: Member, to: Address, frame: Frame): Reach {
    let reach = from.deliver(to, frame);
    if ("uuid" in to && anybody(reach)) return reach;
    for (const member of this.#members.keys()) if (member !== from) reach = sum(reach, member.deliver(to, frame));
    return reach;
  }

  call(from: Member, uuid: string, app: string, message: unknown): MaybePromise<Called | undefined> {
    const here = from.call(uuid, app, message);
    if (here !== undefined) return here;
    for (const member of this.#members.keys()) {
      const there = member === from ? undefined : member.call(uuid, app, message);
      if (there !== undefined) return there;
    }
    return undefined;
  }

  renew(member: Member): void {
    this.#judge();
    const lease = this.#members.get(member);
    if (lease) lease.until = this.clock.now() + member.lease;
  }

  change(from: Member, name: string, steps: readonly Step[], all = false): readonly Done[] {
    this.renew(from);
    const changes: Change[] = [];
    const done = this.#table(name).change(from.id, steps, all, changes);
    this.#tell(name, changes);
    return done;
  }

  read(from: Member, name: string, query: Query): ReadonlyMap<string, Entry> {
    this.renew(from);
    return this.#table(name).read(query);
  }

  /** Whoever comes first after a stall of the process: what was over meanwhile is over. */
  #judge(): void {
    const now = this.clock.now();
    for (const [member, lease] of this.#members) {
      if (lease.until >= now) continue;
      lease.until = Number.POSITIVE_INFINITY;
      this.#takeAllOf(member);
    }
  }

  #takeAllOf(member: Member): void {
    for (const [name, table] of this.#tables) {
      const changes: Change[] = [];
      table.takeAll(member.id, changes);
      this.#tell(name, changes);
    }
  }

  /** Everybody is told of everything in one order. */
  #tell(name: string, changes: readonly Change[]): void {
    if (changes.length === 0) return;
    if (this.#untold) {
      this.#untold.push([name, changes]);
      return;
    }
    this.#untold = [[name, changes]];
    for (let next = this.#untold.shift(); next; next = this.#untold.shift())
      for (const member of this.#members.keys()) member.changed(...next);
    this.#untold = undefined;
  }

  #table(name: string): MemoryTable {
    let table = this.#tables.get(name);
    if (table === undefined) {
      table = new MemoryTable(() => this.#nextVersion());
      this.#tables.set(name, table);
    }
    return table;
  }

  /** The wall clock may be set back while the hub runs, but not behind a version that was given. */
  #nextVersion(): number {
    this.#lastVersion = Math.max(this.#lastVersion + 1, this.clock.time() * MICROSECONDS);
    return this.#lastVersion;
  }
}

import type { MaybePromise } from "../app.js";
import { type Clock, systemClock } from "../clock.js";
import type { Frame } from "../frame.js";
import { type Address, anybody, type Called, type Cluster, type Member, type Reach, sum } from "./cluster.js";
import { Leases } from "./leases.js";
import { MemoryTable } from "./memory-table.js";
import type { Change, Done, Entry, Query, Step } from "./table.js";
import { Versions } from "./versions.js";

/** Hubs of one process, usually just the one: direct calls, nothing can fail. */
export class MemoryCluster implements Cluster {
  readonly #members = new Set<Member>();
  readonly #tables = new Map<string, MemoryTable>();
  private readonly leases: Leases;
  readonly #versions: Versions;
  /** What is yet to be told: whoever is told of one change may make another. */
  #untold: (readonly [table: string, changes: readonly Change[]])[] | undefined;

  constructor(clock: Clock = systemClock) {
    this.leases = new Leases(clock);
    this.#versions = new Versions(clock);
  }

  join(member: Member): void {
    this.#members.add(member);
    this.leases.renew(member);
  }

  leave(member: Member): void {
    this.#takeAllOf(member);
    this.#members.delete(member);
    this.leases.end(member);
  }

  send(from: Member, to: Address, frame: Frame): Reach {
    let reach = from.deliver(to, frame);
    if ("uuid" in to && anybody(reach)) return reach;
    for (const member of this.#members) if (member !== from) reach = sum(reach, member.deliver(to, frame));
    return reach;
  }

  call(from: Member, uuid: string, app: string, message: unknown): MaybePromise<Called | undefined> {
    const here = from.call(uuid, app, message);
    if (here !== undefined) return here;
    for (const member of this.#members) {
      const there = member === from ? undefined : member.call(uuid, app, message);
      if (there !== undefined) return there;
    }
    return undefined;
  }

  renew(member: Member): void {
    this.#judge();
    if (this.#members.has(member)) this.leases.renew(member);
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
    for (const member of this.leases.expired()) this.#takeAllOf(member);
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
    for (let next = this.#untold.shift(); next; next = this.#untold.shift()) for (const member of this.#members) member.changed(...next);
    this.#untold = undefined;
  }

  #table(name: string): MemoryTable {
    let table = this.#tables.get(name);
    if (table === undefined) {
      table = new MemoryTable(this.#versions);
      this.#tables.set(name, table);
    }
    return table;
  }
}

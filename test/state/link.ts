import { Refusal } from "../../protocol/index.js";
import type { Change, Done, Entry, Query, Step } from "../../server/app.js";
import type { Address, Cluster, Member, Reach } from "../../server/cluster/cluster.js";
import type { MemoryCluster } from "../../server/cluster/memory.js";
import type { Frame } from "../../server/frame.js";
import type { Random } from "../simulation/random.js";

/** Sees each change happen. */
export interface Witness {
  during(steps: readonly Step[], change: () => readonly Done[]): readonly Done[];
}

/**
 * A hub's way to tables that are somewhere else: what it asks for is done later, what it is told it is told later still, each in its order.
 * What it reads is what it has been told at the moment when the answer arrives.
 */
export class Link implements Cluster {
  /** Out of ten readings so many fail. */
  failing = 0;
  readonly #outgoing: (() => void)[] = [];
  readonly #incoming: (() => void)[] = [];
  readonly #told = new Map<string, Entry>();
  #member: Member | undefined;

  constructor(
    private readonly cluster: MemoryCluster,
    private readonly witness: Witness,
    private readonly random: Random,
  ) {}

  get quiet(): boolean {
    return this.#outgoing.length + this.#incoming.length === 0;
  }

  /** One thing that is on its way arrives, or several in one turn. */
  step(): void {
    const way = this.random.pick([this.#outgoing, this.#incoming]);
    for (let n = this.random.pick([1, 1, 2, 5]); n > 0; n--) way.shift()?.();
  }

  join(hub: Member): void {
    const { id, lease } = hub;
    this.#member = {
      id,
      lease,
      deliver: (to, frame) => hub.deliver(to, frame),
      call: (...args) => hub.call(...args),
      changed: (table, changes) =>
        void this.#incoming.push(() => {
          this.#note(changes);
          hub.changed(table, changes);
        }),
    };
    this.cluster.join(this.#member);
    for (const [key, entry] of this.cluster.read(this.#member, "state", { prefixes: [""] })) this.#told.set(key, entry);
  }

  leave(): void {
    this.cluster.leave(this.#member as Member);
  }

  send(_from: Member, to: Address, frame: Frame): Reach {
    return this.cluster.send(this.#member as Member, to, frame);
  }

  call(_from: Member, uuid: string, app: string, message: unknown): ReturnType<Cluster["call"]> {
    return this.cluster.call(this.#member as Member, uuid, app, message);
  }

  renew(): void {
    this.cluster.renew(this.#member as Member);
  }

  change(_from: Member, table: string, steps: readonly Step[], all?: boolean): Promise<readonly Done[]> {
    return new Promise((resolve) => {
      this.#outgoing.push(() => {
        const made = this.witness.during(steps, () => this.cluster.change(this.#member as Member, table, steps, all));
        this.#incoming.push(() => resolve(made));
      });
    });
  }

  read(_from: Member, _table: string, query: Query): Promise<ReadonlyMap<string, Entry>> {
    return new Promise((resolve, reject) => {
      this.#outgoing.push(() => {
        const fails = this.random.below(10) < this.failing;
        this.#incoming.push(() =>
          fails ? reject(new Refusal("unavailable", "The tables cannot be reached.")) : resolve(this.#find(query)),
        );
      });
    });
  }

  #note(changes: readonly Change[]): void {
    for (const { key, entry } of changes) {
      if (entry) this.#told.set(key, entry);
      else this.#told.delete(key);
    }
  }

  #find({ keys = [], prefixes = [] }: Query): Map<string, Entry> {
    return new Map([...this.#told].filter(([key]) => keys.includes(key) || prefixes.some((prefix) => key.startsWith(prefix))));
  }
}

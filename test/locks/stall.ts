import type { Address, Cluster, Member, Reach } from "../../server/cluster/cluster.js";
import type { Done, Entry, Query, Step } from "../../server/cluster/table.js";
import type { Frame } from "../../server/frame.js";
import type { Random } from "../simulation/random.js";
import { TestClock } from "../support/clock.js";

/** A hub that may stand still. What comes for it meanwhile waits: in order for each source, and in no order among the sources. */
export class Stall {
  standing = false;
  readonly #waiting = new Map<unknown, (() => void)[]>();

  /** Now, or when the hub goes on and has done what had come before from this source. */
  do(source: unknown, action: () => void): void {
    const waiting = this.#waiting.get(source);
    if (waiting) waiting.push(action);
    else if (this.standing) this.#waiting.set(source, [action]);
    else action();
  }

  /** All that waits from one source. */
  catchUp(source: unknown): void {
    while (this.#waiting.has(source)) this.#doNext(source);
  }

  /** The hub goes on: what its sockets received, its timers and the cluster's news come in any order. */
  goOn(random: Random, endTurn: () => void): void {
    this.standing = false;
    while (this.#waiting.size > 0) {
      this.#doNext(random.pick([...this.#waiting.keys()]));
      if (random.chance(0.5)) endTurn();
    }
  }

  #doNext(source: unknown): void {
    const waiting = this.#waiting.get(source) as (() => void)[];
    const action = waiting.shift() as () => void;
    if (waiting.length === 0) this.#waiting.delete(source);
    action();
  }
}

/** The time of all, as a hub sees it that may stand still: its callbacks wait meanwhile, those of an interval as one. */
export class StallingClock extends TestClock {
  constructor(
    private readonly shared: TestClock,
    private readonly stall: Stall,
  ) {
    super();
  }

  override now(): number {
    return this.shared.now();
  }

  override time(): number {
    return this.shared.time();
  }

  override after(ms: number, callback: () => void): () => void {
    return this.#hold(callback, (held) => this.shared.after(ms, held));
  }

  override every(ms: number, callback: () => void): () => void {
    return this.#hold(callback, (held) => this.shared.every(ms, held));
  }

  override turn(callback: () => void): void {
    this.shared.turn(callback);
  }

  override endTurn(): void {
    this.shared.endTurn();
  }

  #hold(callback: () => void, start: (held: () => void) => () => void): () => void {
    let waits = false;
    let cancelled = false;
    const cancel = start(() => {
      if (waits) return;
      waits = true;
      this.stall.do(this, () => {
        waits = false;
        if (!cancelled) callback();
      });
    });
    return () => {
      cancelled = true;
      cancel();
    };
  }
}

/** Knows of each call of a member. */
export interface Witness {
  called<T>(member: Member, call: () => T): T;
}

/** The cluster, as a hub sees it that may stand still: what it is told meanwhile it hears at the latest before a call of its own settles. */
export class StallingCluster implements Cluster {
  #member: Member | undefined;

  constructor(
    private readonly cluster: Cluster,
    private readonly stall: Stall,
    private readonly witness: Witness,
  ) {}

  join(hub: Member): void {
    const { id, lease } = hub;
    const member: Member = {
      id,
      lease,
      deliver: (to, frame) => hub.deliver(to, frame),
      call: (...args) => hub.call(...args),
      changed: (...args) => this.stall.do(this, () => hub.changed(...args)),
    };
    this.#member = member;
    this.#call(() => this.cluster.join(member));
  }

  leave(): void {
    this.#call((member) => this.cluster.leave(member));
  }

  send(_from: Member, to: Address, frame: Frame): Reach {
    return this.#call((member) => this.cluster.send(member, to, frame)) as Reach;
  }

  call(_from: Member, uuid: string, app: string, message: unknown): ReturnType<Cluster["call"]> {
    return this.#call((member) => this.cluster.call(member, uuid, app, message));
  }

  renew(): void {
    this.#call((member) => this.witness.called(member, () => this.cluster.renew(member)));
  }

  change(_from: Member, table: string, steps: readonly Step[], all?: boolean): readonly Done[] {
    return this.#call((member) => this.witness.called(member, () => this.cluster.change(member, table, steps, all))) as readonly Done[];
  }

  read(_from: Member, table: string, query: Query): ReadonlyMap<string, Entry> {
    return this.#call((member) => this.witness.called(member, () => this.cluster.read(member, table, query))) as ReadonlyMap<string, Entry>;
  }

  #call<T>(call: (member: Member) => T): T {
    this.stall.catchUp(this);
    return call(this.#member as Member);
  }
}

import type { MaybePromise } from "../app.js";
import type { Frame } from "../frame.js";
import { type Address, anybody, type Called, type Cluster, type Member, type Reach, sum } from "./cluster.js";

/** Hubs of one process, usually just the one: direct calls, nothing can fail. */
export class MemoryCluster implements Cluster {
  readonly #members = new Set<Member>();

  join(member: Member): void {
    this.#members.add(member);
  }

  leave(member: Member): void {
    this.#members.delete(member);
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
}

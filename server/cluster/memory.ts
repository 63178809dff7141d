import type { Frame } from "../frame.js";
import type { Address, Cluster, Member, Reach } from "./cluster.js";

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
    const own = from.deliver(to, frame);
    if (this.#members.size === 1 || ("uuid" in to && own.sent + own.deaf > 0)) return own;
    let { sent, deaf } = own;
    for (const member of this.#members) {
      if (member === from) continue;
      const reach = member.deliver(to, frame);
      sent += reach.sent;
      deaf += reach.deaf;
    }
    return { sent, deaf };
  }
}

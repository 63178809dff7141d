import type { Clock } from "../clock.js";
import type { Member } from "./cluster.js";

/** How long each member is believed to live without another sign of life. */
export class Leases {
  /** ms of the monotonic clock; Infinity: it was over, and that has been said. */
  readonly #until = new Map<Member, number>();

  constructor(private readonly clock: Clock) {}

  renew(member: Member): void {
    this.#until.set(member, this.clock.now() + member.lease);
  }

  end(member: Member): void {
    this.#until.delete(member);
  }

  /** Those whose time is over, each once until it shows a sign of life again. */
  *expired(): Iterable<Member> {
    const now = this.clock.now();
    for (const [member, until] of this.#until) {
      if (until >= now) continue;
      this.#until.set(member, Number.POSITIVE_INFINITY);
      yield member;
    }
  }
}

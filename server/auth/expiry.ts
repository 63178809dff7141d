import { Fault, type MaybePromise } from "../../protocol/index.js";
import type { Clock } from "../clock.js";
import type { Identity } from "./authenticator.js";

/** Somebody whose identity ends while it is connected [AUTH-5]. An object and no functions: of each page there is one. */
export interface Expiring {
  /** It ends in so many ms. */
  warn(ms: number): void;
  /** Asks whether it still holds. Fails with a Fault like the gate. */
  renew(ask: NonNullable<Identity["renew"]>): MaybePromise<Identity | undefined>;
  /** It holds for longer. */
  renewed(identity: Identity): void;
  expire(fault: Fault): void;
}

/** Between two questions whether an identity still holds while that cannot be known, ms. */
const ASK_AGAIN = 5_000;
/** So many ms before its end a login is asked for again: time for the one who is asked to answer, twice. */
const RENEW_BEFORE = 10_000;
/** What lies further ahead, ms, has no timer yet: of each page it would be half a KiB, for hours. */
const NEAR = 2_000;
const LOG_IN = "The login has expired: log in again.";

/** Those whose time lies ahead: looked at about once a second. */
export class Calendar {
  readonly #far = new Set<Expiry>();

  /** @param warning ms before the end at which a peer is warned, where the hub cannot ask itself */
  constructor(
    readonly clock: Clock,
    readonly warning: number,
  ) {}

  add(expiry: Expiry): void {
    this.#far.add(expiry);
  }

  delete(expiry: Expiry): void {
    this.#far.delete(expiry);
  }

  tick(): void {
    const now = this.clock.time();
    for (const expiry of this.#far) {
      if (expiry.at - now > NEAR) continue;
      this.#far.delete(expiry);
      expiry.near();
    }
  }
}

/** Ends what somebody may do when it is not known any more who that is: asks again in time, or warns, and closes at last. */
export class Expiry {
  /** When something is to be done, ms since 1970. */
  at = 0;
  #then: "ask" | "end" = "ask";
  #identity: Identity | undefined;
  /** Why it could not be found out whether the identity still holds. */
  #unknown: Fault | undefined;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(
    private readonly calendar: Calendar,
    private readonly peer: Expiring,
  ) {}

  /** From now on this is the identity whose end counts, if it has one. */
  follow(identity: Identity | undefined): void {
    const same = identity?.expires === this.#identity?.expires;
    this.#identity = identity;
    this.#unknown = undefined;
    // What ends when it ended before has been asked for, or warned of, already.
    if (same) return;
    this.#letBe();
    if (identity?.expires === undefined || this.#stopped) return;
    const left = identity.expires - this.#now;
    // A part of what is short is enough: who is known for ten seconds must not be warned at once.
    const before = identity.renew ? Math.min(RENEW_BEFORE, left / 4) : Math.min(this.calendar.warning, left / 2);
    this.#wait("ask", identity.expires - before);
  }

  stop(): void {
    this.#stopped = true;
    this.#letBe();
  }

  /** ms since 1970. */
  get #now(): number {
    return this.calendar.clock.time();
  }

  /** It will be time soon. */
  near(): void {
    this.#cancel = this.calendar.clock.after(Math.max(0, this.at - this.#now), () => {
      if (this.#then === "ask") this.#due(this.#identity as Identity);
      else this.peer.expire(this.#unknown ?? new Fault("unauthorized", LOG_IN));
    });
  }

  #wait(then: "ask" | "end", at: number): void {
    this.#letBe();
    this.#then = then;
    this.at = at;
    if (at - this.#now > NEAR) this.calendar.add(this);
    else this.near();
  }

  #letBe(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.calendar.delete(this);
  }

  #due(identity: Identity): void {
    const expires = identity.expires as number;
    this.#wait("end", expires);
    if (identity.renew) void this.#ask(identity, identity.renew);
    else this.peer.warn(Math.max(0, Math.round(expires - this.#now)));
  }

  async #ask(identity: Identity, renew: NonNullable<Identity["renew"]>): Promise<void> {
    const over = (): boolean => this.#stopped || this.#identity !== identity;
    try {
      const renewed = await this.peer.renew(renew);
      if (over()) return;
      if (renewed === undefined) this.peer.expire(new Fault("unauthorized", LOG_IN));
      else this.peer.renewed(renewed);
    } catch (error) {
      if (over() || !(error instanceof Fault)) return;
      if (error.kind === "unauthorized") this.peer.expire(error);
      else this.#askAgain(identity.expires as number, error);
    }
  }

  /** It is believed for as long as it is valid, and not longer. */
  #askAgain(expires: number, unknown: Fault): void {
    this.#unknown = unknown;
    const next = this.#now + ASK_AGAIN;
    if (next < expires) this.#wait("ask", next);
  }
}

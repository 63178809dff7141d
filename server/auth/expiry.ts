import { Fault, type MaybePromise } from "../../protocol/index.js";
import type { Clock } from "../clock.js";
import type { Identity } from "./authenticator.js";

/** What happens to somebody whose identity ends while it is connected [AUTH-5]. */
export interface ExpiryEvents {
  /** It ends in so many ms. */
  warn(ms: number): void;
  /** Asks whether it still holds. Fails with a Fault like the gate. */
  renew(ask: NonNullable<Identity["renew"]>): MaybePromise<Identity | undefined>;
  /** It holds for longer. */
  renewed(identity: Identity): void;
  end(fault: Fault): void;
}

/** What a timer can wait at the most, ms, and a token is seldom valid for: after that it is looked at again. */
const LOOK = 86_400_000;
/** Between two questions whether an identity still holds while that cannot be known, ms. */
const ASK_AGAIN = 5_000;
const LOG_IN = "The login has expired: log in again.";

/** Ends what somebody may do when it is not known any more who that is: asks again in time, or warns, and closes at last. */
export class Expiry {
  #cancel: (() => void) | undefined;
  #stopped = false;
  #identity: Identity | undefined;
  /** Why it could not be found out whether the identity still holds. */
  #unknown: Fault | undefined;

  /** @param warning ms before the end at which it is asked again, or warned */
  constructor(
    private readonly clock: Clock,
    private readonly warning: number,
    private readonly events: ExpiryEvents,
  ) {}

  /** From now on this is the identity whose end counts. */
  follow(identity: Identity): void {
    this.#identity = identity;
    this.#unknown = undefined;
    this.#cancel?.();
    const { expires } = identity;
    if (expires === undefined || this.#stopped) return;
    const left = expires - this.clock.time();
    // Half of what is short is enough: who is known for ten seconds must not be warned at once.
    const wait = left - Math.min(this.warning, left / 2);
    this.#after(Math.min(wait, LOOK), () => (wait > LOOK ? this.follow(identity) : this.#due(identity, expires)));
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  #due(identity: Identity, expires: number): void {
    this.#untilEnd(expires);
    if (identity.renew) void this.#ask(identity, expires);
    else this.events.warn(expires - this.clock.time());
  }

  #untilEnd(expires: number): void {
    this.#after(Math.max(0, expires - this.clock.time()), () => this.events.end(this.#unknown ?? new Fault("unauthorized", LOG_IN)));
  }

  async #ask(identity: Identity, expires: number): Promise<void> {
    const over = (): boolean => this.#stopped || this.#identity !== identity;
    try {
      const renewed = await this.events.renew(identity.renew as NonNullable<Identity["renew"]>);
      if (over()) return;
      if (renewed === undefined) this.events.end(new Fault("unauthorized", LOG_IN));
      else this.events.renewed(renewed);
    } catch (error) {
      if (over() || !(error instanceof Fault)) return;
      if (error.kind === "unauthorized") this.events.end(error);
      else this.#askAgain(identity, expires, error);
    }
  }

  /** It is believed for as long as it is valid, and not longer. */
  #askAgain(identity: Identity, expires: number, unknown: Fault): void {
    this.#unknown = unknown;
    if (expires - this.clock.time() > ASK_AGAIN) this.#after(ASK_AGAIN, () => this.#due(identity, expires));
  }

  #after(ms: number, callback: () => void): void {
    this.#cancel?.();
    this.#cancel = this.clock.after(ms, callback);
  }
}

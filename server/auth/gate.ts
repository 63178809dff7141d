import { Fault, isThenable, type MaybePromise, quoted, Refusal, whenKnown } from "../../protocol/index.js";
import type { Log } from "../app.js";
import type { Clock } from "../clock.js";
import type { Counters } from "../counters.js";
import { shownError } from "../shown-error.js";
import { type Authenticator, type Credentials, type Identity, unauthorized } from "./authenticator.js";
import { kindOf } from "./kind-of.js";
import { tagsFrom, userOf } from "./user.js";

export interface GateParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  /** For one authenticator to answer, ms. */
  readonly authTimeout: number;
}

/** Why nobody knows who it is, found on the way from one authenticator to the next. */
interface Obstacles {
  denied: Refusal | undefined;
  unavailable: boolean;
}

/** Asks authenticators who somebody is: one after the other, and the first that knows is believed [AUTH-1]. */
export class Gate {
  constructor(private readonly parts: GateParts) {}

  /**
   * @returns who it is, or `undefined` where nothing was shown that any of them looks at
   * @throws Fault (or rejects) `unauthorized` where something was shown and is not right, `try-later` where it cannot be known [AUTH-3]
   */
  ask(authenticators: readonly Authenticator[], credentials: Credentials): MaybePromise<Identity | undefined> {
    const obstacles: Obstacles = { denied: undefined, unavailable: false };
    const able = credentials.kind === "page" ? authenticators : authenticators.filter(({ backends }) => backends);
    return whenKnown(this.#from(0, able, credentials, obstacles), (identity) => identity ?? this.#nobody(obstacles));
  }

  /**
   * Who somebody is that shows a token in the middle of the dialog: not knowing is an answer there, and no reason to end it.
   * @throws Refusal (or rejects) `unauthorized`, or `unavailable` where it cannot be known
   */
  identify(authenticators: readonly Authenticator[], credentials: Credentials): MaybePromise<Identity> {
    const able = authenticators.filter(({ afterHello }) => afterHello);
    const known = (identity: Identity | undefined): Identity => {
      if (identity === undefined) throw new Refusal("unauthorized", "This token is none that is known here.");
      return identity;
    };
    try {
      const identity = this.ask(able, credentials);
      return identity instanceof Promise ? identity.then(known, refuse) : known(identity);
    } catch (error) {
      return refuse(error);
    }
  }

  /** Does an identity still hold? Fails like {@link ask}; `undefined` is as bad as a refusal. */
  renew(renew: () => MaybePromise<Identity | undefined>): MaybePromise<Identity | undefined> {
    return this.ask([{ name: "renew", authenticate: renew }], NOTHING);
  }

  #from(i: number, all: readonly Authenticator[], credentials: Credentials, obstacles: Obstacles): MaybePromise<Identity | undefined> {
    const authenticator = all[i];
    if (authenticator === undefined) return undefined;
    return whenKnown(
      this.#one(authenticator, credentials, obstacles),
      (identity) => identity ?? this.#from(i + 1, all, credentials, obstacles),
    );
  }

  #nobody({ denied, unavailable }: Obstacles): undefined {
    if (unavailable) {
      this.parts.counters.count("authentications", "unavailable");
      throw new Fault("try-later", "Who this is cannot be found out at present.");
    }
    if (denied === undefined) return undefined;
    this.parts.counters.count("authentications", "unauthorized");
    throw new Fault("unauthorized", denied.message);
  }

  #one(authenticator: Authenticator, credentials: Credentials, obstacles: Obstacles): MaybePromise<Identity | undefined> {
    try {
      const found = authenticator.authenticate(credentials);
      if (!isThenable(found)) return this.#checked(found);
      return this.#inTime(Promise.resolve(found))
        .then((identity) => this.#checked(identity))
        .catch((error) => this.#failed(authenticator, error, obstacles));
    } catch (error) {
      return this.#failed(authenticator, error, obstacles);
    }
  }

  #inTime(found: Promise<Identity | undefined>): Promise<Identity | undefined> {
    const { clock, authTimeout } = this.parts;
    return new Promise((resolve, reject) => {
      const cancel = clock.after(authTimeout, () => reject(new Error(`No answer within \`authTimeout\` ${authTimeout} ms.`)));
      found.finally(cancel).then(resolve, reject);
    });
  }

  #checked(identity: Identity | undefined): Identity | undefined {
    if (identity === undefined || identity === null) return undefined;
    const checked = checkIdentity(identity);
    if (checked.expires !== undefined && checked.expires <= this.parts.clock.time()) throw unauthorized("The login has expired.");
    this.parts.counters.count("authentications", "welcome");
    return checked;
  }

  #failed({ name }: Authenticator, error: unknown, obstacles: Obstacles): undefined {
    if (error instanceof Refusal) obstacles.denied ??= error;
    else {
      obstacles.unavailable = true;
      this.parts.log.error("auth.failed", { authenticator: name, ...shownError(error) });
    }
    return undefined;
  }
}

function refuse(error: unknown): never {
  if (!(error instanceof Fault)) throw error;
  throw new Refusal(error.kind === "unauthorized" ? "unauthorized" : "unavailable", error.message);
}

const NOTHING: Credentials = { kind: "page", path: "", address: "", headers: {}, protocols: [] };

/**
 * What a function of the application's own has returned may lack something, or be something else.
 * @throws Error for the log: it is the application's slip
 */
function checkIdentity(identity: Identity): Identity {
  const { user, tags, expires, renew }: Partial<Identity> = typeof identity === "object" ? identity : {};
  if (typeof user !== "object" || user === null)
    throw wrong(`Expected an authenticator to return { user: { id, … } }, or nothing, got ${kindOf(identity)} without a user.`);
  if (expires !== undefined && !(Number.isFinite(expires) && expires > SECONDS))
    throw wrong(`Expected \`expires\` of an identity to be ms since 1970, got ${quoted(expires)}: are they seconds?`);
  return { user: userOf(user, NAMES, wrong), tags: tags && tagsFrom(tags, "`tags` of an identity", wrong), expires, renew };
}

/** What is less is no time in ms since 1970 (1973), but one in seconds. */
const SECONDS = 1e11;

const NAMES = { id: "`id` of a user", name: "`name` of a user", roles: "`roles` of a user" };
const wrong = (sentence: string): Error => new Error(sentence);

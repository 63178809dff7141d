import { createHash, randomBytes, randomUUID } from "node:crypto";
import { type MaybePromise, type Packet, quoted, Refusal, splitWord, type Tags, tagsOf, whenKnown } from "../../protocol/index.js";
import type { App, AppHub, Entry } from "../app.js";
import { type Authenticator, type Identity, type User, unauthorized } from "./authenticator.js";
import { userOf } from "./user.js";

export interface TicketOptions {
  /** For how long a ticket can be shown, ms, default 30,000: a page that was just served connects within seconds. */
  readonly validFor?: number;
}

/** Tickets that have been issued by one hub and not been shown: whoever asks for more does not hand them out. */
const MAX_OPEN = 100_000;
const TICKET_BYTES = 24;
/** In front of one, so that other authenticators let it be; also as a subprotocol. */
const PREFIX = "ticket.";

/** What is kept of one, under the hash of its text. */
interface Kept {
  readonly until: number;
  readonly user: User;
  readonly tags?: Tags;
  readonly expires?: number;
}

/**
 * Tickets that the application's backend takes from the hub, `{"opcode":"ticket","user":{"id":"anna"}}`, and hands to the page that it serves: each opens the hub once,
 * within seconds, for the user it was issued for [AUTH-7]. The page shows it as `token` or as the subprotocol `ticket.…`.
 */
export function tickets({ validFor = 30_000 }: TicketOptions = {}): Authenticator {
  const office = new TicketOffice(validFor);
  const app: App = {
    name: "tickets",
    opcodes: { ticket: (packet) => office.issue(packet) },
    words: { ticket: ticketWords },
    allow: { ticket: "backend" },
    start: (hub) => office.start(hub),
    stop: () => office.stop(),
    status: () => ({ open: office.open }),
  };
  return {
    name: "tickets",
    afterHello: true,
    app,
    authenticate({ protocols, token }) {
      const ticket = [token ?? "", ...protocols].find((each) => each.startsWith(PREFIX));
      return ticket === undefined ? undefined : office.redeem(ticket);
    },
  };
}

/** Issues and redeems: kept in a table that all hubs share, so that a page may show it to any of them. */
class TicketOffice {
  #hub: AppHub | undefined;
  /** In whose name they are kept: they go with this hub. */
  readonly #owner = randomUUID();
  /** Issued here and neither shown nor expired, each with what cancels its end. */
  readonly #open = new Map<string, () => void>();

  constructor(private readonly validFor: number) {}

  get open(): number {
    return this.#open.size;
  }

  start(hub: AppHub): void {
    this.#hub = hub;
  }

  stop(): void {
    for (const cancel of this.#open.values()) cancel();
    this.#open.clear();
  }

  /** @throws Refusal */
  issue(packet: Packet): MaybePromise<string> {
    const { table, clock } = this.#hub as AppHub;
    if (this.#open.size >= MAX_OPEN) throw new Refusal("too-many-tickets", `${MAX_OPEN} tickets have been issued and not been shown.`);
    const ticket = PREFIX + randomBytes(TICKET_BYTES).toString("base64url");
    const key = keyOf(ticket);
    const value: Kept = { until: clock.time() + this.validFor, ...holderOf(packet, clock.time()) };
    this.#open.set(
      key,
      clock.after(this.validFor, () => this.#expire(key)),
    );
    const set = table.change([{ do: "set", key, by: this.#owner, value, owned: true }]);
    return whenKnown(set, () => ticket);
  }

  /** @throws Refusal (or rejects) where it is none, or none any more */
  redeem(ticket: string): MaybePromise<Identity> {
    const { table } = this.#hub as AppHub;
    const key = keyOf(ticket);
    return whenKnown(table.read({ keys: [key] }), (found) => {
      const entry = found.get(key);
      if (entry === undefined) throw USED;
      return whenKnown(this.#remove(key, entry), (removed) => {
        if (!removed) throw USED;
        return this.#identityOf(entry.value as Kept);
      });
    });
  }

  /** Of two that show it at once one comes too late. */
  #remove(key: string, { version }: Entry): MaybePromise<boolean> {
    const { table } = this.#hub as AppHub;
    this.#open.get(key)?.();
    this.#open.delete(key);
    const step = { do: "delete", key, by: this.#owner, force: true, if: version } as const;
    return whenKnown(table.change([step]), ([done]) => done?.ok === true);
  }

  #identityOf({ until, user, tags, expires }: Kept): Identity {
    const { clock } = this.#hub as AppHub;
    if (clock.time() > until) throw USED;
    return { user, tags, expires };
  }

  #expire(key: string): void {
    if (!this.#open.delete(key)) return;
    const { table } = this.#hub as AppHub;
    const gone = table.change([{ do: "delete", key, by: this.#owner }]);
    // Where the others cannot be reached it goes with this hub; it is out of date in any case.
    if (gone instanceof Promise) gone.catch(() => {});
  }
}

const USED = unauthorized("The ticket has been used, or is out of date: the page needs another one.");

/** A ticket is a secret: what is kept opens nothing. */
const keyOf = (ticket: string): string => createHash("sha256").update(ticket).digest("base64url");

function holderOf({ user, tags, expires }: Packet, now: number): Omit<Kept, "until"> {
  if (expires !== undefined && !(Number.isFinite(expires) && (expires as number) > now))
    throw new Refusal("bad-message", `Expected \`expires\` to be ms since 1970 that lie ahead, got ${quoted(expires)}: are they seconds?`);
  return {
    user: userOf((typeof user === "object" && user !== null ? user : {}) as User, NAMES, bad),
    ...(tags === undefined ? undefined : { tags: tagsOf(tags) }),
    ...(expires === undefined ? undefined : { expires: expires as number }),
  };
}

const NAMES = { id: "`user.id`", name: "`user.name`", roles: "`user.roles`" };
const bad = (sentence: string): Refusal => new Refusal("bad-message", sentence);

/** `ticket ID [ROLE,ROLE|- [NAME]]` */
function ticketWords(args: string): Packet {
  const [id, more] = splitWord(args);
  const [roles, name] = splitWord(more);
  const list = roles === "" || roles === "-" ? [] : roles.split(",");
  return { opcode: "ticket", user: { id, roles: list, ...(name === "" ? undefined : { name }) } };
}

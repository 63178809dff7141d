import { type HubClient, RefusedError } from "../client/index.js";
import type { Packet } from "../protocol/index.js";
import type { EventTargetOf } from "./events.js";
import { expected } from "./expected.js";
import { type Holding, LockEvent, type LockEventType, type LockInfo } from "./lock-event.js";

/** A number is an id in decimal. */
export type Id = string | number;

/** A list, a set, …; a text, whose characters would be ids, is none. */
export type Ids = Iterable<Id> & object;

/** How the connection ends for good. */
export interface Ends {
  readonly over: AbortSignal;
  /** Before that, where the page has closed it itself. */
  readonly left: AbortSignal;
}

/** Ids and whose they are. */
export interface Holdings {
  /** Fences by id. */
  readonly mine: ReadonlyMap<string, number>;
  readonly held: ReadonlyMap<string, Holding>;
}

/** The same as it comes from the hub; `__proto__` may be an id. */
interface Answer {
  readonly mine: Readonly<Record<string, number>>;
  readonly held: Readonly<Record<string, Holding>>;
  readonly more?: true;
}

const Base = EventTarget as unknown as new () => EventTargetOf<LockEventType, LockEvent>;

/**
 * The locks of one space, as this page sees them (PROTOCOL.md, chapter 17). An event `change` follows each difference in `mine` and `held`,
 * whoever made it, this page too; when it is raised both are up to date. After a break that the hub has bridged everything is as it was.
 * Where this page is new to the hub all that was `mine` is `lost`, and the last view is said again.
 */
export class Locks extends Base implements Holdings {
  readonly mine: ReadonlyMap<string, number> = new Map();
  /** What others have of the ids that the last view named. */
  readonly held: ReadonlyMap<string, Holding> = new Map();
  /** What `lock` took and `unlock` has not given back, after a reload too: it is kept whatever is viewed. */
  readonly locked: ReadonlySet<string>;
  readonly #mine = this.mine as Map<string, number>;
  readonly #held = this.held as Map<string, Holding>;
  readonly #locked: Set<string>;
  /** What the last view named, and what of it was this page's. */
  #named: ReadonlySet<string> = new Set();
  #viewing = new Set<string>();
  /** What the page wants to view, whether or not the hub has heard of it. */
  #wanted: readonly Id[] = [];

  /**
   * @param locked by this page, before it was loaded anew
   */
  constructor(
    private readonly hub: HubClient,
    readonly space: string,
    private readonly ends: Ends,
    locked: Iterable<string> = [],
  ) {
    super();
    this.locked = this.#locked = new Set(locked);
    // Whoever waits for an answer goes on a moment later; a push right behind it must not overtake that.
    hub.addEventListener("lock", ({ packet }) => queueMicrotask(() => this.#hear(packet)));
    hub.addEventListener("close", () => !hub.mayResume && this.#lose());
    hub.addEventListener("fresh", () => {
      this.#lose();
      // Where there is no connection again, there will be another `fresh`.
      if (this.#wanted.length > 0) this.view(this.#wanted).catch(() => {});
    });
    ends.over.addEventListener("abort", () => this.#lose());
  }

  /**
   * Says what this page shows: claims what is free of it, gives back what an earlier view had claimed and this one does not name. From
   * now on each change of these ids is an event.
   * @returns whose they are
   * @throws RefusedError (rejects) `too-many-locks`, `bad-message`; ClosedError; TypeError
   */
  async view(ids: Ids): Promise<Holdings> {
    const { list, named } = namedBy(ids);
    const viewed = this.#ask("view", list, (answer) => {
      const holdings = holdingsOf(answer);
      const dropped = [...this.mine.keys(), ...this.held.keys()].filter((id) => !named.has(id) && !this.locked.has(id));
      this.#named = named;
      this.#viewing = new Set(holdings.mine.keys());
      this.#take([...dropped, ...named], holdings);
      return holdings;
    });
    // Not before it is sent: where that brings `fresh`, this one need not be said again.
    this.#wanted = list;
    viewed.catch((error) => {
      if (this.#wanted === list && error instanceof RefusedError) this.#wanted = [...this.#named];
    });
    return viewed;
  }

  /**
   * Locks all of them, or none. They stay this page's, over a reload too, until `unlock`.
   * @returns their fences
   * @throws RefusedError (rejects) `locked`, whose `result.held` says whose they are, `too-many-locks`, `bad-message`; ClosedError; TypeError
   */
  async lock(ids: Ids): Promise<ReadonlyMap<string, number>> {
    const { list, named } = namedBy(ids);
    return this.#ask("lock", list, (answer) => {
      const holdings = holdingsOf(answer);
      for (const id of named) this.#locked.add(id);
      this.#take(named, holdings);
      return holdings.mine;
    });
  }

  /**
   * Gives back what `lock` took; what the page's view has claimed stays its own.
   * @throws RefusedError (rejects) `not-yours`, `bad-message`; ClosedError; TypeError
   */
  async unlock(ids: Ids): Promise<void> {
    const { list, named } = namedBy(ids);
    const mine = new Set(this.mine.keys());
    // A reload before the answer must not make them locked again.
    const before = [...named].filter((id) => this.#locked.delete(id));
    const unlocked = this.#ask("unlock", list, () =>
      this.#take(
        [...named].filter((id) => !this.#viewing.has(id)),
        NOTHING,
      ),
    );
    unlocked.catch((error) => {
      // What was locked before a reload may not be known as `mine` yet.
      const kept = before.filter((id) => this.mine.has(id) || !mine.has(id));
      if (error instanceof RefusedError) for (const id of kept) this.#locked.add(id);
    });
    return unlocked;
  }

  /**
   * What is held in this space, as much as one answer of at most 1 MiB has room for, and whether there are `more`. `mine` then has what this
   * page has: a page that was loaded anew asks for it.
   */
  list(): Promise<Holdings & { readonly more: boolean }> {
    return this.#ask("locks", undefined, (answer) => {
      const { mine, held } = holdingsOf(answer);
      const { more = false } = answer;
      const known = more ? [] : [...this.mine.keys(), ...this.locked];
      this.#take(new Set([...known, ...mine.keys()]), { mine, held: this.held }, true);
      return { mine, held, more };
    });
  }

  #ask<T>(opcode: string, ids: readonly Id[] | undefined, then: (answer: Answer) => T): Promise<T> {
    return this.hub.send({ opcode, space: this.space, ids }).then(({ result }) => then(result as Answer));
  }

  /** An app of one's own may have pushes of this name: only what looks like a lock is one. */
  #hear({ space, id, ids = [id], state, by, since, fence }: Packet): void {
    if (space !== this.space || !Array.isArray(ids) || !ids.every((each) => typeof each === "string")) return;
    if (state === "free" || state === "lost") this.#take(ids, NOTHING, state === "lost");
    else if (state === "yours" && typeof fence === "number")
      this.#take(ids, { mine: new Map(ids.map((each) => [each, fence])), held: NONE });
    else if ((state === "held" || state === "reconnecting") && typeof by === "string" && typeof since === "number") {
      // What this page listed before it was loaded anew may still come, and nobody would say what becomes of it.
      const listed = ids.filter((each) => this.#named.has(each));
      this.#take(ids, { mine: NONE, held: new Map(listed.map((each) => [each, { by, since, state }])) }, true);
    }
  }

  /** The hub does not know this page any more. */
  #lose(): void {
    this.#take(new Set([...this.mine.keys(), ...this.locked, ...this.held.keys()]), NOTHING, !this.ends.left.aborted);
  }

  /**
   * Of these ids this is so now.
   * @param lost what was this page's, and is not, it has not given back
   */
  #take(ids: Iterable<string>, { mine, held }: Holdings, lost = false): void {
    const before = Array.from(ids, (id) => [id, this.#about(id)] as const);
    for (const [id] of before) this.#set(id, mine.get(id), held.get(id));
    for (const [id, was] of before) {
      const now = this.#about(id);
      if (was.state === now.state && was.fence === now.fence && was.since === now.since && was.by === now.by) continue;
      const gone = was.state === "yours" && now.state !== "yours";
      if (gone && (lost || now.state !== "free")) this.dispatchEvent(new LockEvent("lost", id, now));
      this.dispatchEvent(new LockEvent("change", id, now));
    }
  }

  #set(id: string, fence: number | undefined, holding: Holding | undefined): void {
    if (fence !== undefined) this.#mine.set(id, fence);
    else for (const all of [this.#mine, this.#viewing, this.#locked]) all.delete(id);
    if (holding && fence === undefined) this.#held.set(id, holding);
    else this.#held.delete(id);
  }

  #about(id: string): LockInfo {
    const fence = this.mine.get(id);
    if (fence !== undefined) return { state: "yours", fence };
    // Locked before a reload: the fence is not known yet.
    return this.locked.has(id) ? YOURS : (this.held.get(id) ?? FREE);
  }
}

const FREE: LockInfo = { state: "free" };
const YOURS: LockInfo = { state: "yours" };
const NONE = new Map<string, never>();
const NOTHING: Holdings = { mine: NONE, held: NONE };

const holdingsOf = ({ mine, held }: Answer): Holdings => ({ mine: new Map(Object.entries(mine)), held: new Map(Object.entries(held)) });

/** The hub judges each id as it came; here it goes by its text. @throws TypeError */
function namedBy(ids: Ids): { list: readonly Id[]; named: ReadonlySet<string> } {
  if (typeof ids !== "object" || ids === null || !(Symbol.iterator in ids)) throw expected("`ids` to be a list, such as [4711]", ids);
  const list = [...new Set(ids)];
  return { list, named: new Set(list.map(String)) };
}

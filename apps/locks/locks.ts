import { type Answer, attempt, DONE, done, GONE, type MaybePromise, Refusal, whenKnown } from "../../protocol/index.js";
import type { App, AppHub, Change, Peer } from "../../server/app.js";
import { Followers } from "../keys/followers.js";
import { bare } from "../keys/names.js";
import { untilDone } from "../keys/until-done.js";
import { giveBack, type Holdings, holdings, lock, tellPresence, unlock, view } from "./claims.js";
import { Notices } from "./notices.js";
import {
  breakWords,
  checkCount,
  checkWords,
  fenceOf,
  type Holding,
  type Ids,
  idOf,
  idsOf,
  keyOf,
  type LockLimits,
  locksWords,
  prefixOf,
  sizeInAnswer,
  spaceOf,
  splitKey,
} from "./packets.js";
import { PageLocks } from "./page-locks.js";

/** Bytes of one list: half of what may wait for one peer. */
const MAX_LIST = 1_048_576;
/** More can not be in it, so that no more need be read. */
const MAX_LISTED = Math.ceil(MAX_LIST / sizeInAnswer("")) + 1;
const MICROSECONDS = 1_000;

/** Records are claimed by the pages that show or edit them, and everybody who lists them sees by whom (PROTOCOL.md, chapter 17). */
export function locks(limits: LockLimits): App {
  const app = new Locks(limits);
  return {
    name: "locks",
    opcodes: {
      view: (packet, peer, hub) => app.view(peer, idsOf(packet, limits), hub),
      lock: (packet, peer, hub) => app.lock(peer, idsOf(packet, limits), hub),
      unlock: (packet, peer, hub) => app.unlock(peer, idsOf(packet, limits), hub),
      locks: (packet, peer, hub) => app.list(spaceOf(packet), peer, hub),
      check: (packet, _peer, hub) => app.check(keyOf(spaceOf(packet), idOf(packet)), fenceOf(packet), hub),
      break: (packet, peer, hub) => breakLock(keyOf(spaceOf(packet), idOf(packet)), peer, hub),
    },
    words: { locks: locksWords, check: checkWords, break: breakWords },
    allow: { break: "local" },
    reads: ["locks", "check"],
    changed: (changes, hub) => app.changed(changes, hub),
    away: (peer, hub) => app.presence(peer, hub),
    back: (peer, hub, reloaded) => app.back(peer, hub, reloaded),
    close: (peer, _why, hub) => app.close(peer, hub),
    status: () => app.status,
  };
}

/** The pages of this hub with what they list and hold. */
class Locks {
  readonly #pages = new Map<string, PageLocks>();
  readonly #followers = new Followers();
  #notices: Notices | undefined;
  /** No fence that this hub has heard of is newer. */
  #newest = 0;
  /** Ids that its pages list or have locked, at most: what they give back counts until their next message. */
  #count = 0;
  /** The same by user. */
  readonly #byUser = new Map<string, number>();

  constructor(private readonly limits: LockLimits) {}

  view(peer: Peer, about: Ids, hub: AppHub): MaybePromise<Answer> {
    const page = this.#page(peer);
    const { space: name, ids } = about;
    this.#checkRoom(page, page.countWith(name, ids, page.spaces.get(name)?.locking ?? []));
    this.#list(page, name, new Set(ids));
    const answer = () =>
      whenKnown(view(page, about, hub), (made) => {
        this.#answered(page, name, new Map(ids.map((id, i) => [keyOf(name, id), made[i]?.entry?.version ?? 0])));
        return done(holdings(ids, made));
      });
    return this.#settle(peer, name, answer);
  }

  lock(peer: Peer, about: Ids, hub: AppHub): MaybePromise<Answer> {
    const page = this.#page(peer);
    const { listed = [], locking = [] } = page.spaces.get(about.space) ?? {};
    this.#checkRoom(page, page.countWith(about.space, listed, [...locking, ...about.ids]));
    return this.#settle(peer, about.space, () => lock(page, about, hub));
  }

  unlock(peer: Peer, about: Ids, hub: AppHub): MaybePromise<Answer> {
    return this.#settle(peer, about.space, () => unlock(this.#page(peer), about, hub));
  }

  list(space: string, peer: Peer, hub: AppHub): MaybePromise<Answer> {
    return this.#settle(peer, space, () => list(space, peer, hub));
  }

  /** Is this fence the one of whoever has the lock [LOCK-8]? @throws Refusal `stale`, `bad-fence` */
  check(key: string, fence: number, hub: AppHub): MaybePromise<Answer> {
    return whenKnown(hub.table.read({ keys: [key] }), (entries) => {
      const entry = entries.get(key);
      if (entry?.version === fence) return DONE;
      if (fence > Math.max(this.#newest, hub.clock.time() * MICROSECONDS))
        throw new Refusal("bad-fence", `Expected \`fence\` to be one that was granted, got \`${fence}\`: newer than any.`);
      throw new Refusal("stale", `held by ${entry === undefined ? "nobody" : (entry.value as Holding).by}`);
    });
  }

  /** The one place where a page comes to have a lock, or has it no more. */
  changed(changes: readonly Change[], hub: AppHub): void {
    this.#notices ??= new Notices(hub, this.#followers);
    const lost = new Map<PageLocks, string[]>();
    for (const { key, entry, before, version, taken } of changes) {
      this.#newest = Math.max(this.#newest, version);
      const loser = before?.owner === undefined || before.owner === entry?.owner ? undefined : this.#pages.get(before.owner);
      if (loser) {
        loser.fences.delete(key);
        if (taken) lost.get(loser)?.push(key) ?? lost.set(loser, [key]);
      }
      if (entry?.owner !== undefined) this.#pages.get(entry.owner)?.fences.set(key, entry.version);
    }
    for (const [page, keys] of lost) this.#lose(page, keys, hub);
    this.#notices.changed(changes, (owner) => (this.#pages.get(owner)?.views.size ?? 0) > 0);
  }

  presence(peer: Peer, hub: AppHub): void {
    const page = this.#pages.get(peer.uuid);
    if (page) untilDone(hub, () => (page.ended ? undefined : tellPresence(page, hub)));
  }

  /** Code that was loaded anew lists nothing yet; what it holds it holds on. */
  back(peer: Peer, hub: AppHub, reloaded: boolean): void {
    const page = this.#pages.get(peer.uuid);
    if (reloaded && page) {
      for (const name of [...page.spaces.keys()]) {
        this.#list(page, name, new Set());
        page.tidy(name);
      }
      this.#notices?.feed.forget(peer, () => true);
    }
    this.presence(peer, hub);
  }

  close(peer: Peer, hub: AppHub): void {
    const page = this.#pages.get(peer.uuid);
    if (page === undefined) return;
    page.ended = true;
    this.#setCount(page, 0);
    for (const name of [...page.spaces.keys()]) this.#list(page, name, new Set());
    this.#notices?.feed.leave(peer);
    untilDone(
      hub,
      () => giveBack(page, hub),
      () => this.#pages.delete(peer.uuid),
    );
  }

  /** @throws Refusal `too-many-locks` */
  #checkRoom(page: PageLocks, count: number): void {
    const { maxLocks, maxLocksPerUser, maxLocksInAll } = this.limits;
    checkCount(count, maxLocks);
    const theirs = this.#ofUser(page, count);
    if (theirs > maxLocksPerUser)
      throw new Refusal(
        "too-many-locks",
        `Expected at most \`maxLocksPerUser\` ${maxLocksPerUser} ids of all pages of a user, got ${theirs}.`,
      );
    const all = this.#count - page.count + count;
    if (all > maxLocksInAll)
      throw new Refusal("too-many-locks", `Expected at most \`maxLocksInAll\` ${maxLocksInAll} ids of all pages together, got ${all}.`);
    this.#setCount(page, count);
  }

  #recount({ uuid }: Peer, name: string): void {
    const page = this.#pages.get(uuid);
    if (page === undefined || page.ended) return;
    const { listed = [], locking = [] } = page.spaces.get(name) ?? {};
    this.#setCount(page, page.countWith(name, listed, locking));
  }

  /** How many its user would have with so many of this page; 0 where that is not known. */
  #ofUser({ peer: { user }, count: before }: PageLocks, count: number): number {
    return user ? (this.#byUser.get(user.id) ?? 0) - before + count : 0;
  }

  #setCount(page: PageLocks, count: number): void {
    const id = page.peer.user?.id;
    const theirs = this.#ofUser(page, count);
    if (id !== undefined && theirs > 0) this.#byUser.set(id, theirs);
    else if (id !== undefined) this.#byUser.delete(id);
    this.#count += count - page.count;
    page.count = count;
  }

  /** Its answer stands behind what it was yet to be told of the locks that it lost; and what it has not got, or has given back, does not count. */
  #settle(peer: Peer, name: string, work: () => MaybePromise<Answer>): MaybePromise<Answer> {
    const settled = (): void => {
      this.#notices?.feed.sayAll(peer);
      this.#recount(peer, name);
    };
    return attempt(
      work,
      (answer) => {
        settled();
        return answer;
      },
      settled,
    );
  }

  get status(): Readonly<Record<string, number>> {
    let held = 0;
    for (const page of this.#pages.values()) held += page.fences.size;
    return { pages: this.#pages.size, held, listed_or_locked: this.#count, limit: this.limits.maxLocksInAll };
  }

  #page(peer: Peer): PageLocks {
    let page = this.#pages.get(peer.uuid);
    if (page === undefined) {
      page = new PageLocks(peer);
      this.#pages.set(peer.uuid, page);
    }
    return page;
  }

  /** From now on it is told of changes of these. */
  #list(page: PageLocks, name: string, ids: ReadonlySet<string>): void {
    const space = page.space(name);
    for (const id of space.listed) if (!ids.has(id)) this.#followers.remove(keyOf(name, id), page.peer);
    for (const id of ids) if (!space.listed.has(id)) this.#followers.add(keyOf(name, id), page.peer);
    space.listed = ids;
  }

  /** What stands in the answer need not be told any more, nor what is not listed any more. */
  #answered({ peer }: PageLocks, name: string, versions: ReadonlyMap<string, number>): void {
    const prefix = prefixOf(name);
    this.#notices?.feed.forget(peer, (key, newest) => key.startsWith(prefix) && (versions.get(key) ?? newest) >= newest);
  }

  #lose(page: PageLocks, keys: readonly string[], hub: AppHub): void {
    hub.log.warn("locks.lost", { conn: page.peer.id, ident: page.peer.ident, ids: keys.length });
    for (const key of keys) page.lose(...splitKey(key));
    this.#notices?.lost(page.peer, keys);
  }
}

function list(space: string, peer: Peer, hub: AppHub): MaybePromise<Answer> {
  return whenKnown(hub.table.read({ prefixes: [prefixOf(space)], limit: MAX_LISTED }), (entries) => {
    const all: Holdings = { mine: bare(), held: bare() };
    let size = 0;
    for (const [key, { owner, value, version }] of entries) {
      const [, id] = splitKey(key);
      size += sizeInAnswer(id);
      if (size > MAX_LIST) return done({ ...all, more: true });
      if (owner === peer.uuid) all.mine[id] = version;
      else all.held[id] = value as Holding;
    }
    return done(all);
  });
}

function breakLock(key: string, peer: Peer, hub: AppHub): MaybePromise<Answer> {
  return whenKnown(hub.table.change([{ do: "break", key }]), ([made]) => {
    const [space] = splitKey(key);
    hub.log.info("lock.broken", { conn: peer.id, space, ip: peer.address, held: made?.ok });
    return made?.ok ? DONE : GONE;
  });
}

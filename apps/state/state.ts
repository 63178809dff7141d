import { type Answer, attempt, DONE, done, type MaybePromise, type Packet, quoted, Refusal, whenKnown } from "../../protocol/index.js";
import type { App, AppHub, Change, Done, Entry, Peer, Step } from "../../server/app.js";
import { Feed } from "../keys/feed.js";
import { Followers } from "../keys/followers.js";
import { isOwnBackend, publicName } from "../keys/names.js";
import { untilDone } from "../keys/until-done.js";
import { MAX_ENTRIES, MAX_SNAPSHOT, read, snapshotOf, who } from "./answers.js";
import {
  checkWatches,
  conflict,
  deleteWords,
  ifOf,
  type Kept,
  keptOf,
  MAX_VALUE,
  ownKeyOf,
  patternsOf,
  queryOf,
  shown,
  stateWords,
  whoWords,
  willOf,
} from "./packets.js";
import { Room, type RoomLimits } from "./room.js";

/** Numbers of the app: unit, default and reason of each stand in the hub's options. */
export interface StateLimits extends RoomLimits {
  /** Patterns that one peer watches. */
  readonly maxWatches: number;
}

/** Values told in one go to a peer that was behind: with the largest of them half of what may wait for one peer. */
const CATCH_UP = MAX_SNAPSHOT / MAX_VALUE;

/** Values by key that everybody can watch: the present one at once, then every change (PROTOCOL.md, chapter 18). */
export function state(limits: StateLimits): App {
  const app = new State(limits);
  return {
    name: "state",
    opcodes: {
      set: (packet, peer, hub) => app.set(packet, peer, hub),
      delete: (packet, peer, hub) => app.delete(packet, peer, hub),
      get: (packet, _peer, hub) => read(patternsOf(packet, limits.maxWatches), hub),
      watch: (packet, peer, hub) => app.watch(patternsOf(packet, limits.maxWatches), peer, hub),
      unwatch: (packet, peer) => app.unwatch(patternsOf(packet, limits.maxWatches), peer),
      who: (packet, _peer, hub) => who(patternsOf(packet, limits.maxWatches), hub),
    },
    words: {
      state: stateWords,
      delete: deleteWords,
      who: whoWords,
    },
    reads: ["get", "watch", "unwatch", "who"],
    start: (hub) => app.start(hub),
    changed: (changes, hub) => app.changed(changes, hub),
    back: (peer, hub, reloaded) => app.back(peer, hub, reloaded),
    close: (peer, _why, hub) => app.close(peer, hub),
    status: () => app.status,
  };
}

/** A peer of this hub with what it watches, and what goes with it. */
class Client {
  /** What it watches, with the newest `watch` that named it. */
  readonly watches = new Map<string, readonly string[]>();
  readonly owned = new Set<string>();
  /** Watches under way: what they read may be told by their answer. */
  readonly reading = new Set<object>();
  /** Its name in keys of its own: as good as any, and no way to reach it. */
  readonly ownName = Math.random().toString(36).slice(2, 10);
  ended = false;
}

class State {
  readonly #clients = new Map<string, Client>();
  readonly #followers = new Followers();
  #feed: Feed | undefined;
  readonly #room: Room;

  constructor(private readonly limits: StateLimits) {
    this.#room = new Room(limits);
  }

  start(hub: AppHub): MaybePromise<void> {
    return whenKnown(hub.table.read({ prefixes: [""] }), (entries) => this.#room.start(entries));
  }

  /** @throws Refusal `bad-message`, `conflict`, `not-yours`, `too-much-state` */
  set(packet: Packet, peer: Peer, hub: AppHub): MaybePromise<Answer> {
    const client = this.#client(peer);
    const force = isOwnBackend(peer);
    const key = ownKeyOf(packet, client.ownName, force);
    const version = ifOf(packet);
    const owned = willOf(packet);
    const about = owned ? { by: publicName(peer), since: hub.clock.time() } : undefined;
    const kept: Kept = { ...keptOf(key, packet), ...about };
    const step: Step = { do: "set", key, by: peer.uuid, value: kept, owned, force, if: version };
    return whenKnown(this.#room.check(key, kept, hub), () =>
      whenKnown(hub.table.change([step]), ([made]) => {
        const entry = settled(made as Done, key, peer, version);
        // It may have ended meanwhile, and its end knew nothing of this key.
        const tooLate = client.ended && owned ? hub.table.change([{ do: "free", key, owner: peer.uuid }]) : undefined;
        return whenKnown(tooLate, () => done({ key, version: entry?.version }));
      }),
    );
  }

  /** @throws Refusal `bad-message`, `conflict`, `not-yours` */
  delete(packet: Packet, peer: Peer, hub: AppHub): MaybePromise<Answer> {
    const force = isOwnBackend(peer);
    const key = ownKeyOf(packet, this.#client(peer).ownName, force);
    const version = ifOf(packet);
    return whenKnown(hub.table.change([{ do: "delete", key, by: peer.uuid, force, if: version }]), ([made]) => {
      settled(made as Done, key, peer, version);
      return DONE;
    });
  }

  /** First it is told of changes, then it is told what there is: nothing falls between the two [STATE-3]. */
  watch(patterns: readonly string[], peer: Peer, hub: AppHub): MaybePromise<Answer> {
    if (!peer.takesPushes) throw new Refusal("no-pushes", "Expected `watch` from a peer that takes pushes; plain words can `get`.");
    const { watches, reading } = this.#client(peer);
    const added = patterns.filter((each) => !watches.has(each));
    checkWatches(watches.size + added.length, this.limits.maxWatches);
    this.#follow(patterns, added, peer);
    reading.add(patterns);
    return attempt(
      () => hub.table.read(queryOf(patterns, MAX_ENTRIES)),
      (entries) => {
        const snapshot = snapshotOf(entries);
        reading.delete(patterns);
        this.#feed?.forget(
          peer,
          (key, newest) => (entries.get(key)?.version ?? 0) >= newest,
          (key) => entries.has(key),
        );
        return snapshot;
      },
      // What a later one has named, maybe of code that was loaded anew, is not this one's to undo.
      () => {
        reading.delete(patterns);
        const own = added.filter((each) => watches.get(each) === patterns);
        this.unwatch(own, peer);
      },
    );
  }

  unwatch(patterns: readonly string[], peer: Peer): Answer {
    const watches = this.#clients.get(peer.uuid)?.watches;
    for (const each of patterns) if (watches?.delete(each)) this.#followers.remove(each, peer);
    this.#feed?.forget(peer, (key) => !this.#followers.has(key, peer));
    return DONE;
  }

  changed(changes: readonly Change[], hub: AppHub): void {
    this.#feed ??= new Feed(
      hub,
      (peer, changed) => this.#tellNow(peer, changed, hub),
      CATCH_UP,
      ({ uuid }) => this.#clients.get(uuid)?.reading.size === 0,
    );
    for (const change of changes) {
      const { key, entry, before, version } = change;
      this.#room.changed(key, before, entry);
      if (before?.owner !== undefined) this.#clients.get(before.owner)?.owned.delete(key);
      if (before?.owner !== undefined && change.taken) this.#restore(key, before, hub);
      if (entry?.owner !== undefined) this.#clients.get(entry.owner)?.owned.add(key);
      const ready: Peer[] = [];
      for (const peer of this.#followers.of(key)) if (this.#feed.ready(peer, change)) ready.push(peer);
      if (ready.length > 0) hub.multicast(ready, packetOf(key, entry, version));
    }
  }

  /** Its hub stood still, but it is there: its key is its own again, unless somebody has set it meanwhile [STATE-6]. */
  #restore(key: string, { owner = "", value }: Entry, hub: AppHub): void {
    if (this.#clients.get(owner)?.ended !== false) return;
    const restored = hub.table.change([{ do: "set", key, by: owner, value, owned: true, if: 0 }]);
    if (restored instanceof Promise) restored.catch((error) => hub.log.warn("state.lost", { error: (error as Error).message }));
  }

  /** Code that was loaded anew watches nothing yet; and it may have another name now [LOCK-7]. */
  back(peer: Peer, hub: AppHub, reloaded: boolean): void {
    const client = this.#clients.get(peer.uuid);
    if (client === undefined) return;
    if (reloaded) this.forget(peer);
    untilDone(hub, () => this.#rename(peer, client, hub));
  }

  #rename(peer: Peer, { owned }: Client, hub: AppHub): MaybePromise<unknown> {
    const [keys, owner, by] = [[...owned], peer.uuid, publicName(peer)];
    if (keys.length === 0) return undefined;
    return whenKnown(hub.table.read({ keys }), (entries) => {
      const renamed = [...entries].filter(([, { value, owner: now }]) => now === owner && (value as Kept).by !== by);
      // Set anew, so that who watches hears of it.
      const steps = renamed.map(
        ([key, { value, version }]): Step => ({ do: "set", key, by: owner, value: { ...(value as Kept), by }, owned: true, if: version }),
      );
      return steps.length === 0 ? undefined : hub.table.change(steps);
    });
  }

  forget(peer: Peer): void {
    const client = this.#clients.get(peer.uuid);
    if (client) this.unwatch([...client.watches.keys()], peer);
    this.#feed?.leave(peer);
  }

  close(peer: Peer, hub: AppHub): unknown {
    const client = this.#clients.get(peer.uuid);
    if (client === undefined) return undefined;
    client.ended = true;
    this.forget(peer);
    untilDone(
      hub,
      () => this.#giveBack(peer, client, hub),
      () => this.#clients.delete(peer.uuid),
    );
    return undefined;
  }

  #giveBack({ uuid: owner }: Peer, { owned }: Client, hub: AppHub): MaybePromise<unknown> {
    const steps = Array.from(owned, (key): Step => ({ do: "free", key, owner }));
    return steps.length === 0 ? undefined : hub.table.change(steps);
  }

  get status(): Readonly<Record<string, number>> {
    let watches = 0;
    for (const client of this.#clients.values()) watches += client.watches.size;
    return { ...this.#room.status, watches };
  }

  #client(peer: Peer): Client {
    let client = this.#clients.get(peer.uuid);
    if (client === undefined) {
      client = new Client();
      this.#clients.set(peer.uuid, client);
    }
    return client;
  }

  #follow(patterns: readonly string[], added: readonly string[], peer: Peer): void {
    const { watches } = this.#client(peer);
    for (const each of patterns) watches.set(each, patterns);
    for (const each of added) this.#followers.add(each, peer);
  }

  #tellNow(peer: Peer, changed: ReadonlyMap<string, number>, hub: AppHub): MaybePromise<void> {
    return whenKnown(hub.table.read({ keys: [...changed.keys()] }), (entries) => {
      // What it has stopped watching meanwhile it would take for news of a later watch.
      for (const [key, version] of changed) if (this.#followers.has(key, peer)) peer.send(packetOf(key, entries.get(key), version));
    });
  }
}

function packetOf(key: string, entry: Entry | undefined, version: number): Packet {
  if (entry === undefined) return { opcode: "state", key, deleted: true, version };
  return { opcode: "state", key, ...shown(entry.value as Kept, entry.version) };
}

/** @throws Refusal `not-yours`, `conflict` where the step was not done */
function settled({ ok, entry }: Done, key: string, peer: Peer, version: number | undefined): Entry | undefined {
  if (ok) return entry;
  if (entry?.owner !== undefined && entry.owner !== peer.uuid)
    throw new Refusal("not-yours", `${quoted(key)} belongs to ${quoted((entry.value as Kept).by)} as long as its owner is there.`);
  throw conflict(key, version ?? 0, entry?.version ?? 0);
}

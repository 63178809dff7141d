import { type Answer, DONE, done, type MaybePromise, type Packet, quoted, Refusal, whenKnown } from "../../protocol/index.js";
import type { App, AppHub, Change, Done, Entry, Peer, Step } from "../../server/app.js";
import { Feed } from "../keys/feed.js";
import { Followers } from "../keys/followers.js";
import { bare, MAX_PUBLIC_NAME, publicName } from "../keys/names.js";
import {
  checkWatches,
  conflict,
  ifOf,
  type Kept,
  keptOf,
  keyOf,
  MAX_VALUE,
  matches,
  OWN,
  patternsOf,
  queryOf,
  shown,
  stateWords,
  willOf,
} from "./packets.js";

/** Numbers of the app: unit, default and reason of each stand in the hub's options. */
export interface StateLimits {
  readonly maxKeys: number;
  /** Bytes of all keys and values. */
  readonly maxStateBytes: number;
  /** Patterns that one peer watches. */
  readonly maxWatches: number;
}

/** Bytes of all values in one answer: half of what may wait for one peer. */
const MAX_SNAPSHOT = 1_048_576;
/** Bytes that an entry takes in an answer beside its key and value: names of fields, version, owner. */
const BYTES_AN_ENTRY = 64 + MAX_PUBLIC_NAME;
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
      delete: (key) => ({ opcode: "delete", key }),
      who: (pattern) => ({ opcode: "who", keys: [pattern] }),
    },
    start: (hub) => app.start(hub),
    changed: (changes, hub) => app.changed(changes, hub),
    back: (peer, _hub, reloaded) => (reloaded ? app.forget(peer) : undefined),
    close: (peer, _why, hub) => app.close(peer, hub),
  };
}

/** A peer of this hub with what it watches, and what goes with it. */
class Client {
  readonly watches = new Set<string>();
  readonly owned = new Set<string>();
  /** Its name in keys of its own: as good as any, and no way to reach it. */
  readonly ownName = Math.random().toString(36).slice(2, 10);
  ended = false;
}

class State {
  readonly #clients = new Map<string, Client>();
  readonly #followers = new Followers();
  #feed: Feed | undefined;
  /** Of all keys, as far as this hub has been told. */
  #keys = 0;
  #bytes = 0;

  constructor(private readonly limits: StateLimits) {}

  start(hub: AppHub): MaybePromise<void> {
    return whenKnown(hub.table.read({ prefixes: [""] }), (entries) => {
      for (const entry of entries.values()) this.#count(undefined, entry);
    });
  }

  /** @throws Refusal `bad-message`, `conflict`, `not-yours`, `too-much-state` */
  set(packet: Packet, peer: Peer, hub: AppHub): MaybePromise<Answer> {
    const client = this.#client(peer);
    const key = ownKey(keyOf(packet), client);
    const version = ifOf(packet);
    const owned = willOf(packet);
    const about = owned ? { by: publicName(peer), since: hub.clock.time() } : undefined;
    const kept: Kept = { ...keptOf(key, packet), ...about };
    const step: Step = { do: "set", key, by: peer.uuid, value: kept, owned, if: version };
    return whenKnown(this.#checkRoom(key, kept, hub), () =>
      whenKnown(hub.table.change([step]), ([made]) => {
        const entry = settled(made as Done, key, peer, version);
        if (client.ended) void this.#giveBack(peer, client, hub);
        return done({ key, version: entry?.version });
      }),
    );
  }

  /** @throws Refusal `bad-message`, `conflict`, `not-yours` */
  delete(packet: Packet, peer: Peer, hub: AppHub): MaybePromise<Answer> {
    const key = ownKey(keyOf(packet), this.#client(peer));
    const version = ifOf(packet);
    return whenKnown(hub.table.change([{ do: "delete", key, by: peer.uuid, if: version }]), ([made]) => {
      settled(made as Done, key, peer, version);
      return DONE;
    });
  }

  /** First it is told of changes, then it is told what there is: nothing falls between the two [STATE-3]. */
  watch(patterns: readonly string[], peer: Peer, hub: AppHub): MaybePromise<Answer> {
    if (!peer.takesPushes) throw new Refusal("no-pushes", "Expected `watch` from a peer that takes pushes; plain words can `get`.");
    const { watches } = this.#client(peer);
    const added = patterns.filter((each) => !watches.has(each));
    checkWatches(watches.size + added.length, this.limits.maxWatches);
    this.#follow(added, peer);
    this.#feed?.forget(peer, (key) => matches(patterns, key));
    const undo = (error: unknown): never => {
      this.unwatch(added, peer);
      throw error;
    };
    try {
      const answer = read(patterns, hub);
      return answer instanceof Promise ? answer.catch(undo) : answer;
    } catch (error) {
      return undo(error);
    }
  }

  unwatch(patterns: readonly string[], peer: Peer): Answer {
    const watches = this.#clients.get(peer.uuid)?.watches;
    for (const each of patterns) if (watches?.delete(each)) this.#followers.remove(each, peer);
    const left = [...(watches ?? [])];
    this.#feed?.forget(peer, (key) => !matches(left, key));
    return DONE;
  }

  changed(changes: readonly Change[], hub: AppHub): void {
    this.#feed ??= new Feed(hub, (peer, changed) => this.#tellNow(peer, changed, hub), CATCH_UP);
    for (const change of changes) {
      const { key, entry, before, version } = change;
      this.#count(before, entry);
      if (before?.owner !== undefined) this.#clients.get(before.owner)?.owned.delete(key);
      if (entry?.owner !== undefined) this.#clients.get(entry.owner)?.owned.add(key);
      const ready: Peer[] = [];
      for (const peer of this.#followers.of(key)) if (this.#feed.ready(peer, key, version)) ready.push(peer);
      if (ready.length > 0) hub.multicast(ready, packetOf(key, entry, version));
    }
  }

  /** Code that was loaded anew watches nothing yet. */
  forget(peer: Peer): void {
    const client = this.#clients.get(peer.uuid);
    if (client) this.unwatch([...client.watches], peer);
    this.#feed?.leave(peer);
  }

  close(peer: Peer, hub: AppHub): unknown {
    const client = this.#clients.get(peer.uuid);
    if (client === undefined) return undefined;
    client.ended = true;
    this.forget(peer);
    return whenKnown(this.#giveBack(peer, client, hub), () => void this.#clients.delete(peer.uuid));
  }

  #giveBack({ uuid: owner }: Peer, { owned }: Client, hub: AppHub): MaybePromise<unknown> {
    const steps = Array.from(owned, (key): Step => ({ do: "free", key, owner }));
    return steps.length === 0 ? undefined : hub.table.change(steps);
  }

  #client(peer: Peer): Client {
    let client = this.#clients.get(peer.uuid);
    if (client === undefined) {
      client = new Client();
      this.#clients.set(peer.uuid, client);
    }
    return client;
  }

  #follow(patterns: readonly string[], peer: Peer): void {
    const { watches } = this.#client(peer);
    for (const each of patterns) {
      watches.add(each);
      this.#followers.add(each, peer);
    }
  }

  #count(before: Entry | undefined, entry: Entry | undefined): void {
    this.#keys += Number(entry !== undefined) - Number(before !== undefined);
    this.#bytes += ((entry?.value as Kept | undefined)?.size ?? 0) - ((before?.value as Kept | undefined)?.size ?? 0);
  }

  /** @throws Refusal `too-much-state` */
  #checkRoom(key: string, { size }: Kept, hub: AppHub): MaybePromise<void> {
    const { maxKeys, maxStateBytes } = this.limits;
    if (this.#keys < maxKeys && this.#bytes + size <= maxStateBytes) return undefined;
    return whenKnown(hub.table.read({ keys: [key] }), (entries) => {
      const before = entries.get(key)?.value as Kept | undefined;
      if (before === undefined && this.#keys >= maxKeys)
        throw new Refusal("too-much-state", `Expected at most \`maxKeys\` ${maxKeys} keys, got another: ${quoted(key)}.`);
      if (this.#bytes + size - (before?.size ?? 0) > maxStateBytes)
        throw new Refusal(
          "too-much-state",
          `Expected at most \`maxStateBytes\` ${maxStateBytes} bytes in all keys together, ${size} more came.`,
        );
    });
  }

  #tellNow(peer: Peer, changed: ReadonlyMap<string, number>, hub: AppHub): MaybePromise<void> {
    return whenKnown(hub.table.read({ keys: [...changed.keys()] }), (entries) => {
      for (const [key, version] of changed) peer.send(packetOf(key, entries.get(key), version));
    });
  }
}

function packetOf(key: string, entry: Entry | undefined, version: number): Packet {
  if (entry === undefined) return { opcode: "state", key, deleted: true, version };
  return { opcode: "state", key, ...shown(entry.value as Kept, entry.version) };
}

/** What these patterns hold. @throws Refusal `too-much-state` */
function read(patterns: readonly string[], hub: AppHub): MaybePromise<Answer> {
  return answerWith(patterns, hub, ({ value, version }) => shown(value as Kept, version));
}

/** The keys that go with their owners: who is there [STATE-7]. @throws Refusal `too-much-state` */
function who(patterns: readonly string[], hub: AppHub): MaybePromise<Answer> {
  return answerWith(patterns, hub, ({ value: kept, owner }) => {
    const { value, by, since } = kept as Kept;
    return owner === undefined ? undefined : { by, since, value };
  });
}

function answerWith(patterns: readonly string[], hub: AppHub, about: (entry: Entry) => object | undefined): MaybePromise<Answer> {
  return whenKnown(hub.table.read(queryOf(patterns)), (entries) => {
    const result = bare<object>();
    let size = 0;
    for (const [key, entry] of entries) {
      const told = about(entry);
      if (told === undefined) continue;
      result[key] = told;
      size += (entry.value as Kept).size + BYTES_AN_ENTRY;
      if (size > MAX_SNAPSHOT)
        throw new Refusal(
          "too-much-state",
          `Expected keys of at most ${MAX_SNAPSHOT} bytes in one answer: ask for fewer, with longer prefixes.`,
        );
    }
    return done(result);
  });
}

/** `looking/7/~` as this peer's own key. */
function ownKey(key: string, { ownName }: Client): string {
  return key.endsWith(OWN) ? key.slice(0, -1) + ownName : key;
}

/** @throws Refusal `not-yours`, `conflict` where the step was not done */
function settled({ ok, entry }: Done, key: string, peer: Peer, version: number | undefined): Entry | undefined {
  if (ok) return entry;
  if (entry?.owner !== undefined && entry.owner !== peer.uuid)
    throw new Refusal("not-yours", `${quoted(key)} belongs to ${quoted((entry.value as Kept).by)} as long as that page lives.`);
  throw conflict(key, version ?? 0, entry?.version ?? 0);
}

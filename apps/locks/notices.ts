import { type Packet, whenKnown } from "../../protocol/index.js";
import type { AppHub, Change, Entry, MaybePromise, Peer } from "../../server/app.js";
import { type Changed, Feed, type News } from "../keys/feed.js";
import type { Followers } from "../keys/followers.js";
import { type Holding, splitKey } from "./packets.js";

/** Ids in one packet: at 256 bytes each half of what a page may have waiting before it is told no more. */
const IDS_A_PACKET = 128;

/** What a page is told of an id, without the id. */
type About = Omit<Packet, "opcode" | "id" | "ids">;

/** Tells pages what has become of the ids they list [LOCK-5]: what changed alike in one packet, made once for all who list the same. */
export class Notices {
  readonly feed: Feed;

  constructor(
    private readonly hub: AppHub,
    private readonly followers: Followers,
  ) {
    this.feed = new Feed(
      hub,
      (peer, changed) => this.#tellNow(peer, changed),
      IDS_A_PACKET,
      () => false,
    );
  }

  /** @param knows is the answer of this owner going to tell it? */
  changed(changes: readonly Change[], knows: (owner: string) => boolean): void {
    const groups = new Groups(this.hub, this.feed);
    for (const change of changes) {
      const { key, entry, before } = change;
      const isSaid = ({ uuid }: Peer): boolean => entry?.owner === uuid && (before?.owner === uuid || knows(uuid));
      const peers = [...this.followers.of(key)].filter((peer) => !isSaid(peer) && this.feed.ready(peer, change));
      if (peers.length > 0) groups.add(peers, change);
    }
    groups.send();
  }

  /** Its locks were taken from it: an event, which nothing newer replaces. It waits where the page does not take what it is sent. */
  lost(peer: Peer, keys: readonly string[]): void {
    const bySpace = new Map<string, string[]>();
    for (const key of keys) {
      const [space, id] = splitKey(key);
      listIn(bySpace, space).push(id);
    }
    const packets: Packet[] = [];
    for (const [space, ids] of bySpace) for (const some of slices(ids)) packets.push(packetOf({ space, state: "lost" }, some));
    this.feed.say(peer, packets);
  }

  #tellNow(peer: Peer, changed: Changed): MaybePromise<void> {
    return whenKnown(this.hub.table.read({ keys: [...changed.keys()] }), (entries) => {
      const groups = new Groups(this.hub, this.feed);
      // What it does not list any more it would take for news of a later view.
      for (const [key, version] of changed)
        if (this.followers.has(key, peer)) groups.add([peer], { key, version, entry: entries.get(key) });
      groups.send();
    });
  }
}

interface Item {
  readonly id: string;
  readonly news: News;
}

/** Items that some peers are all told of. */
interface Alike {
  readonly items: readonly Item[];
  readonly peers: Peer[];
}

/** Ids by what is to be said of them, and to whom. */
class Groups {
  readonly #groups = new Map<string, { readonly about: About; readonly items: Map<Peer, Item[]> }>();

  constructor(
    private readonly hub: AppHub,
    private readonly feed: Feed,
  ) {}

  /** Most are told the same, and what that is is made out once for all of them. */
  add(peers: readonly Peer[], news: News): void {
    const { key, entry } = news;
    const [space, id] = splitKey(key);
    const item: Item = { id, news };
    let others: Map<Peer, Item[]> | undefined;
    for (const peer of peers) {
      const owns = entry !== undefined && entry.owner === peer.uuid;
      if (!owns) others ??= this.#itemsOf(aboutOf(space, entry));
      const items = owns ? this.#itemsOf({ space, state: "yours", fence: entry.version }) : others;
      listIn(items as Map<Peer, Item[]>, peer).push(item);
    }
  }

  #itemsOf(about: About): Map<Peer, Item[]> {
    const signature = `${about.state}\n${about.since}\n${about.fence}\n${about.space}\n${about.by}`;
    let group = this.#groups.get(signature);
    if (group === undefined) {
      group = { about, items: new Map() };
      this.#groups.set(signature, group);
    }
    return group.items;
  }

  /** Who lists the same is sent the same packets. */
  send(): void {
    for (const { about, items } of this.#groups.values())
      for (const { items: all, peers } of alike(items)) for (const some of slices(all)) this.#sendTo(peers, about, some);
  }

  #sendTo(peers: readonly Peer[], about: About, items: readonly Item[]): void {
    const takers = peers.filter((peer) => this.#takes(peer, items));
    const ids = items.map(({ id }) => id);
    if (takers.length > 0) this.hub.multicast(takers, packetOf(about, ids));
  }

  /** What it was sent before may have been all that it takes now: then it is told of each of these later. */
  #takes(peer: Peer, items: readonly Item[]): boolean {
    if (peer.writable) return true;
    for (const { news } of items) this.feed.ready(peer, news);
    return false;
  }
}

/** Puts together who is told of the very same items. */
function alike(byPeer: ReadonlyMap<Peer, readonly Item[]>): Iterable<Alike> {
  const groups: Alike[] = [];
  const candidates = new Map<string, Alike[]>();
  for (const [peer, items] of byPeer) {
    const some = listIn(candidates, `${items.length} ${items[0]?.id} ${items.at(-1)?.id}`);
    const group = some.find((each) => each.items.every((item, i) => item === items[i]));
    if (group) {
      group.peers.push(peer);
      continue;
    }
    const made: Alike = { items, peers: [peer] };
    some.push(made);
    groups.push(made);
  }
  return groups;
}

/** What those are told whose it is not. */
function aboutOf(space: string, entry: Entry | undefined): About {
  if (entry === undefined) return { space, state: "free" };
  const { by, since, state } = entry.value as Holding;
  return { space, state, by, since };
}

function packetOf(about: About, ids: readonly string[]): Packet {
  return { opcode: "lock", ...(ids.length === 1 ? { id: ids[0] } : { ids }), ...about };
}

function* slices<T>(all: readonly T[]): Iterable<readonly T[]> {
  for (let i = 0; i < all.length; i += IDS_A_PACKET) yield all.slice(i, i + IDS_A_PACKET);
}

function listIn<K, V>(lists: Map<K, V[]>, key: K): V[] {
  let list = lists.get(key);
  if (list === undefined) {
    list = [];
    lists.set(key, list);
  }
  return list;
}

import type { Tags } from "../protocol/index.js";
import type { Connection } from "./connection.js";
import type { Resource } from "./resource.js";

/** The reachable peers of this hub, by UUID, resource, name and tag. */
export class Directory {
  readonly pages = new Set<Connection>();
  readonly #byUuid = new Map<string, Connection>();
  readonly #byResource = new Map<Resource, Set<Connection>>();
  readonly #byIdent = new Map<string, Set<Connection>>();
  readonly #byTag = new Map<string, Set<Connection>>();

  add(peer: Connection): void {
    this.#byUuid.set(peer.uuid, peer);
    if (peer.kind === "page") this.pages.add(peer);
    put(this.#byResource, peer.resource, peer);
    if (peer.ident !== undefined) put(this.#byIdent, peer.ident, peer);
    for (const key of tagKeys(peer.tags)) put(this.#byTag, key, peer);
  }

  remove(peer: Connection): void {
    this.#byUuid.delete(peer.uuid);
    this.pages.delete(peer);
    take(this.#byResource, peer.resource, peer);
    if (peer.ident !== undefined) take(this.#byIdent, peer.ident, peer);
    for (const key of tagKeys(peer.tags)) take(this.#byTag, key, peer);
  }

  withUuid(uuid: string): Connection | undefined {
    return this.#byUuid.get(uuid);
  }

  on(resource: Resource): Iterable<Connection> {
    return this.#byResource.get(resource) ?? [];
  }

  withIdent(ident: string): Iterable<Connection> {
    return this.#byIdent.get(ident) ?? [];
  }

  /** All that have every one of these: the rarest tag's peers, looked through for the others [STD-3]. */
  *withTags(tags: Tags): Iterable<Connection> {
    const sets: Set<Connection>[] = [];
    for (const key of tagKeys(tags)) {
      const peers = this.#byTag.get(key);
      if (peers === undefined) return;
      sets.push(peers);
    }
    sets.sort((a, b) => a.size - b.size);
    const [rarest, ...others] = sets;
    for (const peer of rarest ?? []) if (others.every((peers) => peers.has(peer))) yield peer;
  }
}

/** A tag with its value as one key; JSON keeps `1` and `"1"` apart. */
function tagKeys(tags: Tags): string[] {
  return Object.entries(tags).map((tag) => JSON.stringify(tag));
}

function put<K>(index: Map<K, Set<Connection>>, key: K, peer: Connection): void {
  const peers = index.get(key);
  if (peers) peers.add(peer);
  else index.set(key, new Set([peer]));
}

function take<K>(index: Map<K, Set<Connection>>, key: K, peer: Connection): void {
  const peers = index.get(key);
  peers?.delete(peer);
  if (peers?.size === 0) index.delete(key);
}

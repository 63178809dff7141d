import type { Peer } from "../../server/app.js";

/** Who follows which keys: one key, or all that begin with a prefix, written with a `*` at the end. No patterns that backtrack. */
export class Followers {
  /** Most keys have one follower at the most: it stands here itself. */
  readonly #exact = new Map<string, Peer | Set<Peer>>();
  readonly #prefixes = new Map<string, Set<Peer>>();
  /** How many prefixes have which length. */
  readonly #lengths = new Map<number, number>();

  add(pattern: string, peer: Peer): void {
    if (pattern.endsWith("*")) this.#addPrefix(pattern.slice(0, -1), peer);
    else this.#addKey(pattern, peer);
  }

  remove(pattern: string, peer: Peer): void {
    if (pattern.endsWith("*")) this.#removePrefix(pattern.slice(0, -1), peer);
    else this.#removeKey(pattern, peer);
  }

  /** Each of them once. */
  of(key: string): Iterable<Peer> {
    const exact = this.#exact.get(key);
    const found: Iterable<Peer>[] = [];
    if (exact !== undefined) found.push(exact instanceof Set ? exact : [exact]);
    for (const length of this.#lengths.keys()) {
      const peers = length > key.length ? undefined : this.#prefixes.get(key.slice(0, length));
      if (peers) found.push(peers);
    }
    if (found.length < 2) return found[0] ?? [];
    const all = new Set<Peer>();
    for (const peers of found) for (const peer of peers) all.add(peer);
    return all;
  }

  has(key: string, peer: Peer): boolean {
    const exact = this.#exact.get(key);
    if (exact === peer || (exact instanceof Set && exact.has(peer))) return true;
    for (const length of this.#lengths.keys()) if (this.#prefixes.get(key.slice(0, length))?.has(peer)) return true;
    return false;
  }

  #addKey(key: string, peer: Peer): void {
    const before = this.#exact.get(key);
    if (before === undefined) this.#exact.set(key, peer);
    else if (before instanceof Set) before.add(peer);
    else if (before !== peer) this.#exact.set(key, new Set([before, peer]));
  }

  #removeKey(key: string, peer: Peer): void {
    const before = this.#exact.get(key);
    if (before === peer) this.#exact.delete(key);
    else if (before instanceof Set && before.delete(peer) && before.size === 1) this.#exact.set(key, [...before][0] as Peer);
  }

  #addPrefix(prefix: string, peer: Peer): void {
    const before = this.#prefixes.get(prefix);
    if (before) {
      before.add(peer);
      return;
    }
    this.#prefixes.set(prefix, new Set([peer]));
    this.#lengths.set(prefix.length, (this.#lengths.get(prefix.length) ?? 0) + 1);
  }

  #removePrefix(prefix: string, peer: Peer): void {
    const before = this.#prefixes.get(prefix);
    if (!before?.delete(peer) || before.size > 0) return;
    this.#prefixes.delete(prefix);
    const left = (this.#lengths.get(prefix.length) ?? 0) - 1;
    if (left > 0) this.#lengths.set(prefix.length, left);
    else this.#lengths.delete(prefix.length);
  }
}

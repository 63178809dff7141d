import type { Peer } from "../../server/app.js";

/** What a page does with the ids of one space. */
export class Space {
  /** What its last view named: it is told of every change of these. */
  listed: ReadonlySet<string> = new Set();
  /** What its views have claimed, and its locks. What stands in both is its own until both let go. */
  readonly viewing = new Set<string>();
  readonly locking = new Set<string>();
}

/** What one peer lists, and why it has what it has. Whether it has a lock is not decided here: the table says so. */
export class PageLocks {
  readonly spaces = new Map<string, Space>();
  /** The fences of what it has, by key, as the table tells. */
  readonly fences = new Map<string, number>();
  /** Views of it under way: their answer tells what it has got. */
  readonly views = new Set<object>();
  /** How many ids it lists or has locked, at most. */
  count = 0;
  /** It is gone: what it may still be granted has to be given back. */
  ended = false;

  constructor(readonly peer: Peer) {}

  space(name: string): Space {
    let space = this.spaces.get(name);
    if (space === undefined) {
      space = new Space();
      this.spaces.set(name, space);
    }
    return space;
  }

  /** How many ids it would list or have locked, if it did these in that space. */
  countWith(name: string, listed: Iterable<string>, locking: Iterable<string>): number {
    let count = new Set([...listed, ...locking]).size;
    for (const [each, space] of this.spaces) if (each !== name) count += new Set([...space.listed, ...space.locking]).size;
    return count;
  }

  /** It does not have it any more. */
  lose(name: string, id: string): void {
    const space = this.spaces.get(name);
    space?.viewing.delete(id);
    space?.locking.delete(id);
  }

  /** Spaces in which it lists and holds nothing are forgotten: there is no end to their names. */
  tidy(name: string): void {
    const space = this.spaces.get(name);
    if (space && space.listed.size + space.viewing.size + space.locking.size === 0) this.spaces.delete(name);
  }
}

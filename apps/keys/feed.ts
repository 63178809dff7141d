import type { Packet } from "../../protocol/index.js";
import type { AppHub, Change, MaybePromise, Peer } from "../../server/app.js";
import { RETRY } from "./until-done.js";

/** What has happened to a key, as far as a feed needs to know. */
export type News = Pick<Change, "key" | "version"> & Partial<Pick<Change, "entry" | "before">>;

/** Keys that have changed, with the version of the newest change. */
export type Changed = ReadonlyMap<string, number>;

/** Tells a peer what some keys hold now. */
export type Tell = (peer: Peer, changed: Changed) => MaybePromise<void>;

/** What a peer has yet to be told. */
class Behind {
  /** Said in this order, and before what the keys hold. */
  readonly packets: Packet[] = [];
  readonly #keys = new Map<string, number>();
  /** Those of them that held nothing when the peer was last told. */
  readonly #born = new Set<string>();
  /** What is being told: the peer may hear of those keys, whatever happens to them meanwhile. */
  #underWay: Changed = new Map();

  /** @param forgets is a key that came and went meanwhile none of it? */
  constructor(private readonly forgets: () => boolean) {}

  get empty(): boolean {
    return this.#keys.size + this.packets.length === 0;
  }

  add({ key, version, entry, before }: News): void {
    if (entry === undefined && this.#born.delete(key) && this.forgets()) {
      this.#keys.delete(key);
      return;
    }
    const unheardOf = before === undefined && !this.#keys.has(key) && !this.#underWay.has(key);
    if (entry !== undefined && unheardOf) this.#born.add(key);
    this.#keys.set(key, version);
  }

  /** The first of them. */
  take(count: number): Map<string, number> {
    const taken = new Map<string, number>();
    for (const [key, version] of this.#keys) {
      if (taken.size === count) break;
      taken.set(key, version);
    }
    for (const key of taken.keys()) this.#delete(key);
    this.#underWay = taken;
    return taken;
  }

  /** They were not told after all. */
  putBack(taken: Changed): void {
    for (const [key, version] of taken) if (!this.#keys.has(key)) this.#keys.set(key, version);
  }

  forget(isTold: (key: string, newest: number) => boolean, isKnown: (key: string) => boolean): void {
    for (const [key, newest] of this.#keys) {
      if (isTold(key, newest)) this.#delete(key);
      else if (isKnown(key)) this.#born.delete(key);
    }
  }

  #delete(key: string): void {
    this.#keys.delete(key);
    this.#born.delete(key);
  }
}

/**
 * Peers that follow keys are told of changes at once while they take what they are sent. Of one that does not (it is away, or reads too slowly)
 * only the names of the keys that have changed are kept; when it does again it is told what they hold then. So the latest wins, the final
 * state is always right, and a slow peer costs a list of names.
 */
export class Feed {
  readonly #behind = new Map<Peer, Behind>();

  /**
   * @param batch keys that are told together; what they say has to fit into what one peer may have waiting
   * @param forgets need a peer not be told of a key that came and went while it did not take it? It has not heard of it otherwise, and there is no end to
   *   the names of such keys
   */
  constructor(
    private readonly hub: AppHub,
    private readonly tell: Tell,
    private readonly batch: number,
    private readonly forgets: (peer: Peer) => boolean,
  ) {}

  /** May it be told of this now? Where not, it will be told. */
  ready(peer: Peer, news: News): boolean {
    const behind = this.#behind.get(peer);
    if (behind === undefined && peer.writable) return true;
    (behind ?? this.#wait(peer, this.#newBehind(peer))).add(news);
    return false;
  }

  /** Tells it what nothing newer replaces: each of it, in front of all that is told later. */
  say(peer: Peer, packets: readonly Packet[]): void {
    const behind = this.#behind.get(peer) ?? this.#newBehind(peer);
    behind.packets.push(...packets);
    if (this.#behind.has(peer)) return;
    sayWhile(peer, behind, () => peer.writable);
    if (!behind.empty) this.#wait(peer, behind);
  }

  /** What waits to be said is said now: an answer follows that is newer. */
  sayAll(peer: Peer): void {
    const behind = this.#behind.get(peer);
    if (behind) sayWhile(peer, behind, () => true);
  }

  /**
   * It has been told otherwise what these keys hold.
   * @param isKnown has it heard of a key, though not of the newest?
   */
  forget(peer: Peer, isTold: (key: string, newest: number) => boolean, isKnown: (key: string) => boolean = () => false): void {
    this.#behind.get(peer)?.forget(isTold, isKnown);
  }

  /** It is gone, or knows nothing any more of what it followed. */
  leave(peer: Peer): void {
    this.#behind.delete(peer);
  }

  #newBehind(peer: Peer): Behind {
    return new Behind(() => this.forgets(peer));
  }

  #wait(peer: Peer, behind: Behind): Behind {
    this.#behind.set(peer, behind);
    peer.onceWritable(() => this.#catchUp(peer, behind));
    return behind;
  }

  #catchUp(peer: Peer, behind: Behind): void {
    if (this.#behind.get(peer) !== behind) return;
    sayWhile(peer, behind, () => peer.writable);
    if (!peer.writable) {
      this.#goOn(peer, behind);
      return;
    }
    const taken = behind.take(this.batch);
    const told = taken.size === 0 ? undefined : this.tell(peer, taken);
    if (told instanceof Promise) {
      told.then(
        () => this.#goOn(peer, behind),
        (error) => this.#tryAgain(peer, behind, taken, error),
      );
    } else this.#goOn(peer, behind);
  }

  /** What changed while it was told stands in the list again. */
  #goOn(peer: Peer, behind: Behind): void {
    if (this.#behind.get(peer) !== behind) return;
    if (behind.empty) this.#behind.delete(peer);
    else this.#wait(peer, behind);
  }

  #tryAgain(peer: Peer, behind: Behind, taken: Changed, error: unknown): void {
    this.hub.log.warn("keys.unread", { conn: peer.id, error: (error as Error).message });
    behind.putBack(taken);
    this.hub.clock.after(RETRY, () => this.#goOn(peer, behind));
  }
}

function sayWhile(peer: Peer, { packets }: Behind, may: () => boolean): void {
  let said = 0;
  while (said < packets.length && may()) peer.send(packets[said++] as Packet);
  packets.splice(0, said);
}

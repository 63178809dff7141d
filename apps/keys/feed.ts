import type { AppHub, MaybePromise, Peer } from "../../server/app.js";

/** Keys that have changed, with the version of the newest change. */
export type Changed = Map<string, number>;

/** Tells a peer what some keys hold now. */
export type Tell = (peer: Peer, changed: ReadonlyMap<string, number>) => MaybePromise<void>;

/** Before it is tried again to tell somebody what could not be read, ms. */
const RETRY = 1_000;

/**
 * Peers that follow keys are told of changes at once while they take what they are sent. Of one that does not (it is away, or reads too slowly)
 * only the names of the keys that have changed are kept; when it does again it is told what they hold then. So the latest wins, the final
 * state is always right, and a slow peer costs a list of names.
 */
export class Feed {
  readonly #behind = new Map<Peer, Changed>();

  /** @param batch keys that are told together; what they say has to fit into what one peer may have waiting */
  constructor(
    private readonly hub: AppHub,
    private readonly tell: Tell,
    private readonly batch: number,
  ) {}

  /** May it be told of a change of this key now? Where not, it will be told. */
  ready(peer: Peer, key: string, version: number): boolean {
    const behind = this.#behind.get(peer);
    if (behind === undefined && peer.writable) return true;
    if (behind) behind.set(key, version);
    else this.#wait(peer, new Map([[key, version]]));
    return false;
  }

  /** It has been told otherwise what these keys hold. */
  forget(peer: Peer, isTold: (key: string, newest: number) => boolean): void {
    const behind = this.#behind.get(peer);
    for (const [key, newest] of behind ?? []) if (isTold(key, newest)) behind?.delete(key);
  }

  /** It is gone, or knows nothing any more of what it followed. */
  leave(peer: Peer): void {
    this.#behind.delete(peer);
  }

  #wait(peer: Peer, behind: Changed): void {
    this.#behind.set(peer, behind);
    peer.onceWritable(() => this.#catchUp(peer, behind));
  }

  #catchUp(peer: Peer, behind: Changed): void {
    if (this.#behind.get(peer) !== behind) return;
    const changed = new Map([...behind].slice(0, this.batch));
    for (const key of changed.keys()) behind.delete(key);
    const told = changed.size === 0 ? undefined : this.tell(peer, changed);
    if (told instanceof Promise) {
      told.then(
        () => this.#goOn(peer, behind),
        (error) => this.#tryAgain(peer, behind, changed, error),
      );
    } else this.#goOn(peer, behind);
  }

  /** What changed while it was told stands in the list again. */
  #goOn(peer: Peer, behind: Changed): void {
    if (this.#behind.get(peer) !== behind) return;
    if (behind.size > 0) this.#wait(peer, behind);
    else this.#behind.delete(peer);
  }

  #tryAgain(peer: Peer, behind: Changed, changed: Changed, error: unknown): void {
    this.hub.log.warn("keys.unread", { conn: peer.id, error: (error as Error).message });
    for (const [key, version] of changed) if (!behind.has(key)) behind.set(key, version);
    this.hub.clock.after(RETRY, () => this.#goOn(peer, behind));
  }
}

import { ClosedError, type HubClient, RefusedError } from "../client/index.js";
import { CLOSE, type Packet } from "../protocol/index.js";
import { changesOf } from "./changes.js";
import type { EventTargetOf } from "./events.js";
import { type StateChange, StateEvent, type StateValue } from "./state-change.js";
import type { Wills } from "./wills.js";

/** How a key is set. */
export interface SetOptions {
  /** Only where it has this version; 0: only where it does not exist. */
  if?: number;
  /** It is this page's and goes with it. Where the page is new to the hub it is set again. */
  will?: boolean;
}

/** Who has a key that goes with its owner. */
export interface Presence {
  /** The owner's name, or `somebody`. */
  readonly by: string;
  /** ms since 1970, by the hub's clock. */
  readonly since: number;
  readonly value: unknown;
}

const Base = EventTarget as unknown as new () => EventTargetOf<"change", StateEvent>;

/**
 * The keys that fit a pattern, watched (PROTOCOL.md, chapter 18). An event `change` follows each difference in `values`, which is up to date
 * when it is raised. Where this page is new to the hub it watches again, and what has changed meanwhile is raised.
 */
export class SharedState extends Base implements AsyncIterable<StateChange> {
  /** What the keys hold. */
  readonly values: ReadonlyMap<string, StateValue> = new Map();
  readonly #ready: Promise<void>;
  /** Somebody hears of it where it is refused. */
  #looked = false;
  readonly #values = this.values as Map<string, StateValue>;
  /** Of all keys told of in this watch; while it is unanswered of those that were deleted, too. */
  #versions = new Map<string, number>();
  /** Watches without an answer. */
  #unanswered = 0;
  readonly #over = new AbortController();
  #settle!: { resolve(): void; reject(error: unknown): void };

  /**
   * @param pattern a key, or a prefix that ends in `*`
   * @param wills the keys that go with this page
   * @param over the connection has ended for good
   */
  constructor(
    private readonly hub: HubClient,
    readonly pattern: string,
    private readonly wills: Wills,
    private readonly over: AbortSignal,
  ) {
    super();
    this.#ready = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.#ready.catch(() => {});
    const { signal } = this.#over;
    // Whoever waits for an answer goes on a moment later; a push right behind it must not overtake that.
    hub.addEventListener("state", ({ packet }) => queueMicrotask(() => this.#hear(packet)), { signal });
    hub.addEventListener("fresh", () => void this.#watch(), { signal });
    over.addEventListener("abort", () => this.#end(new ClosedError(CLOSE.normal.code, "The connection to the hub has ended.")), { signal });
    void this.#watch();
  }

  /** Settles when `values` is complete for the first time; rejects with RefusedError, or with ClosedError where it will never be. */
  get ready(): Promise<void> {
    this.#looked = true;
    return this.#ready;
  }

  /**
   * Sets any key, of this pattern or not; one that ends in `/~` is this page's own, and the answer says how it is called.
   * @throws RefusedError (rejects) `conflict`, `not-yours`, `too-much-state`, `bad-message`; ClosedError
   */
  set(key: string, value: unknown, options: SetOptions = {}): Promise<{ readonly key: string; readonly version: number }> {
    return this.wills.change({ opcode: "set", key, value, ...options }) as Promise<{ key: string; version: number }>;
  }

  /** @throws RefusedError (rejects) `conflict`, `not-yours`, `bad-message`; ClosedError */
  async delete(key: string, options: Pick<SetOptions, "if"> = {}): Promise<void> {
    await this.wills.change({ opcode: "delete", key, ...options });
  }

  /** The keys of this pattern that go with their owners. @throws RefusedError (rejects) `too-much-state`; ClosedError */
  async who(): Promise<ReadonlyMap<string, Presence>> {
    const { result } = await this.hub.send({ opcode: "who", keys: [this.pattern] });
    return new Map(Object.entries(result as Record<string, Presence>));
  }

  /** No more of it: iterators end, and `values` stays as it is. Keys that this page has set stay. */
  close(): void {
    if (this.closed) return;
    this.#end(new ClosedError(CLOSE.normal.code, "It was closed."));
    this.hub.send({ opcode: "unwatch", keys: [this.pattern] }).catch(() => {});
  }

  get closed(): boolean {
    return this.#over.signal.aborted;
  }

  /**
   * First what the keys hold now, then each change. Who is slow gets of each key only the newest; ends when this is closed, and throws where the
   * hub refused it.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<StateChange, void, undefined> {
    this.#looked = true;
    return changesOf(this, this.#over.signal);
  }

  /** What comes in front of the answer is newer than the answer, or in it [STATE-3]. */
  #watch(): Promise<void> {
    this.#versions = new Map();
    this.#unanswered++;
    return this.hub.send({ opcode: "watch", keys: [this.pattern] }).then(
      ({ result }) => {
        this.#unanswered--;
        this.#replace(new Map(Object.entries(result as Record<string, StateValue>)));
        this.#settle.resolve();
      },
      (error) => {
        this.#unanswered--;
        // Without a connection it waits for the next one.
        if (!(error instanceof RefusedError || this.over.aborted)) return;
        if (!this.#looked && !this.closed && error instanceof RefusedError) report(error);
        this.#end(error);
      },
    );
  }

  /** An app of one's own may have pushes of this name: only what looks like state is one. */
  #hear({ key, value, version, deleted, by }: Packet): void {
    const { pattern } = this;
    if (typeof key !== "string" || typeof version !== "number" || this.closed) return;
    if (pattern.endsWith("*") ? key.startsWith(pattern.slice(0, -1)) : key === pattern)
      this.#take({ key, value, version, deleted: deleted === true, by: by as string | undefined });
  }

  /** All there is. What is not there, and was not told of since this was asked for, has been deleted. */
  #replace(snapshot: ReadonlyMap<string, StateValue>): void {
    const versions = this.#versions;
    for (const key of this.values.keys())
      if (!snapshot.has(key) && !versions.has(key)) this.#take({ key, value: undefined, version: 0, deleted: true });
    for (const [key, kept] of snapshot) this.#take({ key, deleted: false, ...kept });
    if (this.#unanswered === 0) for (const key of versions.keys()) if (!this.values.has(key)) versions.delete(key);
  }

  #take(change: StateChange): void {
    const { key, value, version, deleted, by } = change;
    if (version > 0 && version <= (this.#versions.get(key) ?? 0)) return;
    const before = this.values.get(key);
    if (deleted && this.#unanswered === 0) this.#versions.delete(key);
    else this.#versions.set(key, version);
    if (deleted) this.#values.delete(key);
    else this.#values.set(key, { value, version, ...(by === undefined ? undefined : { by }) });
    if (deleted ? before : before?.version !== version) this.dispatchEvent(new StateEvent(change));
  }

  #end(error: Error): void {
    this.#over.abort(error);
    this.#settle.reject(error);
  }
}

/** As what nobody has caught: values that never come would look like values that are not there. */
function report(error: Error): void {
  (globalThis.reportError ?? console.error)(error);
}

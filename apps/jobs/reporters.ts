import { Answer, GONE, quoted, Refusal, sent } from "../../protocol/index.js";
import type { AppHub, MaybePromise, Peer } from "../../server/app.js";
import type { About, Ending, Report } from "./packets.js";
import type { Heard } from "./page-jobs.js";

/** What the hub of a backend tells the hub of a page. Plain JSON: they may be two processes. */
export type Told =
  | { readonly what: "progress"; readonly reporter: string; readonly report: Report }
  | { readonly what: "end"; readonly reporter: string; readonly report: Ending }
  | { readonly what: "left"; readonly reporter: string; readonly name: string; readonly died: boolean };

/** Jobs that one connection has reported for and not ended: a supervisor has hundreds. */
const MAX_OPEN = 10_000;

const SENT = sent(1);
const HELD = new Answer("held", { held: 1 });

/** The connections that report, on the hub where they are, and for which jobs: when one ends their pages are to know. */
export class Reporters {
  readonly #open = new Map<Peer, Map<string, About>>();

  /** A backend says how far it is. */
  progress(hub: AppHub, peer: Peer, report: Report): MaybePromise<Answer> {
    this.#begin(peer, report);
    return this.#tell(hub, peer, { what: "progress", reporter: peer.uuid, report }, report);
  }

  /** A backend says how it ended. */
  end(hub: AppHub, peer: Peer, report: Ending): MaybePromise<Answer> {
    return this.#tell(hub, peer, { what: "end", reporter: peer.uuid, report }, report);
  }

  /** A connection has ended; without `quit` it has died [JOB-6]. */
  left(hub: AppHub, peer: Peer, died: boolean): void {
    for (const { uuid, name } of this.#open.get(peer)?.values() ?? []) {
      const told = hub.call(uuid, { what: "left", reporter: peer.uuid, name, died } satisfies Told);
      // Where the page's hub cannot be reached it finds out by itself, after `jobIdleAfter`.
      if (told instanceof Promise) told.catch(() => {});
    }
    this.#open.delete(peer);
  }

  #tell(hub: AppHub, peer: Peer, told: Told, about: About): MaybePromise<Answer> {
    try {
      const heard = hub.call(about.uuid, told);
      if (!(heard instanceof Promise)) return this.#answer(peer, told, about, heard as Heard | undefined);
      return heard.then(
        (value) => this.#answer(peer, told, about, value as Heard | undefined),
        (error) => this.#refused(peer, about, error),
      );
    } catch (error) {
      return this.#refused(peer, about, error);
    }
  }

  #answer(peer: Peer, { what }: Told, about: About, heard: Heard | undefined): Answer {
    if (what === "end") this.#finish(peer, about);
    if (heard?.status === "sent") return SENT;
    if (heard?.status === "held") return HELD;
    if (heard?.status === "cancel") return new Answer("cancel", { reason: heard.reason });
    this.#finish(peer, about);
    return GONE;
  }

  #refused(peer: Peer, about: About, error: unknown): never {
    if (error instanceof Refusal && error.code === "job-ended") this.#finish(peer, about);
    throw error;
  }

  #begin(peer: Peer, { uuid, name, run }: About): void {
    let open = this.#open.get(peer);
    if (open === undefined) {
      open = new Map();
      this.#open.set(peer, open);
    }
    const key = keyOf(uuid, name);
    if (open.has(key)) return;
    if (open.size >= MAX_OPEN)
      throw new Refusal(
        "too-many-jobs",
        `Expected at most ${MAX_OPEN} jobs of one connection that have not ended, got another: ${quoted(name)}.`,
      );
    open.set(key, { uuid, name, run });
  }

  #finish(peer: Peer, { uuid, name }: About): void {
    this.#open.get(peer)?.delete(keyOf(uuid, name));
  }
}

/** UUIDs are all of the same length. */
const keyOf = (uuid: string, name: string): string => uuid + name;

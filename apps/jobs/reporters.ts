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
  readonly #open = new Map<Peer, Map<string, Pick<About, "uuid" | "name">>>();

  /** A backend says how far it is. */
  progress(hub: AppHub, peer: Peer, report: Report): MaybePromise<Answer> {
    this.#checkRoom(peer, report);
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
      // In memory this cannot fail. A cluster that can has to say it again: until then the page takes the job for running.
      if (told instanceof Promise) told.catch(() => {});
    }
    this.#open.delete(peer);
  }

  /** A run has ended, or its page has: nobody is to know how its connections end. */
  over(peer: Peer, uuid: string, name: string): void {
    this.#open.get(peer)?.delete(keyOf(uuid, name));
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
    if (heard === undefined || what === "end") this.over(peer, about.uuid, about.name);
    else this.#begin(peer, about);
    if (heard?.status === "sent") return SENT;
    if (heard?.status === "held") return HELD;
    return heard?.status === "cancel" ? new Answer("cancel", { reason: heard.reason }) : GONE;
  }

  #refused(peer: Peer, about: About, error: unknown): never {
    if (error instanceof Refusal && error.code === "job-ended") this.over(peer, about.uuid, about.name);
    throw error;
  }

  /** What runs is told when it is over, so this is no more than there is. */
  #checkRoom(peer: Peer, { uuid, name }: About): void {
    const open = this.#open.get(peer);
    if (open === undefined || open.size < MAX_OPEN || open.has(keyOf(uuid, name))) return;
    throw new Refusal("too-many-jobs", `Expected at most ${MAX_OPEN} running jobs of one connection, got another: ${quoted(name)}.`);
  }

  #begin(peer: Peer, { uuid, name }: About): void {
    let open = this.#open.get(peer);
    if (open === undefined) {
      open = new Map();
      this.#open.set(peer, open);
    }
    const key = keyOf(uuid, name);
    if (!open.has(key)) open.set(key, { uuid, name });
  }
}

/** UUIDs are all of the same length. */
const keyOf = (uuid: string, name: string): string => uuid + name;

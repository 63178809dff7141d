import type { RefusedError } from "../client/index.js";
import type { EventTargetOf } from "./events.js";

/** `waiting`: nothing has been reported for it. The others: PROTOCOL.md, chapter 16. */
export type JobState = "waiting" | "running" | "stopping" | EndState;
export type EndState = "done" | "failed" | "aborted" | "lost";

export type JobEventType = "progress" | "end" | "cancel" | "connection";

/**
 * What a job's events bring. `progress`: something is known of it that was not; `end`: this run has ended; `cancel`: what
 * became of an abort, in `status`.
 */
export class JobEvent extends Event {
  constructor(
    type: JobEventType,
    readonly job: Job,
    /** Of `cancel`: `sent`, the job was told; `unanswered`, it was and has not ended for long; `refused`, `error` says why. */
    readonly status?: "sent" | "refused" | "unanswered",
    readonly error?: RefusedError,
  ) {
    super(type);
  }
}

const Base = EventTarget as unknown as new () => EventTargetOf<JobEventType, JobEvent>;

/** A job of this page: what is known of its present run, or of the last one. What is not known is `undefined`. */
export class Job extends Base {
  readonly state: JobState = "waiting";
  /** False while this page has no connection to the hub: the job may go on, and what is shown of it is what was known. */
  readonly connected: boolean = true;
  /** How much is done, of how much. */
  declare readonly at: number | undefined;
  declare readonly of: number | undefined;
  /** What it is doing; at its end, what it has to say about it. */
  declare readonly message: string | undefined;
  /** What it is, for people. */
  declare readonly title: string | undefined;
  /** False where it cannot be stopped. */
  declare readonly cancellable: boolean | undefined;
  /** True: it was told to stop and has not ended for long. */
  declare readonly unanswered: boolean | undefined;
  /** ms since 1970, by the hub's clock; names the run. */
  declare readonly started: number | undefined;
  /** ms since 1970, by the hub's clock; `undefined` also where it is `lost` because this page lost the hub. */
  declare readonly ended: number | undefined;
  /** Of `at`, per second, lately. */
  declare readonly rate: number | undefined;
  /** ms to the end at that rate. */
  declare readonly left: number | undefined;
  /** What the job had to say at its end. */
  declare readonly result: unknown;
  readonly #abort: (reason?: string) => Promise<"sent" | EndState>;

  constructor(
    readonly name: string,
    abort: (reason?: string) => Promise<"sent" | EndState>,
  ) {
    super();
    this.#abort = abort;
  }

  /** Whole percent, rounded down: 100 means all of it. */
  get percent(): number | undefined {
    return this.of && this.at !== undefined ? Math.floor((this.at / this.of) * 100) : undefined;
  }

  /**
   * Tells it to stop; `end` follows when it has.
   * @param reason shown to the job, at most 256 characters; default `user`
   * @returns `sent` when it has been told, or how it ended where it has already
   * @throws RefusedError (rejects) `no-job`, `not-cancellable`, …; ClosedError where there is no connection to the hub, or it
   *   ended for good before the answer came. A drop that is mended is waited for.
   */
  abort(reason?: string): Promise<"sent" | EndState> {
    return this.#abort(reason);
  }
}

import { type ClosedError, RefusedError } from "../client/index.js";
import { type EndState, Job, JobEvent, type JobEventType, type JobState } from "./job.js";

/** A job as the hub tells of it. */
export interface JobInfo {
  readonly job: string;
  readonly state: JobState;
  readonly started: number;
  readonly [field: string]: unknown;
}

/** What became of an abort. */
export interface CancelPacket {
  readonly job?: string;
  readonly status: JobEvent["status"];
  readonly error?: { readonly code: string; readonly message: string };
}

/** Settles an abort; with a promise that rejects it rejects. */
type Settle = (how: "sent" | EndState | Promise<never>) => void;

const FIELDS = ["state", "at", "of", "message", "title", "cancellable", "unanswered", "started", "ended", "rate", "left", "result"];

const isActive = (state: JobState): boolean => state === "running" || state === "stopping";

/** A job with what its page has been told of it. */
export class JobEntry {
  readonly job: Job;
  /** The run that is spoken of, by `started`. Runs of one name follow each other, so what is below is over. */
  #run = 0;
  /** The last run whose end was raised: the hub may tell of it again [JOB-11]. */
  told = 0;
  #aborts: Settle[] = [];

  /** @param cancel says it to the hub; throws where there is no connection */
  constructor(name: string, cancel: (reason?: string) => void) {
    this.job = new Job(name, (reason) => this.#abort(cancel, reason));
  }

  /** @returns has a run begun or ended? */
  take(info: JobInfo): boolean {
    const { state, started } = info;
    const over = !isActive(state);
    if (started < this.#run || (started <= this.told && (!over || this.#over))) return false;
    const begins = started > this.#run;
    if (begins) this.lose();
    this.#run = started;
    this.#set(Object.fromEntries(FIELDS.map((field) => [field, info[field]])));
    const ends = over && started > this.told;
    if (ends) this.told = started;
    if (state !== "running") this.#settle(over ? (state as EndState) : "sent");
    this.#raise(ends ? "end" : "progress");
    return begins || ends;
  }

  /** The hub will not tell how its run ends. @returns false where none was under way */
  lose(why = "."): boolean {
    if (!isActive(this.job.state)) return false;
    this.told = this.#run;
    this.#set({ state: "lost", message: `Nothing more is heard of it${why}`, unanswered: undefined, rate: undefined, left: undefined });
    this.#settle("lost");
    this.#raise("end");
    return true;
  }

  /** The hub does not know this page any more; what it tells from now on is of other runs. @returns was one under way? */
  closed(error: ClosedError): boolean {
    this.#settle(error);
    const lost = this.lose(`: ${error.message}`);
    this.#run = 0;
    this.told = 0;
    return lost;
  }

  /** Has this page a connection to the hub? */
  connection(connected: boolean): void {
    if (this.job.connected === connected) return;
    this.#set({ connected });
    if (isActive(this.job.state)) this.#raise("connection");
  }

  /** What became of an abort. A packet without a name is for whoever waits: the hub could not read the name. */
  answered({ job, status, error }: CancelPacket): void {
    if (job === undefined && this.#aborts.length === 0) return;
    const refusal = error && new RefusedError(error.code, error.message);
    if (status === "unanswered") this.#set({ unanswered: true });
    else if (!refusal && this.job.state === "running") this.#set({ state: "stopping" });
    this.#settle(refusal ?? "sent");
    this.#raise("cancel", status, refusal);
  }

  #abort(cancel: (reason?: string) => void, reason?: string): Promise<"sent" | EndState> {
    return new Promise((resolve) => {
      if (this.#over) return resolve(this.job.state as EndState);
      cancel(reason);
      this.#aborts.push(resolve);
    });
  }

  get #over(): boolean {
    return this.job.state !== "waiting" && !isActive(this.job.state);
  }

  #set(fields: object): void {
    Object.assign(this.job, fields);
  }

  #settle(how: "sent" | EndState | Error): void {
    for (const settle of this.#aborts.splice(0)) settle(how instanceof Error ? Promise.reject(how) : how);
  }

  #raise(type: JobEventType, status?: JobEvent["status"], error?: RefusedError): void {
    this.job.dispatchEvent(new JobEvent(type, this.job, status, error));
  }
}

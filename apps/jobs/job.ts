import { quoted, Refusal } from "../../protocol/index.js";
import { type Ended, type Ending, type JobInfo, type Report, sizeOf } from "./packets.js";
import { Rate } from "./rate.js";

export type JobState = JobInfo["state"];
/** What can happen to a run. */
export type JobInput = "progress" | "cancel" | Ended;

const ANY_END = { done: "done", failed: "failed", aborted: "aborted", lost: "lost" } as const;

/** The life of a run as a table: PROTOCOL.md, chapter 16. An input without an entry changes nothing. */
export const JOB_TRANSITIONS: Readonly<Record<JobState, Readonly<Partial<Record<JobInput, JobState>>>>> = {
  running: { progress: "running", cancel: "stopping", ...ANY_END },
  stopping: { progress: "stopping", cancel: "stopping", ...ANY_END },
  done: {},
  failed: {},
  aborted: {},
  lost: {},
};

/** One run of a job: what is known of it. Knows neither pages nor timers. */
export class Job {
  readonly name: string;
  readonly run: string | undefined;
  /** Connections that have reported for it, by UUID; while it runs those that stand. */
  readonly reporters = new Set<string>();
  /** Why its user wants it to stop. */
  reason = "";
  /** It was told to stop and has not for a while [JOB-8]. */
  unanswered = false;
  #state: JobState = "running";
  #at: number | undefined;
  #of: number | undefined;
  #message: string | undefined;
  #title: string | undefined;
  #cancellable = true;
  #ended: number | undefined;
  #result: unknown;
  #resultSize = 0;
  #rate: Rate | undefined;

  /** @param started ms since 1970, another for each run of its page */
  constructor(
    { name, run }: { name: string; run: string | undefined },
    readonly started: number,
  ) {
    this.name = name;
    this.run = run;
  }

  /** A run that was lost goes on: what was known of it still is [JOB-7]. */
  resume({ run, info }: Job): void {
    if (run === undefined || run !== this.run || info.state !== "lost") return;
    this.#at = info.at;
    this.#of = info.of;
    this.#message = info.message;
    this.#title = info.title;
    this.#cancellable = info.cancellable;
  }

  get state(): JobState {
    return this.#state;
  }

  get over(): boolean {
    return this.#ended !== undefined;
  }

  get cancellable(): boolean {
    return this.#cancellable;
  }

  /** How far it is. @throws Refusal, and then nothing has changed */
  progress(report: Report, now: number): void {
    const at = merged(this.#at, report.at);
    const of = merged(this.#of, report.of);
    if (at !== undefined && of !== undefined && at > of)
      throw new Refusal("bad-message", `Expected \`at\` to be at most \`of\` ${of}, got ${quoted(at)}.`);
    if (!this.#to("progress")) return;
    this.#at = of !== undefined && at === undefined ? 0 : at;
    this.#of = of;
    this.#message = merged(this.#message, report.message);
    this.#title = merged(this.#title, report.title);
    this.#cancellable = report.cancellable ?? this.#cancellable;
    if (this.#at === undefined) this.#rate = undefined;
    else if (this.#rate) this.#rate.add(this.#at, now);
    else this.#rate = new Rate(this.#at, now);
  }

  /** Its user wants it to stop. @returns false where it has ended */
  cancel(reason: string): boolean {
    if (!this.#to("cancel")) return false;
    this.reason ||= reason;
    return true;
  }

  /** It has ended, by its own word or because it is lost. @returns false where it had already */
  end(state: Ended, { message, result }: Partial<Pick<Ending, "message" | "result">>, date: number): boolean {
    if (!this.#to(state)) return false;
    this.#ended = Math.max(date, this.started);
    this.#message = merged(this.#message, message);
    this.#result = result;
    this.#resultSize = sizeOf(result);
    this.unanswered = false;
    return true;
  }

  /** Bytes of its result as JSON. */
  get resultSize(): number {
    return this.#resultSize;
  }

  /** Its page has had it, or never will. */
  dropResult(): void {
    this.#result = undefined;
    this.#resultSize = 0;
  }

  /** Is a report of this connection, with this name of a run, one of this run that came too late [JOB-7]? */
  isLate(reporter: string, run: string | undefined): boolean {
    if (this.#state === "lost") return false;
    if (run !== undefined && this.run !== undefined) return run === this.run;
    return this.reporters.has(reporter);
  }

  /** What its page is told. Fields that are undefined do not appear in JSON. */
  get info(): JobInfo {
    const running = !this.over;
    const rate = running ? this.#rate?.perSecond : undefined;
    return {
      job: this.name,
      state: this.#state,
      at: this.#at,
      of: this.#of,
      message: this.#message,
      title: this.#title,
      cancellable: this.#cancellable,
      unanswered: this.unanswered || undefined,
      started: this.started,
      ended: this.#ended,
      rate,
      left: rate ? this.#left(rate) : undefined,
      result: this.#result,
    };
  }

  #left(rate: number): number | undefined {
    if (this.#at === undefined || this.#of === undefined) return undefined;
    return Math.round(((this.#of - this.#at) / rate) * 1_000);
  }

  #to(input: JobInput): boolean {
    const next = JOB_TRANSITIONS[this.#state][input];
    if (next === undefined) return false;
    this.#state = next;
    return true;
  }
}

/** Left out: as it was. `null`: unknown. */
function merged<T>(before: T | undefined, now: T | null | undefined): T | undefined {
  return now === undefined ? before : (now ?? undefined);
}

import { type Packet, quoted, Refusal } from "../../protocol/index.js";
import type { AppHub, Peer } from "../../server/app.js";
import { Job } from "./job.js";
import type { About, Ended, Ending, JobInfo, Over, Report } from "./packets.js";

/** Numbers of the app: unit, default and reason of each stand in the hub's options. */
export interface JobLimits {
  /** Jobs of one page. */
  readonly maxJobs: number;
  /** Times a second that a page is told of one job. */
  readonly jobUpdates: number;
  /** ms after the death of a connection. */
  readonly jobLostAfter: number;
  /** ms without a report and without a connection. */
  readonly jobIdleAfter: number;
  /** ms for a job to end that was told to. */
  readonly jobAnswerAfter: number;
  /** ms that an ended job is remembered. */
  readonly jobKeepFor: number;
}

/** Bytes of JSON of all results of one page that are kept. */
const MAX_RESULTS = 262_144;

/** What became of a report, for the hub where it was said. */
export type Heard = { readonly status: "sent" | "held" } | { readonly status: "cancel"; readonly reason: string };

const SENT: Heard = { status: "sent" };
const HELD: Heard = { status: "held" };

/** A job with what is planned for it. */
class Entry {
  /** When its page was last told of it, ms. */
  toldAt = Number.NEGATIVE_INFINITY;
  /** Its page is yet to be told the newest. */
  cancelUpdate: (() => void) | undefined;
  /** Running: it will be lost. Over: it will be forgotten. */
  cancelEnd: (() => void) | undefined;
  /** It was told to stop. */
  cancelPatience: (() => void) | undefined;
  /** Its page knows of this run. */
  told = false;
  /** One of its connections has died, and nothing was reported since. */
  died = false;

  constructor(readonly job: Job) {}

  /** Nothing is planned any more. */
  clear(): void {
    this.cancelUpdate?.();
    this.cancelEnd?.();
    this.cancelPatience?.();
    this.cancelUpdate = undefined;
    this.cancelEnd = undefined;
    this.cancelPatience = undefined;
  }
}

/** The jobs of one page, on the hub where the page is (PROTOCOL.md, chapter 16). */
export class PageJobs {
  readonly #entries = new Map<string, Entry>();
  #lastStarted = 0;

  constructor(
    private readonly page: Peer,
    private readonly hub: AppHub,
    private readonly limits: JobLimits,
  ) {}

  // ── What backends say ──────────────────────────────────────────────────────────────────────────────────────────

  /** @throws Refusal, and then nothing has changed */
  progress(reporter: string, report: Report): Heard {
    const entry = this.#entryFor(reporter, report);
    entry.job.progress(report, this.hub.clock.now());
    this.#keep(entry);
    this.#stands(entry, reporter);
    this.#tellSoon(entry);
    if (entry.job.state === "stopping") return { status: "cancel", reason: entry.job.reason };
    return this.#heard;
  }

  /** @throws Refusal, and then nothing has changed */
  end(reporter: string, ending: Ending): Heard {
    const entry = this.#entryFor(reporter, ending);
    this.#keep(entry);
    entry.job.reporters.add(reporter);
    this.#end(entry, ending.state, ending);
    return this.#heard;
  }

  /** A connection that has reported for this job has ended [JOB-6]. */
  left(reporter: string, name: string, died: boolean): void {
    const entry = this.#entries.get(name);
    if (entry === undefined || entry.job.over || !entry.job.reporters.delete(reporter)) return;
    entry.died ||= died;
    if (entry.job.reporters.size > 0) return;
    const { jobLostAfter, jobIdleAfter } = this.limits;
    entry.cancelEnd?.();
    entry.cancelEnd = this.hub.clock.after(entry.died ? jobLostAfter : jobIdleAfter, () => {
      this.#end(entry, "lost", { message: entry.died ? undefined : "Nothing was heard of it for long." });
    });
  }

  // ── What the page says ─────────────────────────────────────────────────────────────────────────────────────────

  /** The page wants this job to stop; what becomes of that is told in a packet [JOB-8]. @throws Refusal */
  cancel(name: string, reason: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw new Refusal("no-job", `This page has no job ${quoted(name)}.`);
    const { job } = entry;
    if (job.over) {
      this.page.send({ opcode: "end", ...job.info });
      return;
    }
    if (!job.cancellable) throw new Refusal("not-cancellable", `The job ${quoted(name)} cannot be stopped.`);
    const first = job.state === "running";
    job.cancel(reason);
    this.page.send({ opcode: "cancel", job: name, status: "sent" });
    if (!first) return;
    entry.cancelPatience = this.hub.clock.after(this.limits.jobAnswerAfter, () => this.#unanswered(entry));
    this.#tellSoon(entry);
    this.#tellReporters(job);
  }

  /** Everything that runs and what has ended, in the order of their beginning. */
  get list(): JobInfo[] {
    return [...this.#entries.values()].map(({ job }) => job.info).sort((a, b) => a.started - b.started);
  }

  /** It is back: it is told everything, for it heard of no progress while it was away [JOB-10]. */
  back(): void {
    if (this.#entries.size === 0) return;
    const now = this.hub.clock.now();
    for (const entry of this.#entries.values()) {
      entry.toldAt = now;
      entry.told = true;
      entry.cancelUpdate?.();
      entry.cancelUpdate = undefined;
    }
    // No state, though it is one: in the place of an older list it would stand in front of what came between the two.
    this.page.send({ opcode: "jobs", jobs: this.list });
  }

  /** The page has ended. @returns how many of its jobs were running */
  clear(): number {
    let running = 0;
    for (const entry of this.#entries.values()) {
      entry.clear();
      if (entry.job.over) continue;
      running++;
      this.#release(entry.job);
    }
    this.#entries.clear();
    return running;
  }

  // ── Inside ─────────────────────────────────────────────────────────────────────────────────────────────────────

  get #heard(): Heard {
    return this.page.away ? HELD : SENT;
  }

  /** The run that a report is for; a new one is not kept before its first report has been found right. */
  #entryFor(reporter: string, { name, run }: About): Entry {
    const entry = this.#entries.get(name);
    if (entry === undefined) {
      this.#checkRoom(name);
      return this.#newRun(name, run);
    }
    if (!entry.job.over) {
      if (run === undefined || entry.job.run === undefined || run === entry.job.run) return entry;
      this.#giveWay(entry, reporter);
    } else if (entry.job.isLate(reporter, run))
      throw new Refusal("job-ended", `${entry.job.state}: the run of job ${quoted(name)} that this belongs to has ended.`);
    const next = this.#newRun(name, run);
    next.job.resume(entry.job);
    return next;
  }

  /** Another run begins: the one before is lost, unless somebody stands for it. @throws Refusal `job-running` */
  #giveWay(entry: Entry, reporter: string): void {
    const others = [...entry.job.reporters].some((uuid) => uuid !== reporter);
    if (others) throw new Refusal("job-running", `Another run of job ${quoted(entry.job.name)} is going on, and its connection stands.`);
    this.#end(entry, "lost", { message: "Another run of this job has begun." });
  }

  #newRun(name: string, run: string | undefined): Entry {
    const started = Math.max(Date.now(), this.#lastStarted + 1);
    return new Entry(new Job({ name, run }, started));
  }

  #checkRoom(name: string): void {
    const { maxJobs } = this.limits;
    if (this.#entries.size < maxJobs || this.#oldestEnded() !== undefined) return;
    throw new Refusal("too-many-jobs", `Expected at most \`maxJobs\` ${maxJobs} running jobs of one page, got another: ${quoted(name)}.`);
  }

  #oldestEnded(): Entry | undefined {
    let oldest: Entry | undefined;
    for (const entry of this.#entries.values()) {
      if (entry.job.over && (oldest === undefined || endOf(entry) < endOf(oldest))) oldest = entry;
    }
    return oldest;
  }

  /** A new run takes its place in the list, and that of the run before it. */
  #keep(entry: Entry): void {
    const { name, started } = entry.job;
    const before = this.#entries.get(name);
    if (before === entry) return;
    if (before) {
      // However many runs there are, the page hears of one job.
      entry.toldAt = before.toldAt;
      this.#forget(before);
    } else if (this.#entries.size >= this.limits.maxJobs) this.#forget(this.#oldestEnded() as Entry);
    this.#lastStarted = started;
    this.#entries.set(name, entry);
  }

  #forget(entry: Entry): void {
    entry.clear();
    this.#entries.delete(entry.job.name);
  }

  /** A connection reports for it: it is not lost. */
  #stands(entry: Entry, reporter: string): void {
    entry.job.reporters.add(reporter);
    entry.died = false;
    entry.cancelEnd?.();
    entry.cancelEnd = undefined;
  }

  #end(entry: Entry, state: Ended, said: Partial<Pick<Ending, "message" | "result">>): void {
    const { job } = entry;
    const isLast = entry.cancelUpdate !== undefined;
    entry.clear();
    // A run that its page has not heard of yet is told in one, or many short ones would be a flood.
    if (isLast && entry.told) this.#tell(entry);
    job.end(state, said, Date.now());
    this.page.send({ opcode: "end", ...job.info });
    this.#release(job);
    this.#limitResults();
    this.hub.log.info("job.ended", { page: this.page.id, job: job.name, state });
    entry.cancelEnd = this.hub.clock.after(this.limits.jobKeepFor, () => this.#forget(entry));
  }

  /** Results are kept for a page that comes back, but not more of them than fit into one list: those that ended first go. */
  #limitResults(): void {
    const ended = [...this.#entries.values()].filter(({ job }) => job.resultSize > 0).sort((a, b) => endOf(b) - endOf(a));
    let size = 0;
    for (const { job } of ended) {
      size += job.resultSize;
      if (size > MAX_RESULTS) job.dropResult();
    }
  }

  /** Who has reported for a run need not be watched for it any more. */
  #release({ name, reporters }: Job): void {
    const over: Over = { what: "over", page: this.page.uuid, name };
    for (const uuid of reporters) {
      const told = this.hub.call(uuid, over);
      // A hub that cannot be reached knows one that is over, and finds out at its next report.
      if (told instanceof Promise) told.catch(() => {});
    }
  }

  #unanswered(entry: Entry): void {
    entry.job.unanswered = true;
    this.page.send({ opcode: "cancel", job: entry.job.name, status: "unanswered" });
    this.#tellSoon(entry);
  }

  #tellReporters({ name, reason, reporters }: Job): void {
    const packet: Packet = { opcode: "cancel", uuid: this.page.uuid, job: name, reason };
    // Who cannot be reached that way hears of it with the answer to its next report.
    for (const uuid of reporters) {
      try {
        const told = this.hub.feedback({ uuid }, packet);
        if (told instanceof Promise) told.catch(() => {});
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
      }
    }
  }

  /** Tells the page at once if it has not just been told; else when its time has come, and then the newest [JOB-4]. */
  #tellSoon(entry: Entry): void {
    if (entry.cancelUpdate !== undefined || this.page.away) return;
    const now = this.hub.clock.now();
    const due = entry.toldAt + 1_000 / this.limits.jobUpdates;
    if (now >= due) this.#tell(entry);
    else
      entry.cancelUpdate = this.hub.clock.after(due - now, () => {
        entry.cancelUpdate = undefined;
        this.#tell(entry);
      });
  }

  /** Newer values take the place of older ones of the same run while the page is slow [KIND-2]. */
  #tell(entry: Entry): void {
    entry.toldAt = this.hub.clock.now();
    entry.told = true;
    const { info } = entry.job;
    if (!this.page.away) this.page.send({ opcode: "progress", ...info }, { key: `${info.started} ${info.job}` });
  }
}

const endOf = ({ job }: Entry): number => job.info.ended ?? Number.POSITIVE_INFINITY;

import { ClosedError, HubClient, type Snapshot } from "../client/index.js";
import { CLOSE, type Packet } from "../protocol/index.js";
import { expected } from "./expected.js";
import type { Job } from "./job.js";
import { type CancelPacket, JobEntry, type JobInfo } from "./job-entry.js";
import { Locks } from "./locks.js";
import { SharedState } from "./shared-state.js";
import { Wills } from "./wills.js";

/** @throws TypeError */
function checkText(value: unknown, what: string): void {
  if (typeof value !== "string" || value === "") throw expected(what, value);
}

/** Jobs that a page remembers: as many as the hub does (`maxJobs`), if nobody says otherwise there. */
const MAX_JOBS = 100;

/** What a page leaves behind for itself when it is reloaded. */
export interface PageSnapshot extends Snapshot {
  /** The runs whose end was raised: that of each job's last. */
  readonly ended?: readonly (readonly [name: string, started: number])[];
  /** What was locked and not given back, by space. */
  readonly locked?: readonly (readonly [space: string, ids: readonly string[]])[];
}

/** `jobs`: the list has changed. */
interface JobsEventTarget {
  addEventListener(type: "jobs", listener: (event: Event) => void, options?: { once?: boolean; signal?: unknown } | boolean): void;
}

const Base = HubClient as unknown as new (...args: ConstructorParameters<typeof HubClient>) => JobsEventTarget & HubClient;

/** The client of a page: a {@link HubClient} that keeps the page's jobs, locks and state (PROTOCOL.md, chapters 16 to 18). */
export class PageClient extends Base {
  /**
   * The jobs of this page that run or have ended, in the order of their beginning: always the same array. An event `jobs`
   * follows each time one has come or ended.
   */
  readonly jobs: readonly Job[] = [];
  readonly #list = this.jobs as Job[];
  readonly #entries = new Map<string, JobEntry>();
  readonly #locks = new Map<string, Locks>();
  readonly #states = new Map<string, SharedState>();
  readonly #wills = new Wills(this);
  /** The connection has ended for good. */
  readonly #over = new AbortController();
  /** The page has ended it itself. */
  readonly #left = new AbortController();

  constructor(openWire: ConstructorParameters<typeof HubClient>[0], hello: () => object | Promise<object>, restored?: PageSnapshot) {
    super(openWire, hello, restored);
    for (const [name, started] of restored?.ended ?? []) this.#entry(name).told = started;
    for (const [space, ids] of restored?.locked ?? []) this.#space(space, ids);
    this.addEventListener("message", ({ packet }) => this.#hear(packet));
    this.addEventListener("fresh", ({ ready }) => {
      this.#lost(CLOSE.lost.code, `this page is new to the hub (${ready.reason ?? "expired"}).`);
    });
    this.addEventListener("ready", () => this.#connection(true));
    this.addEventListener("close", ({ code, reason, retryIn }) => {
      if (retryIn === undefined) this.#over.abort();
      if (!this.mayResume) this.#lost(code, reason);
      this.#connection(false);
    });
  }

  /** The job of this name, the same object each time; in `waiting` until something is reported for it. Default: `job`. */
  job(name = "job"): Job {
    return this.#entry(name || "job").job;
  }

  /** The locks of a space (`books`, say), the same object each time. @throws TypeError */
  locks(space: string): Locks {
    checkText(space, '`space` to be a text, such as "books"');
    return this.#space(space);
  }

  /** Watches keys: one, or all that begin alike (`machine/*`). The same object each time until it is closed. @throws TypeError */
  state(pattern: string): SharedState {
    checkText(pattern, '`pattern` to be a key or a prefix, such as "machine/*"');
    for (const [each, { closed }] of this.#states) if (closed) this.#states.delete(each);
    let state = this.#states.get(pattern);
    if (state === undefined) {
      state = new SharedState(this, pattern, this.#wills, this.#over.signal);
      this.#states.set(pattern, state);
    }
    return state;
  }

  override get snapshot(): PageSnapshot | undefined {
    const snapshot = super.snapshot;
    return (
      snapshot && {
        ...snapshot,
        ended: Array.from(this.#entries, ([name, { told }]) => [name, told] as const),
        locked: Array.from(this.#locks, ([space, { locked }]) => [space, [...locked]] as const),
      }
    );
  }

  override close(): void {
    this.#left.abort();
    super.close();
    // In a pause between two tries there is no connection whose end would be an event.
    if (this.connected) return;
    this.#over.abort();
    this.#lost(CLOSE.normal.code, "the page closed its connection to the hub.");
  }

  #entry(name: string): JobEntry {
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      entry = new JobEntry(name, (reason) => this.#cancel(name, reason));
      this.#entries.set(name, entry);
    }
    return entry;
  }

  #space(space: string, locked?: readonly string[]): Locks {
    let locks = this.#locks.get(space);
    if (locks === undefined) {
      locks = new Locks(this, space, { over: this.#over.signal, left: this.#left.signal }, locked);
      this.#locks.set(space, locks);
    }
    return locks;
  }

  #cancel(job: string, reason?: string): void {
    if (!this.connected) throw new ClosedError(CLOSE.lost.code, "Not connected to the hub.");
    this.say({ opcode: "cancel", job, reason });
  }

  /** An app of one's own may have pushes of these names: only what looks like a job is one. */
  #hear(packet: Packet): void {
    const { opcode, job, jobs, status, started } = packet;
    if (opcode === "jobs" && Array.isArray(jobs)) this.#replace(jobs);
    else if (opcode === "cancel" && status) this.#answered(packet as unknown as CancelPacket);
    else if (job && started && (opcode === "progress" || opcode === "end")) this.#take(packet as Packet & JobInfo);
  }

  #take(info: JobInfo): void {
    const entry = this.#entry(info.job);
    if (!entry.take(info)) return;
    if (!this.jobs.includes(entry.job)) this.#list.push(entry.job);
    this.#changed();
    this.#forget();
  }

  /** The hub forgets what has ended, and does not say so: a page that lives for weeks must not remember all of it. */
  #forget(): void {
    const ended = this.jobs.filter(({ state }) => state !== "running" && state !== "stopping");
    for (const job of ended.slice(0, Math.max(0, this.jobs.length - MAX_JOBS))) {
      this.#list.splice(this.jobs.indexOf(job), 1);
      this.#entries.delete(job.name);
    }
  }

  /** All there is to know [JOB-10]; the event is the packet's own. */
  #replace(list: readonly JobInfo[]): void {
    const before = this.#list.splice(0, this.jobs.length, ...list.map(({ job }) => this.job(job)));
    for (const info of list) this.#entry(info.job).take(info);
    for (const job of before) if (!this.jobs.includes(job)) this.#entry(job.name).lose();
  }

  #answered(packet: CancelPacket): void {
    const { job } = packet;
    for (const entry of job === undefined ? this.#entries.values() : [this.#entry(job)]) entry.answered(packet);
  }

  #connection(connected: boolean): void {
    for (const entry of this.#entries.values()) entry.connection(connected);
  }

  #lost(code: number, why: string): void {
    let changed = false;
    for (const entry of this.#entries.values()) changed = entry.closed(new ClosedError(code, why)) || changed;
    if (changed) this.#changed();
  }

  #changed(): void {
    this.#list.sort((a, b) => (a.started ?? 0) - (b.started ?? 0));
    this.dispatchEvent(new Event("jobs"));
  }
}

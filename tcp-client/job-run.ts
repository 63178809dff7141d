import { ClosedError, type Outcome, RefusedError } from "../client/index.js";
import type { Packet } from "../protocol/index.js";

/** How far a job is (PROTOCOL.md, chapter 16). What is left out stays as it was, `null` makes it unknown again. */
export interface JobReport {
  /** How much is done, in any unit: 0 ≤ `at` ≤ `of`. */
  at?: number | null | undefined;
  /** How much there is, above 0. Without it nobody knows how much that is. */
  of?: number | null | undefined;
  /** What it is doing now, at most 1,000 characters. */
  message?: string | null | undefined;
  /** What it is, at most 1,000 characters. */
  title?: string | null | undefined;
  /** May its user stop it? Default: yes. */
  cancellable?: boolean | undefined;
}

/** A run of a job, as the function that does the work sees it. */
export interface Job {
  readonly uuid: string;
  readonly name: string;
  /** Names this run on the wire [JOB-7]. */
  readonly run: string;
  /**
   * Says how far the job is. As often as you like, awaited or not: while the hub has not answered only the newest waits, and all
   * calls that it stands for get the same promise. It settles with what became of it: `sent`; `held`, the page is away, or this
   * client has no connection and will say it with the next one; `gone`, the page has left, or no hub will have this client any
   * more; `cancel`, the signal is aborted. A job need not look at any of these. Rejects with `RefusedError` where the hub
   * refuses it (`at` above `of`), with `RangeError` for what is no number; who does not await it does not have to catch that, and reads one
   * warning of the process.
   */
  progress(report: JobReport): Promise<Outcome>;
}

/** Why the signal of a run is aborted. */
export class AbortError extends Error {
  override name = "AbortError";
  /** As Node's own. */
  readonly code = "ABORT_ERR";
  constructor(
    /** What the page gave as its reason, `user` if nothing; `closed`: the client was. */
    readonly reason: string,
    message: string,
  ) {
    super(message);
  }
}

/** How a run ended, as the hub is told. */
export interface Ending {
  readonly state: "done" | "failed" | "aborted";
  readonly message?: string | undefined;
  readonly result?: unknown;
}

/** What a run needs of its client. */
export interface Link {
  /** Can anything be sent? */
  isOpen(): boolean;
  /** There is no connection, and never will be. */
  isOver(): boolean;
  send(packet: Packet): Promise<Outcome>;
  /** Settles when there is a connection anew, with false when there never will be. */
  nextReady(): Promise<boolean>;
  /** Settles after so many ms, at once when the client is over. */
  pause(ms: number): Promise<void>;
}

/** The outcome of a report, for all calls that it stands for. */
interface Answer {
  readonly promise: Promise<Outcome>;
  resolve(outcome: Outcome): void;
  reject(error: unknown): void;
}

const HELD: Outcome = Object.freeze({ status: "held" });
const GONE: Outcome = Object.freeze({ status: "gone" });
/** Refusals after which the same is tried again. */
const LATER: ReadonlySet<string> = new Set(["unavailable", "app-timeout"]);
/** Refusals that say nothing about what was said: it goes with the next report. */
const NOT_TAKEN: ReadonlySet<string> = new Set([...LATER, "app-error", "too-many-jobs"]);
/** Before the end is tried again, ms. */
const PAUSE = 1_000;
/** Characters of the message of an error: more the hub does not take. */
const MAX_TEXT = 1_000;

/** What is said of one run: the newest report, again after a break, and at last the end. */
export class JobRun implements Job {
  readonly run = crypto.randomUUID();
  readonly #abort = new AbortController();
  /** What the hub has taken. */
  readonly #known: Record<string, unknown> = {};
  /** What it is not known to have taken; under way it stands here, too. */
  readonly #news: Record<string, unknown> = {};
  /** Of the news, what nobody has tried to say. */
  readonly #fresh = new Set<string>();
  /** There is something to be said, if only all that is known once more. */
  #due = false;
  /** On this connection the hub was told everything: what is new is enough. */
  #told = false;
  #underWay = false;
  #warned = false;
  /** For those who called while something was under way. */
  #waiting: Answer | undefined;
  #end: Promise<Error | undefined> | undefined;

  constructor(
    private readonly link: Link,
    readonly uuid: string,
    readonly name: string,
  ) {}

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  progress(report: JobReport): Promise<Outcome> {
    if (this.#end !== undefined) return this.#tooLate();
    const wrong = Object.entries(report).find(([, value]) => typeof value === "number" && !Number.isFinite(value));
    if (wrong) return this.#wrong(new RangeError(`Expected \`${wrong[0]}\` to be a finite number, got ${wrong[1]}.`));
    for (const [field, value] of Object.entries(report)) this.#add(field, value);
    this.#due = true;
    if (!this.link.isOpen()) return Promise.resolve(this.#unheard);
    this.#waiting ??= answer();
    const { promise } = this.#waiting;
    this.#sayNewest();
    return promise;
  }

  /** JSON has no such numbers, and would say that nothing is known. */
  #wrong(error: Error): Promise<never> {
    this.#warn(error);
    const { promise, reject } = answer();
    reject(error);
    return promise as Promise<never>;
  }

  /** Once: who does not await a report is to hear that it was wrong all the same. */
  #warn({ message }: Error): void {
    if (!this.#warned) process.emitWarning(`A report of job ${this.name} was not taken: ${message}`, "SignalboxWarning");
    this.#warned = true;
  }

  /** Its page, or the end of the client, wants it to stop. */
  abort(reason: string, message = `Cancelled by its page: ${reason}.`): void {
    if (this.#end === undefined && !this.signal.aborted) this.#abort.abort(new AbortError(reason, message));
  }

  /** There is a new connection, which knows nothing of this run. */
  again(): void {
    this.#told = false;
    this.#due = true;
    // Its end says everything by itself.
    if (this.#end === undefined) this.#sayNewest();
  }

  /**
   * Says how it ended, behind the last report, until the hub has answered or the client is over; the first call counts.
   * @returns why that could not be said, if so
   */
  end(ending: Ending): Promise<Error | undefined> {
    this.#end ??= this.#sayEnd(ending).then((error) => this.#sayWhy(ending, error));
    return this.#end;
  }

  /** What is left out does not hide what was said before. */
  #add(field: string, value: unknown): void {
    if (value === undefined) return;
    this.#news[field] = value;
    this.#fresh.add(field);
  }

  #tooLate(): Promise<Outcome> {
    const { promise, reject } = answer();
    reject(new RefusedError("job-ended", `The run of job \`${this.name}\` has ended.`));
    return promise;
  }

  get #about(): object {
    return { uuid: this.uuid, job: this.name, run: this.run };
  }

  #sayNewest(): void {
    if (this.#due && !this.#underWay && this.link.isOpen()) void this.#say();
  }

  async #say(): Promise<void> {
    const waiting = this.#waiting;
    const said = this.#told ? { ...this.#news } : { ...this.#known, ...this.#news };
    this.#fresh.clear();
    this.#waiting = undefined;
    this.#due = false;
    this.#underWay = true;
    try {
      const outcome = await this.link.send({ opcode: "progress", ...this.#about, ...said });
      Object.assign(this.#known, said);
      this.#told = true;
      this.#settle(said);
      if (outcome.status === "cancel") this.abort(outcome.reason ?? "user");
      waiting?.resolve(outcome);
    } catch (error) {
      this.#notTaken(said, waiting, error);
    }
    this.#underWay = false;
    this.#sayNewest();
  }

  /** No more news, but for what was reported anew. */
  #settle(said: Readonly<Record<string, unknown>>): void {
    for (const field of Object.keys(said)) {
      if (!this.#fresh.has(field) && this.#news[field] === said[field]) delete this.#news[field];
    }
  }

  #notTaken(said: Readonly<Record<string, unknown>>, waiting: Answer | undefined, error: unknown): void {
    if (error instanceof ClosedError) {
      // Nobody is kept waiting for a hub that is not there.
      for (const each of [waiting, this.#waiting]) each?.resolve(this.#unheard);
      this.#waiting = undefined;
      return;
    }
    if (error instanceof RefusedError && NOT_TAKEN.has(error.code)) this.#told = false;
    else {
      this.#settle(said);
      this.#warn(error as Error);
    }
    waiting?.reject(error);
  }

  /** What becomes of a report without a connection. */
  get #unheard(): Outcome {
    return this.link.isOver() ? GONE : HELD;
  }

  async #sayEnd(ending: Ending): Promise<Error | undefined> {
    while (this.link.isOpen() || (await this.link.nextReady())) {
      if (this.#due || !(this.#told || this.#underWay)) void this.#say();
      try {
        await this.link.send({ opcode: "end", ...this.#about, ...ending });
        return undefined;
      } catch (error) {
        if (error instanceof ClosedError) continue;
        // It was this end: only its answer was lost.
        if (error instanceof RefusedError && error.code === "job-ended") return undefined;
        if (!(error instanceof RefusedError && LATER.has(error.code))) return error as Error;
        await this.link.pause(PAUSE);
      }
    }
    return undefined;
  }

  /** A result that the hub does not take is not to leave the job without an end. */
  async #sayWhy({ state, result }: Ending, error: Error | undefined): Promise<Error | undefined> {
    if (error !== undefined && result !== undefined)
      await this.#sayEnd({ state: state === "done" ? "failed" : state, message: messageOf(error) });
    return error;
  }
}

function answer(): Answer {
  let resolve: Answer["resolve"] = () => {};
  let reject: Answer["reject"] = () => {};
  const promise = new Promise<Outcome>((...both) => {
    [resolve, reject] = both;
  });
  // Who does not await a report does not look after its refusal either.
  promise.catch(() => {});
  return { promise, resolve, reject };
}

/** What an error says, as long as the hub takes it and without half a character at the end. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.slice(0, MAX_TEXT).replace(/[\ud800-\udbff]$/, "");
}

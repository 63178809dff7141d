import { ClosedError, HubClient, type OpenWire } from "../client/index.js";
import { CLOSE, MAX_NAME, UUID_LENGTH } from "../protocol/index.js";
import { type Job, type JobReport, JobRun, type Link, messageOf } from "./job-run.js";

/** What does the work of a job. */
export type Task<T> = (job: Job, signal: AbortSignal) => T | Promise<T>;

/** What the page is told of a job at its beginning, as in `job.progress`. */
export type RunOptions = JobReport;

/** The client of a backend: it can run jobs (PROTOCOL.md, chapter 16). */
export class BackendClient extends HubClient {
  readonly #runs = new Map<string, JobRun>();
  #over: ClosedError | undefined;
  #sleepers: ((ready: boolean) => void)[] = [];
  /** The client, as its runs see it. */
  readonly #link: Link;

  constructor(openWire: OpenWire, hello: () => object | Promise<object>) {
    super(openWire, hello);
    this.#link = {
      isOpen: () => this.connected && this.#over === undefined,
      isOver: () => this.#over !== undefined,
      send: (packet) => this.send(packet),
      nextReady: () => new Promise((resolve) => this.#sleep(resolve)),
      pause: (ms) => this.#pause(ms),
    };
    this.addEventListener("ready", () => this.#onReady());
    this.addEventListener("cancel", ({ packet: { uuid, job, reason } }) => {
      this.#runs.get(keyOf(String(uuid), String(job)))?.abort(typeof reason === "string" ? reason : "user");
    });
    this.addEventListener("close", ({ code, reason, retryIn }) => {
      if (retryIn === undefined) this.#end(new ClosedError(code, reason));
    });
  }

  /**
   * Runs a job of a page: tells the page that it runs, how far it is and how it ended. The task starts at once and goes on
   * whatever becomes of hub and page; after a break everything is said again.
   *
   * Settles when the task has, and the hub has answered to that; without a connection this waits for the next one, until the client is
   * closed. What the task returns is the job's `result` (JSON, at most 8 KiB) and resolves the promise; what it throws fails the job and
   * rejects the promise. Once `signal` is aborted, by the page or by `close`, the job ends as aborted whether the task returns or
   * throws, and the promise rejects with `signal.reason`, an `AbortError`.
   * @param uuid of the page
   * @param name of the job, 1 to 256 characters: a page may have several
   * @throws TypeError (rejects, and nothing was started) where uuid or name are none, or this client is running that job;
   *   ClosedError (likewise) where the client is closed; RefusedError where the task has returned and the hub would not take its
   *   result: the page is told that the job failed, and why
   */
  async run<T>(uuid: string, name: string, task: Task<T>, options: RunOptions = {}): Promise<T> {
    check(uuid, name);
    const key = keyOf(uuid, name);
    if (this.#runs.has(key)) throw new TypeError(`Expected another job, \`${name}\` of this page is running.`);
    if (this.#over) throw this.#over;
    const run = new JobRun(this.#link, uuid, name);
    this.#runs.set(key, run);
    run.progress(options);
    try {
      return await work(run, task);
    } finally {
      this.#runs.delete(key);
    }
  }

  /**
   * Ends the connection for good. What was sent before is still answered. Jobs that are running are aborted, and their pages told
   * so at once: nobody could say later how they ended.
   */
  override close(): void {
    if (this.#over === undefined) {
      for (const run of this.#runs.values()) {
        run.abort("closed", CLOSED);
        void run.end({ state: "aborted" });
      }
      this.#end(new ClosedError(CLOSE.normal.code, CLOSED));
    }
    super.close();
  }

  #onReady(): void {
    for (const run of this.#runs.values()) run.again();
    this.#wake(true);
  }

  #end(why: ClosedError): void {
    this.#over ??= why;
    this.#wake(false);
  }

  #wake(ready: boolean): void {
    for (const wake of this.#sleepers.splice(0)) wake(ready);
  }

  #sleep(wake: (ready: boolean) => void): void {
    if (this.#over) wake(false);
    else this.#sleepers.push(wake);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#sleep(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

const CLOSED = "The client was closed.";

/** Does the work, and says how it ended. */
async function work<T>(run: JobRun, task: Task<T>): Promise<T> {
  const { signal } = run;
  let result: T;
  try {
    result = await task(run, signal);
  } catch (error) {
    if (!signal.aborted) {
      await run.end({ state: "failed", message: messageOf(error) });
      throw error;
    }
    await run.end({ state: "aborted", message: isAbort(error) ? undefined : messageOf(error) });
    throw signal.reason;
  }
  const refused = await run.end({ state: signal.aborted ? "aborted" : "done", result });
  if (signal.aborted) throw signal.reason;
  if (refused) throw refused;
  return result;
}

/** That it was aborted is said already: the last message of the job says where. */
function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

function keyOf(uuid: string, name: string): string {
  return uuid + name;
}

function check(uuid: string, name: string): void {
  if (uuid.length !== UUID_LENGTH) throw new TypeError(`Expected a page's UUID of ${UUID_LENGTH} characters, got \`${uuid}\`.`);
  if (name.length < 1 || name.length > MAX_NAME)
    throw new TypeError(`Expected a job's name of 1 to ${MAX_NAME} characters, got \`${name}\`.`);
}

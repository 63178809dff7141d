import { Worker } from "node:worker_threads";

/** What a bystander's thread is told. */
export interface BystanderStart {
  readonly url: string;
  readonly hubPid: number;
}

/** How a bystander has fared since the last report. */
export interface BystanderReport {
  /** It is served now. */
  readonly served: boolean;
  /** Its largest round trip, ms, without what it and the hub had to wait for a processor. */
  readonly largest: number;
  /** What it was sent that it had not asked for. */
  readonly strange: readonly string[];
  /** How it was closed, if it was. */
  readonly closed: string | undefined;
}

/** A page that asks for its echo all the time, in a thread of its own. */
export class Bystander {
  private constructor(
    private readonly worker: Worker,
    /** Who knows it may send to it. */
    readonly uuid: string,
  ) {}

  static async open(start: BystanderStart): Promise<Bystander> {
    const worker = new Worker(new URL("./bystander-worker.js", import.meta.url), { workerData: start });
    const { uuid } = await answerOf<{ uuid: string }>(worker);
    return new Bystander(worker, uuid);
  }

  /** Since the last report, and two round trips from now on. */
  report(): Promise<BystanderReport> {
    const report = answerOf<BystanderReport>(this.worker);
    this.worker.postMessage("report");
    return report;
  }

  async close(): Promise<void> {
    await this.worker.terminate();
  }
}

function answerOf<T>(worker: Worker): Promise<T> {
  return new Promise((resolve, reject) => {
    worker.once("error", reject);
    worker.once("message", (message: T) => {
      worker.off("error", reject);
      resolve(message);
    });
  });
}

import type { Job } from "./job-run.js";
import type { OutputName } from "./run-command.js";
import { type Find, OutputReader, type Progress, Told } from "./run-output.js";

/** Between two reports, ms: faster than that nobody reads. */
const PAUSE = 100;

/** Reports what the output of a command tells, not more often than is of use. */
export class Reports {
  readonly #readers: Readonly<Record<OutputName, OutputReader>>;
  /** What was written to last. */
  #newest: OutputReader;
  #timer: NodeJS.Timeout | undefined;
  // That it runs has just been said.
  #saidAt = performance.now();

  constructor(
    private readonly job: Job,
    find: Find,
  ) {
    const told = new Told(find);
    this.#readers = { stdout: new OutputReader(told), stderr: new OutputReader(told) };
    this.#newest = this.#readers.stdout;
  }

  add(from: OutputName, bytes: Buffer): void {
    this.#newest = this.#readers[from];
    this.#newest.write(bytes);
    this.#timer ??= setTimeout(() => this.#say(this.#newest.progress), this.#saidAt + PAUSE - performance.now());
  }

  /** Its last line. */
  get last(): string {
    return this.#newest.progress.message;
  }

  /** Nothing more will come: the last is said at once. */
  end(): void {
    const { stdout, stderr } = this.#readers;
    for (const reader of this.#newest === stdout ? [stderr, stdout] : [stdout, stderr]) reader.end();
    this.#say(this.#newest.progress);
  }

  #say({ amount, message }: Progress): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#saidAt = performance.now();
    // What becomes of it changes nothing for the command.
    void this.job.progress({ ...amount, message: message === "" ? undefined : message });
  }
}

import { Queue } from "../protocol/index.js";

/**
 * Packets are reported as seen at the latest after so many characters or ms: 64 KiB, of up to three bytes each, or the hub's own interval [RES-8].
 * It only frees what the hub keeps, nobody waits for it, and each costs the hub nearly as much as a delivery.
 */
const AFTER_CHARACTERS = 65_536 / 3;
const AFTER_MS = 20_000;
/** What a kept packet costs the hub beside its bytes, as characters: many short ones take memory as well. */
const OVERHEAD = 85;

/** Calls back once, after so many ms; the returned function cancels. */
export type After = (ms: number, callback: () => void) => () => void;

export const after: After = (ms, callback) => {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
};

/** When to tell the hub how many packets this page's code has finished with. */
export class SeenReporter {
  /** Counted packets of the hub in this session: what has come. */
  count = 0;
  /** How many of them the page's code has finished with, without a gap. */
  finished = 0;
  #reported = 0;
  #characters = 0;
  /** Packets that the page's code is not finished with, by their place: the first is the oldest. */
  #unfinished = new Set<number>();
  /** Places of packets whose senders wait, oldest first. */
  #awaited = new Queue<number>();
  #cancel: (() => void) | undefined;

  constructor(
    private readonly report: (n: number) => void,
    private readonly after: After,
  ) {}

  /**
   * One more has come.
   * @param now its sender waits until it is finished with
   * @param until settles when it is; without it, it is already
   */
  add(characters: number, now: boolean, until?: Promise<unknown>): void {
    this.count++;
    this.#characters += characters + OVERHEAD;
    if (now) this.#awaited.push(this.count);
    if (until !== undefined) this.#wait(this.count, until);
    this.#advance();
  }

  #wait(place: number, until: Promise<unknown>): void {
    const unfinished = this.#unfinished;
    unfinished.add(place);
    const done = (): void => {
      unfinished.delete(place);
      // A page that is new by now counts anew.
      if (unfinished === this.#unfinished) this.#advance();
    };
    // What fails is finished with, too; that it failed is for whoever made the promise.
    until.then(done, done);
  }

  #advance(): void {
    const [oldest = this.count + 1] = this.#unfinished;
    if (this.finished === oldest - 1) return;
    this.finished = oldest - 1;
    if (this.#isAwaited() || this.#characters >= AFTER_CHARACTERS) this.flush();
    else this.#cancel ??= this.after(AFTER_MS, () => this.flush());
  }

  /** Does anybody wait for what is finished now? */
  #isAwaited(): boolean {
    let found = false;
    for (let place = this.#awaited.peek(); place !== undefined && place <= this.finished; place = this.#awaited.peek()) {
      this.#awaited.shift();
      found = true;
    }
    return found;
  }

  flush(): void {
    this.#stop();
    if (this.finished <= this.#reported) return;
    this.#reported = this.finished;
    this.report(this.finished);
  }

  /** Right after a resume, so that the hub knows its `ready` has arrived [RES-6]. */
  confirm(): void {
    this.#reported = -1;
    this.flush();
  }

  /** The wire is gone; the next `hello` says what is finished. */
  pause(): void {
    this.#stop();
    this.#reported = this.finished;
  }

  reset(count = 0): void {
    this.#stop();
    this.count = count;
    this.finished = count;
    this.#unfinished = new Set();
    this.#awaited.clear();
    this.#reported = count;
  }

  #stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#characters = 0;
  }
}

/** Packets are reported as seen at the latest after so many characters or ms [RES-8]. */
const AFTER_CHARACTERS = 65_536 / 2;
const AFTER_MS = 1_000;

/** Calls back once, after so many ms; the returned function cancels. */
export type After = (ms: number, callback: () => void) => () => void;

export const after: After = (ms, callback) => {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
};

/** A packet that the page's code has, or one behind such a packet. */
interface Unfinished {
  done: boolean;
  readonly now: boolean;
}

/** When to tell the hub how many packets this page's code has finished with. */
export class SeenReporter {
  /** Counted packets of the hub in this session: what has come. */
  count = 0;
  /** How many of them the page's code has finished with, without a gap. */
  finished = 0;
  #reported = 0;
  #characters = 0;
  #unfinished: Unfinished[] = [];
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
    this.#characters += characters;
    if (until === undefined && this.#unfinished.length === 0) this.#finish(now);
    else this.#wait(now, until);
  }

  #wait(now: boolean, until: Promise<unknown> | undefined): void {
    const packet = { done: until === undefined, now };
    const before = this.#unfinished;
    before.push(packet);
    // What fails is finished with, too; that it failed is for whoever made the promise.
    void until?.finally(() => {
      packet.done = true;
      // A page that is new by now counts anew.
      if (before === this.#unfinished) this.#advance();
    });
  }

  #advance(): void {
    while (this.#unfinished[0]?.done) this.#finish((this.#unfinished.shift() as Unfinished).now);
  }

  #finish(now: boolean): void {
    this.finished++;
    if (now || this.#characters >= AFTER_CHARACTERS) this.flush();
    else this.#cancel ??= this.after(AFTER_MS, () => this.flush());
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
    this.#unfinished = [];
    this.#reported = count;
  }

  #stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#characters = 0;
  }
}

/** Packets are reported as seen at the latest after so many characters or ms [RES-8]. */
const AFTER_CHARACTERS = 65_536 / 2;
const AFTER_MS = 1_000;

/** Calls back once, after so many ms; the returned function cancels. */
export type After = (ms: number, callback: () => void) => () => void;

export const after: After = (ms, callback) => {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
};

/** When to tell the hub how many packets this page's code has finished with. */
export class SeenReporter {
  /** Counted packets of the hub in this session. */
  count = 0;
  #reported = 0;
  #characters = 0;
  #cancel: (() => void) | undefined;

  constructor(
    private readonly report: (n: number) => void,
    private readonly after: After,
  ) {}

  /** One more, handled. `now`: its sender waits for that. */
  add(characters: number, now: boolean): void {
    this.count++;
    this.#characters += characters;
    if (now || this.#characters >= AFTER_CHARACTERS) this.flush();
    else this.#cancel ??= this.after(AFTER_MS, () => this.flush());
  }

  flush(): void {
    this.#stop();
    if (this.count === this.#reported) return;
    this.#reported = this.count;
    this.report(this.count);
  }

  /** Right after a resume, so that the hub knows its `ready` has arrived [RES-6]. */
  confirm(): void {
    this.#reported = -1;
    this.flush();
  }

  /** The wire is gone; the next `hello` says the count. */
  pause(): void {
    this.#stop();
    this.#reported = this.count;
  }

  reset(count = 0): void {
    this.#stop();
    this.count = count;
    this.#reported = count;
  }

  #stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#characters = 0;
  }
}

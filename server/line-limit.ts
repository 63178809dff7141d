import type { Clock } from "./clock.js";

/** Lines a second of one kind and address: enough to see what happens. */
const LINES = 10;
const SECOND = 1_000;

/** What was left out within a second. */
export interface Suppressed {
  readonly of: string;
  readonly ip: unknown;
  readonly lines: number;
}

interface Count {
  readonly of: string;
  readonly ip: unknown;
  lines: number;
}

/** Whoever floods the hub must not flood its log too: at most {@link LINES} lines a second of one kind of event and address; then how many were left out. */
export class LineLimit {
  readonly #counts = new Map<string, Count>();

  /** @param told at the end of a second in which lines were left out, for each kind and address */
  constructor(
    private readonly clock: Clock,
    private readonly told: (suppressed: Suppressed) => void,
  ) {}

  /** May this line be written? It counts. */
  take(event: string, ip: unknown): boolean {
    if (this.#counts.size === 0) this.clock.after(SECOND, () => this.#endSecond());
    const key = `${event}\n${ip}`;
    let count = this.#counts.get(key);
    if (count === undefined) {
      count = { of: event, ip, lines: 0 };
      this.#counts.set(key, count);
    }
    return ++count.lines <= LINES;
  }

  #endSecond(): void {
    const counts = [...this.#counts.values()];
    this.#counts.clear();
    for (const { of, ip, lines } of counts) if (lines > LINES) this.told({ of, ip, lines: lines - LINES });
  }
}

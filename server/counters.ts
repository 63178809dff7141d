/** What is counted, and what tells the counts of one name apart. */
export const COUNTERS = {
  handshakes_refused: { label: "status", help: "WebSocket handshakes refused, by HTTP status" },
  connections_refused: { label: "code", help: "Connections refused before there was a dialog, by close code" },
  connections_closed: { label: "why", help: "Peers that ended, by why" },
  authentications: { label: "result", help: "Answers to the question who somebody is: welcome, unauthorized, unavailable" },
  messages_refused: { label: "code", help: "Messages answered with refused, by error code" },
} as const;

export type CounterName = keyof typeof COUNTERS;

/** Apps make up codes of their own: more different ones than this are counted together. */
const MAX_LABELS = 100;
const OTHERS = "others";

/** How often things have happened since the start. Counting is an addition; whoever looks pays for the rest. */
export class Counters {
  /** Messages. */
  answered = 0;
  readonly #counts = new Map<CounterName, Map<string, number>>();

  count(name: CounterName, label: string | number): void {
    let counts = this.#counts.get(name);
    if (counts === undefined) {
      counts = new Map();
      this.#counts.set(name, counts);
    }
    const key = counts.size < MAX_LABELS || counts.has(String(label)) ? String(label) : OTHERS;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }

  /** By label. */
  of(name: CounterName): ReadonlyMap<string, number> {
    return this.#counts.get(name) ?? new Map();
  }
}

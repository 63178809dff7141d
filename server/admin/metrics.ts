import { type CollectFunction, Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { COUNTERS, type CounterName } from "../counters.js";
import type { HubStatus } from "../hub-status.js";

/** In front of every name. */
const PREFIX = "signalbox_";

/** What Prometheus reads. The only file that knows `prom-client`; figures are taken when somebody asks. */
export class Metrics {
  readonly #registry = new Registry();
  readonly contentType = this.#registry.contentType;

  /** As the hub was when somebody asked last; figures are collected only then. */
  #status: HubStatus | undefined;

  constructor(private readonly look: () => HubStatus) {
    // Memory, CPU, garbage collection and the lag of the event loop, under the names that every Node process has.
    collectDefaultMetrics({ register: this.#registry });
    this.#gauge("peers", "Peers of this hub", ["kind"], (gauge, { peers }) => {
      gauge.set({ kind: "page" }, peers.pages);
      gauge.set({ kind: "backend" }, peers.backends);
    });
    this.#gauge("peers_away", "Pages that are away and may return", [], (gauge, { peers }) => gauge.set(peers.away));
    this.#gauge("peers_limit", "maxConnections", [], (gauge, { peers }) => gauge.set(peers.limit));
    this.#gauge("buffered_bytes", "Bytes kept for all peers together", [], (gauge, { buffered }) => gauge.set(buffered.bytes));
    this.#gauge("buffered_limit_bytes", "maxBuffered", [], (gauge, { buffered }) => gauge.set(buffered.limit));
    this.#gauge("app", "What an app says of itself", ["app", "name"], (gauge, { apps }) => {
      for (const [app, figures] of Object.entries(apps))
        for (const [name, value] of Object.entries(figures)) gauge.set({ app, name }, value);
    });
    this.#counter("messages", "Messages answered", [], (counter, { answered }) => counter.inc(answered));
    for (const name of Object.keys(COUNTERS) as CounterName[]) {
      const { label, help } = COUNTERS[name];
      this.#counter(name, help, [label], (counter, { counts }) => {
        for (const [value, count] of Object.entries(counts[name])) counter.inc({ [label]: value }, count);
      });
    }
  }

  /** All figures are of one look at the hub. */
  text(): Promise<string> {
    this.#status = this.look();
    return this.#registry.metrics();
  }

  #gauge(name: string, help: string, labelNames: string[], set: (gauge: Gauge, status: HubStatus) => void): void {
    new Gauge({ name: PREFIX + name, help, labelNames, registers: [this.#registry], collect: this.#collect(set) });
  }

  #counter(name: string, help: string, labelNames: string[], set: (counter: Counter, status: HubStatus) => void): void {
    new Counter({ name: `${PREFIX}${name}_total`, help, labelNames, registers: [this.#registry], collect: this.#collect(set) });
  }

  #collect<M extends { reset(): void }>(set: (metric: M, status: HubStatus) => void): CollectFunction<M> {
    const now = (): HubStatus => this.#status as HubStatus;
    return function (): void {
      this.reset();
      set(this, now());
    };
  }
}

import { type CollectFunction, Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { COUNTERS, type CounterName } from "../counters.js";
import type { HubStatus } from "../hub-status.js";

/** In front of every name. */
const PREFIX = "signalbox_";

/** What Prometheus reads. The only file that knows `prom-client`; figures are taken when somebody asks. */
export class Metrics {
  readonly #registry = new Registry();
  readonly contentType = this.#registry.contentType;

  constructor(private readonly status: () => HubStatus) {
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

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #gauge(name: string, help: string, labelNames: string[], set: (gauge: Gauge, status: HubStatus) => void): void {
    const { status } = this;
    const collect: CollectFunction<Gauge> = function (): void {
      this.reset();
      set(this, status());
    };
    new Gauge({ name: PREFIX + name, help, labelNames, registers: [this.#registry], collect });
  }

  #counter(name: string, help: string, labelNames: string[], set: (counter: Counter, status: HubStatus) => void): void {
    const { status } = this;
    const collect: CollectFunction<Counter> = function (): void {
      this.reset();
      set(this, status());
    };
    new Counter({ name: `${PREFIX}${name}_total`, help, labelNames, registers: [this.#registry], collect });
  }
}

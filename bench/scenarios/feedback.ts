import type { Arena } from "../arena.js";
import { BASELINE, SUBJECT } from "../contenders.js";
import { openMany } from "../load/crowd.js";
import { Pacer } from "../load/pacer.js";
import type { Section } from "../report.js";
import type { ServerProcess } from "../server-process.js";
import { median, percentile } from "../statistics.js";
import type { Client } from "../wire/client.js";
import { inTurns, ratios, type Series, spread } from "./rounds.js";

const PAGES = 1_000;
const BACKENDS = 8;
/** Messages a second, of all backends together. */
const RATE = 500;
const ROUNDS = Number(process.env.R ?? 7);
/** Messages in one round: 2 s. */
const COUNT = Number(process.env.C ?? 1000);
/** A report of progress as a job sends it. */
const MESSAGE = "Reading authors: 40 of 2400";

interface Cost {
  /** CPU time per delivered message, µs. */
  readonly perDelivery: number;
  readonly latencies: readonly number[];
}

class Stage {
  private constructor(
    readonly server: ServerProcess,
    private readonly clients: readonly Client[],
    private readonly pacer: Pacer,
  ) {}

  static async open(server: ServerProcess): Promise<Stage> {
    const { contender, ready } = server;
    const pages = await openMany(PAGES, () => contender.openPage(ready));
    const backends = await openMany(BACKENDS, () => contender.openBackend(ready));
    const reports = pages.map((page) => contender.feedback(page.address, MESSAGE));
    const stage = new Stage(server, [...pages, ...backends], new Pacer(backends, pages, reports));
    await stage.pacer.run(Number(process.env.W ?? 20000), 5000);
    return stage;
  }

  async round(): Promise<Cost> {
    const before = await this.server.measure();
    await this.pacer.run(COUNT, RATE);
    const after = await this.server.measure();
    return { perDelivery: (after.cpu - before.cpu) / COUNT, latencies: this.pacer.latencies };
  }

  close(): void {
    for (const client of this.clients) client.close();
  }
}

/** Feedback from 8 backends to 1,000 pages: CPU time of the server per delivered message, and how long one takes. */
export async function feedback(arena: Arena): Promise<Section> {
  const stages: Stage[] = [];
  for (const server of await arena.startAll()) {
    arena.progress(`${PAGES} pages connect to ${server.contender.name}`);
    stages.push(await Stage.open(server));
  }
  const series = await inTurns(arena, stages, ROUNDS, (stage) => stage.round());
  for (const stage of stages) stage.close();
  await arena.stopAll();
  return section(series);
}

function section(series: readonly Series<Cost>[]): Section {
  const perDelivery = (cost: Cost): number => cost.perDelivery;
  if (process.env.R) for (const s of series) console.error(s.name, s.rounds.map((r) => r.perDelivery.toFixed(0)).join(" "));
  const latency = (rounds: readonly Cost[], share: number): string =>
    percentile(
      rounds.flatMap((cost) => cost.latencies),
      share,
    ).toFixed(2);
  return {
    title: "Feedback",
    note:
      `${BACKENDS} backends, together ${RATE} messages a second, to ${PAGES} pages in turn, ${ROUNDS} rounds of ${COUNT} messages. ` +
      `Backends of ${SUBJECT} are TCP connections, those of the others WebSocket clients. Latency: from the backend's write to the page's read, of every message.`,
    columns: ["server", "CPU µs per delivery", "times ws", "p50 ms", "p99 ms"],
    rows: series.map(({ name, rounds }) => [
      name,
      spread(rounds.map(perDelivery), 1),
      median(ratios(series, name, BASELINE, perDelivery)).toFixed(2),
      latency(rounds, 0.5),
      latency(rounds, 0.99),
    ]),
    bars: [
      {
        what: `CPU per delivery, beside ${BASELINE}`,
        limit: 1,
        measured: median(ratios(series, SUBJECT, BASELINE, perDelivery)),
        unit: "times",
      },
    ],
  };
}

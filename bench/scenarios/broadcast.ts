import type { Arena } from "../arena.js";
import { BASELINE, SUBJECT } from "../contenders.js";
import { Crowd, openMany } from "../load/crowd.js";
import { Publisher } from "../load/publisher.js";
import type { Section } from "../report.js";
import type { ServerProcess } from "../server-process.js";
import { median } from "../statistics.js";
import { inTurns, ratios, type Series, spread } from "./rounds.js";

export interface BroadcastSettings {
  readonly title: string;
  readonly publishers: number;
  readonly window: number;
  /** At most so many times the CPU time of plain `ws`. */
  readonly bar: number;
}

const PAGES = 1_000;
const ROUNDS = 5;
/** How long publishers publish in one round, ms. */
const ROUND = 1_500;
/** 64 characters: with its packet some 100 bytes, the size of a report or a state change. */
const MESSAGE = "Prices updated: 2400 articles in 36 groups, valid from tomorrow.";

/** What one round costs the server. */
interface Cost {
  /** CPU time per delivered message, µs. */
  readonly perDelivery: number;
  /** Messages published, per second. */
  readonly rate: number;
}

/** One server with its audience. */
class Stage {
  private constructor(
    readonly server: ServerProcess,
    private readonly crowd: Crowd,
    private readonly publishers: readonly Publisher[],
  ) {}

  static async open(server: ServerProcess, { publishers, window }: BroadcastSettings): Promise<Stage> {
    const { contender, ready } = server;
    const crowd = await Crowd.open(PAGES, () => contender.openPage(ready));
    const clients = await openMany(publishers, () => contender.openPublisher(ready, window));
    const frame = contender.broadcast(MESSAGE);
    return new Stage(
      server,
      crowd,
      clients.map((client) => new Publisher(client, frame, window)),
    );
  }

  async round(): Promise<Cost> {
    const before = this.crowd.counts();
    const heard = this.publishers.map((publisher) => publisher.received);
    const { cpu } = await this.server.measure();
    const start = performance.now();
    const published = await Promise.all(this.publishers.map((publisher) => publisher.publishFor(ROUND)));
    const seconds = (performance.now() - start) / 1_000;
    const total = published.reduce((sum, count) => sum + count, 0);
    await this.crowd.whenEachReceived(total, before);
    await this.crowd.whenSettled();
    const after = await this.server.measure();
    const among = this.#heardAmongPublishers(published, total, heard);
    return { perDelivery: (after.cpu - cpu) / (total * PAGES + among), rate: total / seconds };
  }

  close(): void {
    this.crowd.close();
    for (const publisher of this.publishers) publisher.close();
  }

  /** Publishers are pages too: each must have got what the others sent. @returns how many deliveries that were */
  #heardAmongPublishers(published: readonly number[], total: number, before: readonly number[]): number {
    let all = 0;
    for (const [index, publisher] of this.publishers.entries()) {
      const got = publisher.received - (before[index] as number);
      const expected = total - (published[index] as number);
      if (got !== expected) throw new Error(`Publisher ${index} got ${got} messages of the others instead of ${expected}.`);
      all += got;
    }
    return all;
  }
}

/** Broadcasts to 1,000 pages: CPU time of the server per delivered message. */
export async function broadcast(arena: Arena, settings: BroadcastSettings): Promise<Section> {
  const stages: Stage[] = [];
  for (const server of await arena.startAll()) {
    arena.progress(`${PAGES} pages connect to ${server.contender.name}`);
    stages.push(await Stage.open(server, settings));
  }
  const series = await inTurns(arena, stages, ROUNDS, (stage) => stage.round());
  for (const stage of stages) stage.close();
  await arena.stopAll();
  return section(settings, series);
}

function section({ title, publishers, window, bar }: BroadcastSettings, series: readonly Series<Cost>[]): Section {
  const perDelivery = (cost: Cost): number => cost.perDelivery;
  return {
    title,
    note:
      `${publishers} × window ${window} to ${PAGES} pages, ${MESSAGE.length} characters, ${ROUNDS} rounds of ${ROUND / 1_000} s. ` +
      "CPU: user and system time of the server's process per delivered message, median (least to most).",
    columns: ["server", "CPU µs per delivery", "times ws", "messages/s"],
    rows: series.map((each) => [
      each.name,
      spread(each.rounds.map(perDelivery), 2),
      median(ratios(series, each.name, BASELINE, perDelivery)).toFixed(2),
      median(each.rounds.map((cost) => cost.rate)).toFixed(0),
    ]),
    bars: [
      {
        what: `CPU per delivery, beside ${BASELINE}`,
        limit: bar,
        measured: median(ratios(series, SUBJECT, BASELINE, perDelivery)),
        unit: "times",
      },
    ],
  };
}

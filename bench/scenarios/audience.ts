import { BASELINE, SUBJECT } from "../contenders.js";
import type { Crowd } from "../load/crowd.js";
import type { Publisher } from "../load/publisher.js";
import type { Section } from "../report.js";
import type { ServerProcess } from "../server-process.js";
import { median } from "../statistics.js";
import { ratios, type Series, spread } from "./rounds.js";

/** Pages that are told. */
export const PAGES = 1_000;
export const ROUNDS = 5;
/** How long publishers publish in one round, ms. */
const ROUND = 1_500;

/** What one round costs the server. */
export interface Cost {
  /** CPU time per delivered message, µs. */
  readonly perDelivery: number;
  /** Messages published, per second. */
  readonly rate: number;
}

/** One server with its audience, and those who speak to it. */
export class Audience {
  constructor(
    readonly server: ServerProcess,
    private readonly crowd: Crowd,
    private readonly publishers: readonly Publisher[],
  ) {}

  async round(): Promise<Cost> {
    const before = this.crowd.counts();
    const heard = this.publishers.map((publisher) => publisher.received);
    const { cpu } = await this.server.measure();
    const start = performance.now();
    const published = await Promise.all(this.publishers.map((publisher) => publisher.publishFor(ROUND)));
    const seconds = (performance.now() - start) / 1_000;
    const total = published.reduce((sum, count) => sum + count, 0);
    await this.crowd.whenEachReceived(total, before);
    await this.crowd.settle();
    const after = await this.server.measure();
    const among = this.#heardAmongPublishers(published, total, heard);
    return { perDelivery: (after.cpu - cpu) / (total * PAGES + among), rate: total / seconds };
  }

  close(): void {
    this.crowd.close();
    for (const publisher of this.publishers) publisher.close();
  }

  /** Publishers may be pages too: each must have got what the others sent. @returns how many deliveries that were */
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

/** What a section says of how its figures came about, behind what is its own. */
export const HOW_MEASURED =
  `${ROUNDS} rounds of ${ROUND / 1_000} s. ` +
  "CPU: user and system time of the server's process per delivered message, median (least to most).";

/** @param bar at most so many times the CPU time of plain `ws` */
export function tableOf(series: readonly Series<Cost>[], bar: number): Pick<Section, "columns" | "rows" | "bars"> {
  const perDelivery = (cost: Cost): number => cost.perDelivery;
  return {
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

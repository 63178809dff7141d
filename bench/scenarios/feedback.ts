import type { Arena } from "../arena.js";
import { BASELINE, CONTENDERS, SUBJECT } from "../contenders.js";
import { openMany } from "../load/crowd.js";
import { Pacer } from "../load/pacer.js";
import type { Section } from "../report.js";
import type { ServerProcess } from "../server-process.js";
import { median, percentile } from "../statistics.js";
import { ratios, type Series, spread } from "./rounds.js";

const PAGES = 1_000;
const BACKENDS = 8;
/** Messages a second, of all backends together. */
const RATE = 500;
/** A report of progress as a job sends it. */
const MESSAGE = "Reading authors: 40 of 2400";
/** Fresh processes: two that run the same program differ by some percent, and so do the first and the last to start. */
const CASTS = 5;
const ROUNDS = 1;
/** Messages in one round of one server: 22 seconds, in which each page of the hub also says once what it has seen. */
const COUNT = 11_000;
/** A hub runs for weeks, so compiled code is what counts; at 500 messages a second compiling would take half a minute. */
const WARM_UP = { count: 30_000, rate: 5_000, delay: 0 };

/** What one round cost. */
interface Cost {
  /** CPU time per delivered message, µs. */
  readonly perDelivery: number;
  /** ms */
  readonly latencies: readonly number[];
}

interface Stage {
  readonly server: ServerProcess;
  readonly pacer: Pacer;
}

/** Feedback from 8 backends to 1,000 pages: CPU time of the server per delivered message, and how long one takes. */
export async function feedback(arena: Arena): Promise<Section> {
  const series = CONTENDERS.map(({ name }) => ({ name, rounds: [] as Cost[] }));
  for (let cast = 0; cast < CASTS; cast++) {
    const order = cast % 2 === 0 ? CONTENDERS : CONTENDERS.toReversed();
    const stages: Stage[] = [];
    for (const server of await arena.startAll(order)) {
      arena.progress(`${PAGES} pages connect to ${server.contender.name}`);
      stages.push(await openStage(server));
    }
    arena.progress("all, warm-up");
    await Promise.all(stages.map(({ pacer }) => pacer.run(WARM_UP)));
    for (let round = 0; round < ROUNDS; round++) {
      arena.progress(`all at once, round ${cast * ROUNDS + round + 1} of ${CASTS * ROUNDS}`);
      const costs = await runRound(stages, round);
      for (const { name, rounds } of series) rounds.push(costs.get(name) as Cost);
    }
    for (const { pacer } of stages) pacer.close();
    await arena.stopAll();
  }
  return section(series);
}

async function openStage(server: ServerProcess): Promise<Stage> {
  const { contender, ready } = server;
  const pages = await openMany(PAGES, () => contender.openPage(ready));
  const backends = await openMany(BACKENDS, () => contender.openBackend(ready));
  const reports = pages.map((page) => contender.feedback(page.address, MESSAGE));
  return { server, pacer: new Pacer(backends, pages, reports) };
}

/**
 * All servers at the same time, one message of each in turn: they need a tenth of their processor together, and whatever
 * else slows the machine down for a while slows all of them. Who comes first changes from round to round.
 */
async function runRound(stages: readonly Stage[], round: number): Promise<Map<string, Cost>> {
  const costs = new Map<string, Cost>();
  const before = await Promise.all(stages.map(({ server }) => server.measure()));
  const step = 1_000 / RATE / stages.length;
  await Promise.all(stages.map(({ pacer }, i) => pacer.run({ count: COUNT, rate: RATE, delay: ((i + round) % stages.length) * step })));
  const after = await Promise.all(stages.map(({ server }) => server.measure()));
  for (const [i, { server, pacer }] of stages.entries()) {
    const cpu = (after[i]?.cpu ?? Number.NaN) - (before[i]?.cpu ?? Number.NaN);
    costs.set(server.contender.name, { perDelivery: cpu / COUNT, latencies: pacer.latencies });
  }
  return costs;
}

function section(series: readonly Series<Cost>[]): Section {
  const perDelivery = (cost: Cost): number => cost.perDelivery;
  const measured = median(ratios(series, SUBJECT, BASELINE, perDelivery));
  return {
    title: "Feedback",
    note:
      `${BACKENDS} backends, together ${RATE} messages a second, to ${PAGES} pages in turn; all servers at once, one message of each in turn, ` +
      `${CASTS} × ${ROUNDS} rounds of ${COUNT} messages. Pages of ${SUBJECT} say every 20 s what they have seen. Backends of ${SUBJECT} are TCP connections, those of the others WebSocket clients. ` +
      "Latency: from the backend's write to the page's read, of every message.",
    columns: ["server", "CPU µs per delivery", "times ws", "p50 ms", "p99 ms"],
    rows: series.map(({ name, rounds }) => [
      name,
      spread(rounds.map(perDelivery), 1),
      median(ratios(series, name, BASELINE, perDelivery)).toFixed(2),
      latency(rounds, 0.5),
      latency(rounds, 0.99),
    ]),
    bars: [{ what: `CPU per delivery, beside ${BASELINE}`, limit: 1, measured, unit: "times" }],
  };
}

/** The median of the rounds, so that one in which the machine stood still does not make the figure. */
function latency(rounds: readonly Cost[], share: number): string {
  return median(rounds.map(({ latencies }) => percentile(latencies, share))).toFixed(2);
}

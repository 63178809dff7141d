import type { Arena } from "../arena.js";
import { CONTENDERS, type Contender, SUBJECT } from "../contenders.js";
import { openMany } from "../load/crowd.js";
import { Pacer } from "../load/pacer.js";
import { Producer } from "../load/producer.js";
import type { Section } from "../report.js";
import type { ServerProcess } from "../server-process.js";
import { median, percentile } from "../statistics.js";
import type { WebSocketClient } from "../wire/websocket-client.js";
import { pause } from "../within.js";

const UPDATES = 1_000_000;
const WINDOW = 256;
/** What the slow page reads at a time, bytes, and how often, ms: 1 kB/s. */
const READ_SIZE = 1_000;
const READ_INTERVAL = 1_000;
/** Enough of a message to find its number in it, bytes. */
const REMEMBER = 128;
const MIB = 1_024 * 1_024;
/** Where a server that queues all it is given is stopped: it would not end before the machine's memory does. */
const MAX_RSS = 1_536 * MIB;

/** Pages that are reported to beside the flood, in turn. */
const READERS = 4;
const REPORT = "Reading authors: 40 of 2400";
/** Reports between two looks at the memory. They start when what came in during the garbage collection is done. */
const PACE = { count: 25, rate: 50, delay: 50 };
/** Looks before the flood: six seconds of reports. */
const CALM_LOOKS = 12;

/** For the flood, and then for the page that was slow to get the last of it, ms. */
const FLOOD_TIMEOUT = 120_000;
const CATCH_UP_TIMEOUT = 20_000;
/** How long something behind the last value is waited for, ms. */
const EXCESS_PAUSE = 100;

/** What was seen in a while: the most memory, bytes, and how long reports took, ms. */
interface Watch {
  rss: number;
  live: number;
  latencies: number[];
}

interface Outcome {
  readonly name: Contender["name"];
  readonly calm: Watch;
  readonly flood: Watch;
  readonly sent: number;
  /** Updates a second. */
  readonly rate: number;
  /** Messages that the slow page read, and whether the last value was the last of them. */
  readonly read: number;
  readonly lastArrived: boolean;
}

/** A million updates of one value to a page that hardly reads: what is kept for it, what it ends with, and what the others feel. */
export async function flood(arena: Arena): Promise<Section> {
  const outcomes: Outcome[] = [];
  for (const contender of CONTENDERS) {
    const server = await arena.start(contender);
    outcomes.push(await floodOne(server, (text) => arena.progress(`${contender.name} ${text}`)));
    await arena.stop(server);
  }
  return section(outcomes);
}

async function floodOne(server: ServerProcess, progress: (text: string) => void): Promise<Outcome> {
  const { contender, ready } = server;
  const reports = await openReports(server);
  const slow = await contender.openPage(ready, { buffer: Buffer.allocUnsafe(READ_SIZE), remember: REMEMBER });
  let lost: Error | undefined;
  slow.onLost = (why) => {
    lost = new Error(`The slow page was lost: ${why}.`);
  };
  const backend = await contender.openBackend(ready, WINDOW);
  const producer = new Producer(backend, (number) => contender.feedback(slow.address, `${number}`, "count"), WINDOW);

  progress("without the flood");
  let looks = 0;
  const calm = await watch(server, reports, () => looks++ < CALM_LOOKS);
  progress("with it");
  slow.readEvery(READ_INTERVAL);
  const [rate, during] = await pour(server, reports, producer);
  progress("lets the slow page loose");
  const lastArrived = await endsWith(slow, producer.sent);
  if (lost) throw lost;

  for (const each of [reports, slow, producer]) each.close();
  return { name: contender.name, calm, flood: during, sent: producer.sent, rate, read: slow.messages, lastArrived };
}

async function openReports({ contender, ready }: ServerProcess): Promise<Pacer> {
  const pages = await openMany(READERS, () => contender.openPage(ready));
  const backend = await contender.openBackend(ready);
  return new Pacer(
    [backend],
    pages,
    pages.map((page) => contender.feedback(page.address, REPORT)),
  );
}

/** @returns updates a second, and what was seen meanwhile */
async function pour(server: ServerProcess, reports: Pacer, producer: Producer): Promise<[number, Watch]> {
  const start = performance.now();
  let seconds = 0;
  const produced = producer.produce(UPDATES, FLOOD_TIMEOUT).then(() => {
    seconds = (performance.now() - start) / 1_000;
  });
  const watched = watch(server, reports, ({ rss }) => {
    if (rss > MAX_RSS) producer.stop();
    return !producer.finished;
  });
  const [seen] = await Promise.all([watched, produced]);
  return [producer.sent / seconds, seen];
}

/**
 * Reports go on, and between them the memory is looked at, never while one of them is on its way: a garbage collection
 * would delay it. Those count that were on their way before the end, for the last ones met only a part of the load.
 * @param goesOn asked after each batch of reports
 */
async function watch(server: ServerProcess, reports: Pacer, goesOn: (seen: Watch) => boolean): Promise<Watch> {
  const seen: Watch = { rss: 0, live: 0, latencies: [] };
  for (let on = true; on; ) {
    await reports.run(PACE);
    on = goesOn(seen);
    if (on) seen.latencies.push(...reports.latencies);
    const { rss, live } = await server.measureAfterGc();
    seen.rss = Math.max(seen.rss, rss);
    seen.live = Math.max(seen.live, live);
  }
  return seen;
}

/** Lets the page read as fast as it can. @returns whether this number is the last thing it gets */
async function endsWith(page: WebSocketClient, number: number): Promise<boolean> {
  const isLast = (): boolean => page.last.includes(`"message":"${number}"`);
  page.readFreely();
  const start = performance.now();
  while (!isLast() && performance.now() - start < CATCH_UP_TIMEOUT) await pause(EXCESS_PAUSE);
  await pause(EXCESS_PAUSE);
  return isLast();
}

function section(outcomes: readonly Outcome[]): Section {
  const subject = outcomes.find(({ name }) => name === SUBJECT) as Outcome;
  const { calm, flood } = subject;
  return {
    title: "A flood to a page that hardly reads",
    note:
      `${UPDATES} updates of one value, window ${WINDOW}, as fast as they are answered, to a page that reads ${READ_SIZE} bytes a second ` +
      `until the last of them; only ${SUBJECT} knows that the newest is enough. Beside it a report every ${1_000 / PACE.rate} ms to ` +
      `${READERS} pages in turn, before and during the flood. Memory after a garbage collection: most during the flood less most before; ` +
      `a server that has more than ${MAX_RSS / MIB} MiB is stopped. Latency: from the backend's write to the page's read.`,
    columns: [
      "server",
      "updates",
      "updates/s",
      "page read",
      "last value",
      "live MiB more",
      "RSS MiB more",
      "p50 ms before, during",
      "p99 ms before, during",
    ],
    rows: outcomes.map(row),
    bars: [
      { what: "Live memory for the flood", limit: 3, measured: (flood.live - calm.live) / MIB, unit: "MiB" },
      { what: "Last value missing", limit: 0, measured: subject.lastArrived ? 0 : 1, unit: "times" },
      // The flood takes all the time there is; what nobody sees is that of one read of it, 256 updates.
      { what: "p50 of the others during the flood, more than before", limit: 1, measured: p50(flood) - p50(calm), unit: "ms" },
    ],
  };
}

function row(outcome: Outcome): string[] {
  const { name, calm, flood, sent, rate, read, lastArrived } = outcome;
  return [
    name,
    sent < UPDATES ? `${sent}, stopped` : String(sent),
    rate.toFixed(0),
    String(read),
    lastArrived ? "arrived" : "MISSING",
    ((flood.live - calm.live) / MIB).toFixed(2),
    ((flood.rss - calm.rss) / MIB).toFixed(1),
    [calm, flood].map((each) => p50(each).toFixed(2)).join(", "),
    [calm, flood].map(({ latencies }) => percentile(latencies, 0.99).toFixed(2)).join(", "),
  ];
}

const p50 = ({ latencies }: Watch): number => median(latencies);

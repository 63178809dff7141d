import type { Arena } from "../arena.js";
import { BASELINE, CONTENDERS, type Contender, SUBJECT } from "../contenders.js";
import { openMany } from "../load/crowd.js";
import type { Section } from "../report.js";
import type { Measurement } from "../servers/control.js";
import { median } from "../statistics.js";
import type { Client } from "../wire/client.js";
import { pause } from "../within.js";
import { type Series, spread } from "./rounds.js";

const PAGES = 2_000;
/** Come and go before anything is measured: code that runs for the first time takes memory too. */
const WARM_UP = 100;
const ROUNDS = 5;
/** For sockets to be closed and buffers to be given back, ms. */
const SETTLE = 300;
const KIB = 1_024;
/**
 * For all servers alike: how far V8's young generation has grown, up to 48 MiB, tells how fast the pages came and not what
 * each of them keeps.
 */
const SMALL_YOUNG_GENERATION = ["--max-semi-space-size=1"];

/** What one idle page takes of the server, KiB. */
interface Share {
  readonly rss: number;
  readonly live: number;
}

/** Idle pages: memory that the server takes for each. */
export async function idlePages(arena: Arena): Promise<Section> {
  const series = CONTENDERS.map((contender) => ({ contender, name: contender.name, rounds: [] as Share[] }));
  for (let round = 1; round <= ROUNDS; round++) {
    for (const { contender, name, rounds } of series) {
      arena.progress(`${PAGES} idle pages at ${name}, round ${round} of ${ROUNDS}`);
      rounds.push(await measureOnce(arena, contender));
    }
  }
  return section(series);
}

async function measureOnce(arena: Arena, contender: Contender): Promise<Share> {
  const server = await arena.start(contender, SMALL_YOUNG_GENERATION);
  const open = (): Promise<Client> => contender.openPage(server.ready);
  closeAll(await openMany(WARM_UP, open));
  await pause(SETTLE);
  const before = await server.measureAfterGc();
  const pages = await openMany(PAGES, open);
  await pause(SETTLE);
  const after = await server.measureAfterGc();
  closeAll(pages);
  await arena.stop(server);
  const share = (figure: keyof Measurement): number => (after[figure] - before[figure]) / PAGES / KIB;
  return { rss: share("rss"), live: share("live") };
}

function closeAll(clients: readonly Client[]): void {
  for (const client of clients) client.close();
}

function section(series: readonly Series<Share>[]): Section {
  const rss = (name: string): number => median((series.find((each) => each.name === name)?.rounds ?? []).map((share) => share.rss));
  return {
    title: "Idle pages",
    note:
      `Resident set with ${PAGES} idle pages less the one before, for each page, after garbage collections, in a fresh process; ` +
      `median of ${ROUNDS} (least to most). Live: heap in use and memory outside of it, without what the allocator keeps.`,
    columns: ["server", "RSS KiB per page", "above ws", "live KiB per page"],
    rows: series.map(({ name, rounds }) => [
      name,
      spread(
        rounds.map((share) => share.rss),
        1,
      ),
      (rss(name) - rss(BASELINE)).toFixed(1),
      spread(
        rounds.map((share) => share.live),
        1,
      ),
    ]),
    bars: [{ what: `RSS per idle page, above ${BASELINE}`, limit: 4, measured: rss(SUBJECT) - rss(BASELINE), unit: "KiB" }],
  };
}

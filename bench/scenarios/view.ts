import type { Arena } from "../arena.js";
import { HUB } from "../contenders.js";
import { Asker } from "../load/asker.js";
import { Crowd } from "../load/crowd.js";
import type { Section } from "../report.js";
import type { ServerProcess } from "../server-process.js";
import { median } from "../statistics.js";
import { READ_BUFFER } from "../wire/client.js";
import { clientFrame, TEXT } from "../wire/client-frame.js";
import { spread } from "./rounds.js";

/** Pages that hold what makes the table large. */
const HOLDERS = 100;
/** Ids in one view: more rows than anybody scrolls through. */
const IDS = 2_000;
/** Pages that list what another one views. */
const LISTERS = 50;
/** The most ids that the hub puts into one push. */
const IDS_A_PUSH = 128;
const PUSHES = Math.ceil(IDS / IDS_A_PUSH);
const ROUNDS = 7;
/** In one round of one kind; even, so that each round ends with the ids it began with. */
const VIEWS = 20;
/** All of the longest answer. */
const READING = { buffer: READ_BUFFER, remember: 1_048_576 };

/** What a page does, again and again. */
interface Kind {
  readonly name: string;
  readonly page: Asker;
  /** In turn; at the beginning of each round it shows the last. */
  readonly views: readonly Buffer[];
  /** Who lists the last of these, and is told with each view that all of it is free, or held again. */
  readonly told: Crowd;
  readonly rounds: Round[];
}

interface Round {
  /** CPU time of the server per view, ms. */
  readonly cpu: number;
  /** From the page's write to the end of the answer, ms. */
  readonly roundTrip: number;
}

/** What the hub says to a view. */
interface Answer {
  readonly status: string;
  readonly result?: { readonly mine: object };
}

/** A page that says which 2,000 records it shows, of a table with 200,000 locks. */
export async function view(arena: Arena): Promise<Section> {
  const server = await arena.start(HUB);
  arena.progress(`${HOLDERS} pages take ${IDS} locks each`);
  const holders = await openViewers(server, HOLDERS, viewOf);
  const kinds = await openKinds(server);
  for (let round = 0; round <= ROUNDS; round++) {
    for (const kind of kinds) {
      arena.progress(`${kind.name}, ${round === 0 ? "warm-up" : `round ${round} of ${ROUNDS}`}`);
      const result = await runRound(server, kind);
      if (round > 0) kind.rounds.push(result);
    }
  }
  for (const { page, told } of kinds) {
    page.close();
    told.close();
  }
  holders.close();
  await arena.stopAll();
  return section(kinds);
}

/** A view of the ids of one block. */
function viewOf(block: number): Buffer {
  const ids = Array.from({ length: IDS }, (_, i) => String((block + 1) * 10_000 + i));
  return clientFrame(TEXT, JSON.stringify({ opcode: "view", space: "books", ids }));
}

/** Pages that have viewed something. */
async function openViewers(server: ServerProcess, count: number, viewBy: (index: number) => Buffer): Promise<Crowd> {
  const crowd = await Crowd.open(count, () => HUB.openPage(server.ready));
  const before = crowd.counts();
  for (const [i, client] of crowd.clients.entries()) client.write(viewBy(i));
  await crowd.whenEachReceived(1, before);
  return crowd;
}

async function openKinds(server: ServerProcess): Promise<Kind[]> {
  const kind = async (name: string, blocks: readonly number[], listers: number): Promise<Kind> => {
    const views = blocks.map((block) => viewOf(HOLDERS + block));
    const last = views.at(-1) as Buffer;
    const page = new Asker(await HUB.openPage(server.ready, READING));
    await page.ask(last);
    const told = await openViewers(server, listers, () => last);
    return { name, page, views, told, rounds: [] };
  };
  return [
    await kind("the same ids", [0], 0),
    await kind("other ids", [1, 2], 0),
    await kind(`other ids, ${LISTERS} pages told`, [3, 4], LISTERS),
  ];
}

async function runRound(server: ServerProcess, { page, views, told }: Kind): Promise<Round> {
  const before = told.counts();
  const { cpu } = await server.measure();
  const roundTrips: number[] = [];
  for (let i = 0; i < VIEWS; i++) {
    roundTrips.push(await page.ask(views[i % views.length] as Buffer));
    checkAnswer(page.answer as Answer);
  }
  await told.whenEachReceived(VIEWS * PUSHES, before);
  await told.settle();
  const after = await server.measure();
  return { cpu: (after.cpu - cpu) / 1_000 / VIEWS, roundTrip: median(roundTrips) };
}

/** @throws Error where the page has not got all that it views */
function checkAnswer({ status, result }: Answer): void {
  const mine = Object.keys(result?.mine ?? {}).length;
  if (status !== "done" || mine !== IDS) throw new Error(`A view was answered ${status}, with ${mine} of ${IDS} ids.`);
}

function section(kinds: readonly Kind[]): Section {
  const cpu = ({ rounds }: Kind): number => median(rounds.map((round) => round.cpu));
  const [same, others, told] = kinds as [Kind, Kind, Kind];
  const perTold = ((cpu(told) - cpu(others)) * 1_000) / (IDS * LISTERS);
  return {
    title: "Which records a page shows",
    note:
      `A \`view\` of ${IDS} ids, each behind the answer to the one before, in a space where ${HOLDERS} other pages hold ${HOLDERS * IDS} locks. ` +
      `Other ids: ${IDS} are freed and ${IDS} claimed; told: ${LISTERS} pages list one half of these. ` +
      `CPU: user and system time of the server's process per view; ${ROUNDS} rounds of ${VIEWS} views, median (least to most).`,
    columns: ["view of", "CPU ms per view", "round trip ms", "CPU µs per id told"],
    rows: kinds.map(({ name, rounds }, i) => [
      name,
      spread(
        rounds.map((round) => round.cpu),
        1,
      ),
      spread(
        rounds.map((round) => round.roundTrip),
        1,
      ),
      kinds[i] === told ? perTold.toFixed(2) : "",
    ]),
    bars: [same, others].map((kind) => ({ what: `CPU per view, ${kind.name}`, limit: 20, measured: cpu(kind), unit: "ms" })),
  };
}

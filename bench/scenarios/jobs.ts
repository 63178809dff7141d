import type { Arena } from "../arena.js";
import { ECHO, HUB } from "../contenders.js";
import { Producer } from "../load/producer.js";
import type { Section } from "../report.js";
import type { ServerProcess } from "../server-process.js";
import { median } from "../statistics.js";
import type { Client } from "../wire/client.js";
import { spread } from "./rounds.js";

const ROUNDS = 5;
/** Reports in one round: 100,000 in all, beside those of the warm-up. */
const COUNT = 20_000;
/** For one round, ms. */
const TIMEOUT = 30_000;
/** Times a second that a page may be told of one job (`jobUpdates`). */
const UPDATES = 10;

/** One round of one job. */
interface Round {
  /** ms, of the job itself. */
  readonly time: number;
  /** CPU time of the server per report, µs. */
  readonly perReport: number;
  /** Times a second that the page was told. */
  readonly updates: number;
}

/** Who reports, and the server that answers. */
interface Stage {
  readonly server: ServerProcess<{ name: string; script: string }>;
  readonly backend: Client;
  readonly page: Client | undefined;
  readonly rounds: Round[];
}

/** One job that reports as fast as it is answered, each report behind the answer to the one before. */
export async function jobs(arena: Arena): Promise<Section> {
  const [hub, echo] = [await arena.start(HUB), await arena.start(ECHO)];
  const page = await HUB.openPage(hub.ready);
  const withHub: Stage = { server: hub, backend: await HUB.openBackend(hub.ready, 1), page, rounds: [] };
  const without: Stage = { server: echo, backend: await ECHO.openBackend(echo.ready), page: undefined, rounds: [] };
  for (let round = 0; round <= ROUNDS; round++) {
    for (const stage of round % 2 === 0 ? [withHub, without] : [without, withHub]) {
      arena.progress(`${stage.server.contender.name}, ${round === 0 ? "warm-up" : `round ${round} of ${ROUNDS}`}`);
      const result = await runRound(stage, page.address);
      if (round > 0) stage.rounds.push(result);
    }
  }
  for (const client of [page, withHub.backend, without.backend]) client.close();
  await arena.stopAll();
  return section(withHub.rounds, without.rounds);
}

async function runRound({ server, backend, page }: Stage, uuid: string): Promise<Round> {
  const report = (n: number): Buffer =>
    Buffer.from(`{"opcode":"progress","uuid":"${uuid}","at":${n},"of":${COUNT},"message":"Reading authors"}\n`);
  const heard = page?.messages ?? 0;
  const answers = backend.answers;
  const { cpu } = await server.measure();
  const start = performance.now();
  await new Producer(backend, report, 1).produce(COUNT, TIMEOUT);
  const time = performance.now() - start;
  const after = await server.measure();
  if (backend.answers - answers !== COUNT) throw new Error(`${backend.answers - answers} answers to ${COUNT} reports.`);
  return { time, perReport: (after.cpu - cpu) / COUNT, updates: ((page?.messages ?? 0) - heard) / (time / 1_000) };
}

function section(hub: readonly Round[], echo: readonly Round[]): Section {
  const row = (name: string, rounds: readonly Round[], updates: string): string[] => [
    name,
    spread(
      rounds.map(({ time }) => (time * 1_000) / COUNT),
      1,
    ),
    spread(
      rounds.map(({ perReport }) => perReport),
      1,
    ),
    updates,
  ];
  const told = Math.max(...hub.map(({ updates }) => updates));
  return {
    title: "A job that reports as fast as it can",
    note:
      `${ROUNDS} × ${COUNT} reports of progress over one TCP connection, each behind the answer to the one before; in turns with the same job ` +
      "reporting to a server of 20 lines that only answers. Median (least to most).",
    columns: ["server", "µs per report, of the job", "CPU µs per report, of the server", "told to the page, per second"],
    rows: [row("signalbox", hub, told.toFixed(1)), row("echo", echo, "")],
    bars: [
      { what: "Time of the job, beside no hub", limit: 1.2, measured: ratio(hub, echo), unit: "times" },
      // The first is told at once: in a round of less than a second that is one more.
      { what: "Updates at the page", limit: UPDATES + 1, measured: told, unit: "a second" },
    ],
  };
}

function ratio(hub: readonly Round[], echo: readonly Round[]): number {
  return median(hub.map(({ time }, i) => time / (echo[i] as Round).time));
}

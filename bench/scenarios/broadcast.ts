import type { Arena } from "../arena.js";
import { Crowd, openMany } from "../load/crowd.js";
import { Publisher } from "../load/publisher.js";
import type { Section } from "../report.js";
import type { ServerProcess } from "../server-process.js";
import { Audience, HOW_MEASURED, PAGES, ROUNDS, tableOf } from "./audience.js";
import { inTurns } from "./rounds.js";

export interface BroadcastSettings {
  readonly title: string;
  readonly publishers: number;
  readonly window: number;
  /** At most so many times the CPU time of plain `ws`. */
  readonly bar: number;
}

/** 64 characters: with its packet some 100 bytes, the size of a report or a state change. */
const MESSAGE = "Prices updated: 2400 articles in 36 groups, valid from tomorrow.";

/** Broadcasts to 1,000 pages: CPU time of the server per delivered message. */
export async function broadcast(arena: Arena, settings: BroadcastSettings): Promise<Section> {
  const { title, publishers, window, bar } = settings;
  const audiences: Audience[] = [];
  for (const server of await arena.startAll()) {
    arena.progress(`${PAGES} pages connect to ${server.contender.name}`);
    audiences.push(await gather(server, settings));
  }
  const series = await inTurns(arena, audiences, ROUNDS, (audience) => audience.round());
  for (const audience of audiences) audience.close();
  await arena.stopAll();
  const note = `${publishers} × window ${window} to ${PAGES} pages, ${MESSAGE.length} characters, ${HOW_MEASURED}`;
  return { title, note, ...tableOf(series, bar) };
}

async function gather(server: ServerProcess, { publishers, window }: BroadcastSettings): Promise<Audience> {
  const { contender, ready } = server;
  const crowd = await Crowd.open(PAGES, () => contender.openPage(ready));
  const clients = await openMany(publishers, () => contender.openPublisher(ready, window));
  const message = contender.broadcast(MESSAGE);
  return new Audience(
    server,
    crowd,
    clients.map((client) => new Publisher(client, [message], window)),
  );
}

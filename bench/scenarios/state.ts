import type { Arena } from "../arena.js";
import { Crowd } from "../load/crowd.js";
import { Publisher } from "../load/publisher.js";
import type { Section } from "../report.js";
import type { ServerProcess } from "../server-process.js";
import { Audience, HOW_MEASURED, PAGES, ROUNDS, tableOf } from "./audience.js";
import { inTurns } from "./rounds.js";

const KEYS = 20;
/** What a machine shows on a dashboard. */
const VALUE = { state: "running", order: 48213, done: 1250, of: 2400 };

/** One backend changes one of a few values that 1,000 pages watch: CPU time of the server per change that a page is told. */
export async function state(arena: Arena): Promise<Section> {
  const audiences: Audience[] = [];
  for (const server of await arena.startAll()) {
    arena.progress(`${PAGES} pages watch at ${server.contender.name}`);
    audiences.push(await gather(server));
  }
  const series = await inTurns(arena, audiences, ROUNDS, (audience) => audience.round());
  for (const audience of audiences) audience.close();
  await arena.stopAll();
  return {
    title: "State, one backend in lock-step",
    note:
      `One backend, window 1, sets one of ${KEYS} keys after the other, ${PAGES} pages watch them all with one pattern, ${HOW_MEASURED} ` +
      "The others, which keep no state, broadcast as many bytes.",
    ...tableOf(series, 1),
  };
}

async function gather(server: ServerProcess): Promise<Audience> {
  const { contender, ready } = server;
  const crowd = await Crowd.open(PAGES, () => contender.openWatcher(ready, "machine/*"));
  const backend = await contender.openBackend(ready, 1);
  const changes = Array.from({ length: KEYS }, (_, i) => contender.change(`machine/${i + 1}`, VALUE));
  return new Audience(server, crowd, [new Publisher(backend, changes, 1)]);
}

import type { Arena } from "../arena.js";
import { CONTENDERS, type Contender, SUBJECT } from "../contenders.js";
import { Crowd } from "../load/crowd.js";
import { Publisher } from "../load/publisher.js";
import type { Section } from "../report.js";
import type { ServerProcess } from "../server-process.js";

/** Pages that read, beside the one that does not. */
const READERS = 4;
const MESSAGE_SIZE = 16 * 1_024;
/** Messages between two looks at the memory: 64 KiB of them, so that a queue limited to 2 MiB is seen while it is full. */
const STEP = 4;
/** 32 MiB in all: some 4 MiB disappear in the buffers of the operating system first. */
const STEPS = 512;
const MIB = 1_024 * 1_024;

/** The most that was seen, bytes. */
interface Peak {
  rss: number;
  live: number;
}

interface Growth {
  readonly name: Contender["name"];
  readonly live: number;
  readonly rss: number;
}

/** One page that never reads while everybody is sent long messages: memory that the server takes for it. */
export async function deafPage(arena: Arena): Promise<Section> {
  const growths: Growth[] = [];
  for (const contender of CONTENDERS) {
    arena.progress(`${contender.name} without a page that never reads`);
    const without = await peakOf(arena, contender, false);
    arena.progress(`${contender.name} with it`);
    const deaf = await peakOf(arena, contender, true);
    growths.push({ name: contender.name, live: (deaf.live - without.live) / MIB, rss: (deaf.rss - without.rss) / MIB });
  }
  return section(growths);
}

async function peakOf(arena: Arena, contender: Contender, deaf: boolean): Promise<Peak> {
  const server = await arena.start(contender);
  const crowd = await Crowd.open(READERS, () => contender.openPage(server.ready));
  const client = await contender.openPublisher(server.ready, 1);
  const publisher = new Publisher(client, [contender.broadcast("x".repeat(MESSAGE_SIZE))], 1);
  const deafClient = deaf ? await contender.openPage(server.ready) : undefined;
  deafClient?.goDeaf();
  const peak = await load(server, crowd, publisher);
  crowd.close();
  client.close();
  deafClient?.close();
  await arena.stop(server);
  return peak;
}

async function load(server: ServerProcess, crowd: Crowd, publisher: Publisher): Promise<Peak> {
  const peak: Peak = { rss: 0, live: 0 };
  const start = crowd.counts();
  for (let step = 0; step < STEPS; step++) {
    const before = crowd.counts();
    await publisher.publish(STEP);
    await crowd.whenAllReceived(STEP, before);
    const { rss, live } = await server.measureAfterGc();
    peak.rss = Math.max(peak.rss, rss);
    peak.live = Math.max(peak.live, live);
  }
  await crowd.whenEachReceived(STEP * STEPS, start);
  return peak;
}

function section(growths: readonly Growth[]): Section {
  const subject = growths.find(({ name }) => name === SUBJECT) as Growth;
  return {
    title: "One page that never reads",
    note:
      `${STEP * STEPS} broadcasts of ${MESSAGE_SIZE / 1_024} KiB to ${READERS} pages that read, with and without one that does not: difference of the peaks ` +
      `of two runs, looked at every ${STEP} messages. Judged by live memory after a garbage collection (heap in use and memory outside of it): ` +
      "that is what is kept for the page, while the resident set moves by some MiB with the allocator and the moments of garbage collection.",
    columns: ["server", "live MiB more", "RSS MiB more"],
    rows: growths.map(({ name, live, rss }) => [name, live.toFixed(2), rss.toFixed(1)]),
    bars: [{ what: "Live memory for one page that never reads", limit: 2, measured: subject.live, unit: "MiB" }],
  };
}

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import type { HubClient } from "../../client/index.js";
import { connect as connectBackend } from "../../tcp-client/index.js";
import { connect as connectPage } from "../../web-client/index.js";
import { Random } from "../simulation/random.js";
import { FAULTS, FaultProxy } from "../support/fault-proxy.js";
import { startHub } from "../support/hub.js";

const PAGES = 200;
const BACKENDS = 4;
const FEEDBACKS = 20_000;
const RECONNECTS = 300;
/** Feedbacks of a backend under way together. */
const BATCH = 25;
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);

/** A page with what its code saw, and what each backend was told about what it sent there. */
interface Watched {
  readonly client: HubClient;
  readonly seen: string[];
  readonly taken: string[];
}

async function openPage(t: TestContext, port: number): Promise<Watched> {
  const client = await connectPage(`ws://127.0.0.1:${port}/web`, { WebSocket: WebSocket as never });
  t.after(() => client.close());
  const page: Watched = { client, seen: [], taken: [] };
  client.addEventListener("feedback", ({ packet }) => page.seen.push(String(packet.message)));
  client.addEventListener("fresh", ({ ready }) => page.seen.push(`fresh ${ready.reason}`));
  return page;
}

/** Settles when the page's code has seen as many as were taken for it. */
function caughtUp({ client, seen, taken }: Watched): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => {
      if (seen.length >= taken.length) resolve();
    };
    client.addEventListener("feedback", check);
    check();
  });
}

describe("14 Resume over real sockets that break at any byte", () => {
  test(`${FEEDBACKS} feedbacks of ${BACKENDS} backends to ${PAGES} pages with ${RECONNECTS} broken connections: each that was taken is seen once, in order`, {
    timeout: 120_000,
  }, async (t) => {
    const random = new Random(SEED);
    t.diagnostic(`SEED=${SEED}`);
    const hub = await startHub(t, { pingInterval: 200 });
    const proxy = await FaultProxy.start(t, hub.wsPort);
    const pages = await Promise.all(Array.from({ length: PAGES }, () => openPage(t, proxy.port)));
    const backends = await Promise.all(Array.from({ length: BACKENDS }, () => connectBackend(`tcp://127.0.0.1:${hub.tcpPort}`)));
    for (const backend of backends) t.after(() => backend.close());
    let broken = 0;

    async function report(backend: HubClient, name: number): Promise<void> {
      for (let n = 0; n < FEEDBACKS / BACKENDS; n += BATCH) {
        const batch = Array.from({ length: BATCH }, async (_, i) => {
          const page = pages[random.below(PAGES)] as Watched;
          const message = `${name} ${n + i}`;
          const { status } = await backend.feedback(page.client.uuid, message);
          assert.ok(status === "sent" || status === "held", status);
          page.taken.push(message);
        });
        await Promise.all(batch);
        while (broken < ((n + BATCH) / (FEEDBACKS / BACKENDS)) * RECONNECTS) {
          proxy.breakOne(random, random.pick(FAULTS));
          broken++;
        }
      }
    }

    await Promise.all(backends.map(report));
    await Promise.all(pages.map(caughtUp));
    assert.equal(broken, RECONNECTS);
    // One that is broken while it is broken already comes back once.
    const back = hub.log.of("peer.back").length;
    assert.ok(back >= RECONNECTS * 0.8, `${back} came back`);
    for (const { seen, taken } of pages) {
      for (let name = 0; name < BACKENDS; name++) {
        const of = (list: string[]): string[] => list.filter((message) => message.startsWith(`${name} `));
        assert.deepEqual(of(seen), of(taken));
      }
      assert.equal(seen.length, taken.length);
    }
  });
});

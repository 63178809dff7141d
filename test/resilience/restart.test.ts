import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { WebSocket } from "ws";
import type { HubClient } from "../../client/index.js";
import { connect } from "../../web-client/index.js";
import { startHub } from "../support/hub.js";

const PAGES = 2_000;
/** What the issue of reconnecting promises, ms. */
const WITHIN = 15_000;

/** Settles with the reason when the client has a new page. */
function fresh(client: HubClient): Promise<string | undefined> {
  return new Promise((resolve) => client.addEventListener("fresh", ({ ready }) => resolve(ready.reason), { once: true }));
}

describe("a hub that is restarted", () => {
  test(`gets its ${PAGES} pages back within ${WITHIN / 1000} s, each told why it is new, and none is turned away`, {
    timeout: 120_000,
  }, async (t) => {
    const hub = await startHub(t);
    const open = (): Promise<HubClient> => connect(`${hub.ws}/web`, { WebSocket: WebSocket as never });
    const clients: HubClient[] = [];
    while (clients.length < PAGES) clients.push(...(await Promise.all(Array.from({ length: 100 }, open))));
    t.after(() => {
      for (const client of clients) client.close();
    });
    const back = Promise.all(clients.map(fresh));
    await hub.stop();
    const start = performance.now();
    const again = await startHub(t, { listen: [`ws://127.0.0.1:${hub.wsPort}`] });
    const reasons = await back;
    const took = performance.now() - start;
    t.diagnostic(`${PAGES} pages were back after ${Math.round(took)} ms`);
    assert.deepEqual([...new Set(reasons)], ["restarted"]);
    assert.ok(took < WITHIN, `${took} ms`);
    assert.equal(again.log.of("handshake.dropped").length + again.log.of("handshake.refused").length, 0);
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MemoryCluster } from "../../server/cluster/memory.js";
import { startHub } from "../support/hub.js";
import { LineClient } from "../support/line-client.js";
import { Page } from "../support/page.js";
import { clusterContract } from "./contract.js";

clusterContract("memory", async (clock) => {
  const cluster = new MemoryCluster(clock);
  return { clusters: [cluster, cluster], close: async () => {} };
});

describe("two hubs in one process that share a memory cluster", () => {
  test("deliver to each other's pages, by UUID, ident, tags and broadcast", async (t) => {
    const cluster = new MemoryCluster();
    const [here, there] = [await startHub(t, { cluster }), await startHub(t, { cluster })];
    const near = await Page.open(t, here.ws, { ident: "anna" });
    const far = await Page.open(t, there.ws, { ident: "anna", tags: { role: "editor" } });
    const backend = await LineClient.open(t, here.tcpPort);
    const { uuid } = await backend.hello();
    assert.deepEqual(await backend.ask({ opcode: "feedback", uuid: far.uuid, message: 1 }), {
      opcode: "next",
      fyi: "",
      status: "sent",
      n: 1,
    });
    assert.deepEqual(await far.packets.next(), { opcode: "feedback", message: 1, fromUUID: uuid });
    assert.equal((await backend.ask({ opcode: "feedback", ident: "anna", message: 2 })).n, 2);
    assert.equal((await backend.ask({ opcode: "feedback", tags: { role: "editor" }, message: 3 })).n, 1);
    assert.equal((await backend.ask({ opcode: "broadcast", message: 4 })).n, 2);
    const messages = async (page: Page, n: number): Promise<unknown[]> =>
      Promise.all(Array.from({ length: n }, async () => (await page.packets.next()).message));
    assert.deepEqual(await messages(far, 3), [2, 3, 4]);
    assert.deepEqual(await messages(near, 2), [2, 4]);
  });
});

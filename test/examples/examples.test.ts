import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { App } from "../../server/app.js";
import { browserMissing, openBrowser } from "../support/browser.js";
import { startHub } from "../support/hub.js";
import { Page } from "../support/page.js";
import { commandMissing, ROOT, run } from "../support/process.js";

const STEPS = [1, 2, 3];

/** The scripts and what a page gets from them. */
const REPORTS = [
  { needs: "bash", args: ["examples/report.sh"], expected: STEPS.map((step) => `Step ${step} of 3 – ä😀`) },
  { needs: "python3", args: ["examples/report.py"], expected: STEPS.map((at) => ({ at, of: 3, text: "Schritt – ä😀" })) },
  { needs: "php", args: ["examples/report.php"], expected: STEPS.map((at) => ({ at, of: 3, text: "Schritt – ä😀" })) },
] as const;

describe("examples: backends without a library", () => {
  for (const { needs, args, expected } of REPORTS) {
    test(`${args[0]} reports three steps to the page`, { skip: commandMissing(needs) }, async (t) => {
      const hub = await startHub(t);
      const page = await Page.open(t, `${hub.ws}/web`);
      const { code, stderr } = await run(needs, [...args, page.uuid, "127.0.0.1", String(hub.tcpPort)]);
      assert.equal(code, 0, stderr);
      for (const message of expected) assert.deepEqual((await page.packets.next()).message, message);
      const others = hub.log.of("peer.closed").filter(({ kind }) => kind === "backend");
      assert.deepEqual(
        others.map(({ why }) => why),
        ["quit"],
      );
    });

    test(`${args[0]} says so when the page has gone`, { skip: commandMissing(needs) }, async (t) => {
      const hub = await startHub(t);
      const { code, stdout, stderr } = await run(needs, [
        ...args,
        "00000000-0000-4000-8000-000000000000",
        "127.0.0.1",
        String(hub.tcpPort),
      ]);
      assert.ok(code !== 0 || needs === "php");
      assert.match(stdout + stderr, /gone/);
    });
  }

  test("examples/report-nc.sh sends one line with netcat", { skip: commandMissing("nc") }, async (t) => {
    const hub = await startHub(t);
    const page = await Page.open(t, `${hub.ws}/web`);
    const { stdout } = await run("bash", ["examples/report-nc.sh", page.uuid, "Prices updated", "127.0.0.1", String(hub.tcpPort)]);
    assert.equal(stdout, "next sent 1\nnext done\n");
    assert.equal((await page.packets.next()).message, "Prices updated");
  });
});

describe("examples: an app", () => {
  test("examples/orders.js has at most 15 lines, keeps state and tells the other pages", async (t) => {
    const path = join(ROOT, "examples/orders.js");
    assert.ok(readFileSync(path, "utf8").trimEnd().split("\n").length <= 15);
    const { default: orders } = (await import(path)) as { default: App };
    const hub = await startHub(t, { resources: { "/orders": orders } });
    const [anna, ben] = [await Page.open(t, `${hub.ws}/orders`), await Page.open(t, `${hub.ws}/orders`)];
    assert.equal((await anna.ask({ opcode: "setState", order: "7", state: "packed" })).status, "done");
    assert.deepEqual(await ben.packets.next(), { opcode: "orderState", order: "7", state: "packed" });
    assert.equal((await ben.ask({ opcode: "getState", order: "7" })).result, "packed");
    assert.equal(((await ben.ask({ opcode: "setState" })).error as { code: string }).code, "bad-order");
  });
});

/** Serves the folder's page from an origin of its own, with the hub's real ports in it. */
async function servePage(t: TestContext, html: () => string): Promise<string> {
  const server = createServer((request, response) => {
    if (request.url === "/") response.setHeader("content-type", "text/html").end(html());
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("examples: one's own page on one's own server", { skip: browserMissing() }, () => {
  test("examples/own-page shows the job that was given its UUID, from another origin that is listed", async (t) => {
    let html = "";
    const origin = await servePage(t, () => html);
    const hub = await startHub(t, { origins: [origin] });
    html = readFileSync(join(ROOT, "examples/own-page/index.html"), "utf8").replaceAll("127.0.0.1:8096", `127.0.0.1:${hub.wsPort}`);
    const page = await (await openBrowser(t)).newPage();
    await page.goto(`${origin}/`);
    await page.locator("#start:enabled").waitFor();
    const uuid = (await page.locator("#uuid").textContent()) ?? "";
    const { code, stderr } = await run("bash", ["examples/own-page/job.sh", uuid, String(hub.tcpPort)], { JOB_STEP: "0" });
    assert.equal(code, 0, stderr);
    await page.getByText("Finished").waitFor();
    assert.equal(await page.locator("#bar").getAttribute("value"), "100");
  });
});

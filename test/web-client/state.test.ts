import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Page } from "playwright-core";
import { browserMissing, openBrowser } from "../support/browser.js";
import { openDemoWindow, startDemoOf } from "../support/demo-page.js";
import type { TestHub } from "../support/hub.js";
import { LineClient } from "../support/line-client.js";
import { run } from "../support/process.js";

const shown = (page: Page, id: string, text: string | RegExp) => page.locator(`#${id}`).filter({ hasText: text }).waitFor();

/** Says one line to the hub, as any backend may. */
async function say(t: TestContext, hub: TestHub, text: string): Promise<string> {
  const line = await LineClient.open(t, hub.tcpPort);
  line.write(`${text}\n`);
  return line.lines.next();
}

/** The process that says what the machine is doing, to this hub. */
async function machineOf(hub: TestHub): Promise<number | undefined> {
  const { stdout } = await run("pgrep", ["-f", `machine-load.js tcp://127.0.0.1:${hub.tcpPort}$`]);
  return stdout === "" ? undefined : Number(stdout);
}

describe("18 State on the board in Chromium", { skip: browserMissing(), timeout: 60_000 }, () => {
  test("shows what a backend says of its machine, and shows no values without it", async (t) => {
    const hub = await startDemoOf(t, []);
    const { page, complaints } = await openDemoWindow(await openBrowser(t), hub, "/board", "Anna");
    await shown(page, "cpu", /^\d+ %$/);
    await shown(page, "load", /^\d+\.\d\d$/);
    await shown(page, "memory", /^\d+ %$/);
    await shown(page, "uptime", /^\d+ (d|h) /);
    assert.ok(Number(await page.locator("#memory-bar").getAttribute("value")) > 0);
    assert.match(await say(t, hub, "who machine/cpu"), /"by":"machine-load"/);
    process.kill((await machineOf(hub)) as number);
    for (const id of ["cpu", "load", "memory", "uptime"]) await shown(page, id, /^–$/);
    assert.deepEqual(complaints, []);
  });

  test("its backend runs while a page is open, and not when the last has gone or the hub stops", async (t) => {
    const hub = await startDemoOf(t, [], { reloadGrace: 1 });
    const browser = await openBrowser(t);
    assert.equal(await machineOf(hub), undefined);
    for (const leave of [(page: Page) => page.close(), () => hub.stop()]) {
      const { page } = await openDemoWindow(browser, hub, "/board", "Anna");
      await shown(page, "cpu", "%");
      assert.ok(await machineOf(hub));
      await leave(page);
      for (let tries = 0; (await machineOf(hub)) !== undefined; tries++) assert.ok(tries < 50, "it runs on");
    }
  });

  test("[STATE-7] shows who is looking, and where; who leaves is gone, and no name is HTML", async (t) => {
    const hub = await startDemoOf(t, ["a.txt"], { reloadGrace: 1 });
    const browser = await openBrowser(t);
    const anna = await openDemoWindow(browser, hub, "/board", "Anna");
    const people = anna.page.locator("#looking li");
    await people.filter({ hasText: "Anna (you) board" }).waitFor();
    const ben = await openDemoWindow(browser, hub, "/records", "<b>Ben</b>");
    const other = people.filter({ hasText: "<b>Ben</b> records, (top)" });
    await other.waitFor();
    assert.equal(await people.count(), 2);
    await ben.page.close();
    await other.waitFor({ state: "detached" });
    assert.equal(await people.count(), 1);
    assert.deepEqual([...anna.complaints, ...ben.complaints], []);
  });
});

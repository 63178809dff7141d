import assert from "node:assert/strict";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import type { HubSettings } from "../../server/main.js";
import { browserMissing, openBrowser } from "../support/browser.js";
import { startHub, type TestHub } from "../support/hub.js";
import { run } from "../support/process.js";

/** A hub with the demo, over a folder with this many files. */
async function startDemo(t: TestContext, files: number, settings: HubSettings = {}): Promise<TestHub & { folder: string }> {
  const demoFolder = mkdtempSync(join(tmpdir(), "signalbox-demo-"));
  t.after(() => rmSync(demoFolder, { recursive: true }));
  for (let i = 0; i < files; i++) newFile(demoFolder, `file ${i} ä😀.txt`);
  return { ...(await startHub(t, { demo: true, demoFolder, ...settings })), folder: demoFolder };
}

/** @returns its path */
function newFile(folder: string, name: string): string {
  const path = join(folder, name);
  writeFileSync(path, `content of ${name}`);
  return path;
}

async function openDemo(browser: Browser, hub: TestHub): Promise<{ page: Page; complaints: string[] }> {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.goto(`${hub.ws.replace("ws", "http")}/`);
  await page.locator("#connection[data-state=ready]").waitFor();
  return { page, complaints };
}

/** The processes that report to this hub, by number. */
async function processesOf(hub: TestHub): Promise<string[]> {
  const { stdout } = await run("pgrep", ["-f", `tcp://127.0.0.1:${hub.tcpPort} `]);
  return stdout.split("\n").filter((line) => line !== "");
}

async function untilNoProcess(hub: TestHub): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    if ((await processesOf(hub)).length === 0) return;
  }
  assert.fail(`still there: ${await processesOf(hub)}`);
}

describe("the demo page in Chromium", { skip: browserMissing() }, () => {
  test("the button starts a real job, the bar reaches 100 %, and the result is there after a reload, too", async (t) => {
    const hub = await startDemo(t, 40);
    const { page, complaints } = await openDemo(await openBrowser(t), hub);
    // Behind the links to the other pages.
    for (let i = 0; i < 4; i++) await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    for (let i = 0; i < 2; i++) {
      await page.locator("#result-hash").waitFor();
      assert.equal(await page.locator("#hash [role=progressbar]").getAttribute("aria-valuenow"), "100");
      assert.equal(await page.locator("#hash [part=time]").textContent(), "Done");
      assert.equal(await page.locator("#result-files").textContent(), "40");
      assert.match((await page.locator("#result-hash").textContent()) ?? "", /^[0-9a-f]{64}$/);
      assert.equal(await page.locator("#start").isEnabled(), true);
      await page.reload();
    }
    assert.deepEqual(complaints, []);
  });

  test("a running job is there again after a reload, and Abort ends its process; then it can be started anew", async (t) => {
    const hub = await startDemo(t, 3_000);
    const { page, complaints } = await openDemo(await openBrowser(t), hub);
    await page.click("#start");
    await page.locator("#hash[state=running]").waitFor();
    await page.reload();
    await page.locator("#hash[state=running]").waitFor();
    assert.equal(await page.locator("#start").isDisabled(), true);
    assert.equal(await page.locator("#start-pack").isEnabled(), true);
    await page.click("#hash [part=abort]");
    await page.locator("#hash[state=aborted]").waitFor();
    await untilNoProcess(hub);
    await page.click("#start");
    await page.locator("#hash[state=running]").waitFor();
    assert.deepEqual(complaints, []);
  });

  test("two jobs side by side; the one that is a command and knows nothing of the hub is stopped, and runs to its end the next time", async (t) => {
    const hub = await startDemo(t, 5);
    // Takes up no room, and many seconds of packing.
    const large = newFile(hub.folder, "large");
    truncateSync(large, 50_000_000_000);
    const { page, complaints } = await openDemo(await openBrowser(t), hub);
    await page.click("#start-pack");
    await page.click("#start");
    for (const job of ["#pack", "#hash"]) await page.locator(`${job}[state=running]`).waitFor();
    await page.reload();
    await page.click("#pack [part=abort]");
    await page.locator("#pack[state=aborted]").waitFor();
    await page.locator("#start-pack:enabled").waitFor();
    rmSync(large);
    await page.click("#start-pack");
    await page.locator("#pack[state=done]").waitFor();
    assert.match(
      (await page.locator("#pack [part=message]").textContent()) ?? "",
      /^\d+\/\d+ Packed into \d+ KiB\.$|^Packed into \d+ KiB\.$/,
    );
    assert.deepEqual(complaints, []);
  });

  test("no process is left when the page is gone, or when the hub stops, even one that does not look up from its work", async (t) => {
    const hub = await startDemo(t, 0, { reloadGrace: 1 });
    // Takes up no room, and many seconds of hashing between two reports.
    truncateSync(newFile(hub.folder, "large"), 50_000_000_000);
    const browser = await openBrowser(t);
    for (const leave of [(page: Page) => page.close(), () => hub.stop()]) {
      const { page } = await openDemo(browser, hub);
      await page.click("#start");
      await page.locator("#hash").getByText("large").waitFor();
      assert.equal((await processesOf(hub)).length, 1);
      await leave(page);
      await untilNoProcess(hub);
    }
  });

  test("a second window shows the broadcasts of the first, as text and never as HTML", async (t) => {
    const hub = await startDemo(t, 1);
    const browser = await openBrowser(t);
    const first = await openDemo(browser, hub);
    const second = await openDemo(browser, hub);
    const nasty = '<img src=x onerror="document.title=`broken`"> ä😀';
    await first.page.fill("#text", nasty);
    await first.page.press("#text", "Enter");
    const item = second.page.locator("#news li");
    await item.waitFor();
    assert.ok((await item.textContent())?.endsWith(nasty));
    assert.equal(await second.page.locator("#news img").count(), 0);
    assert.equal(await second.page.title(), "signalbox demo");
    assert.equal(await first.page.locator("#news li").count(), 0, "the sender does not hear itself");
    assert.match((await first.page.locator("#sent").textContent()) ?? "", /went to 1 other page/);
    assert.deepEqual([...first.complaints, ...second.complaints], []);
  });

  test("a page whose hub goes says so, and is there again when the hub is", async (t) => {
    const hub = await startDemo(t, 1);
    const { page } = await openDemo(await openBrowser(t), hub);
    const uuid = await page.locator("#uuid").textContent();
    await hub.stop();
    await page.locator("#connection[data-state=closed]").waitFor();
    assert.equal(await page.locator("#start").isDisabled(), true);
    await startHub(t, { demo: true, listen: [`ws://127.0.0.1:${hub.wsPort}`] });
    await page.locator("#connection[data-state=ready]").waitFor();
    assert.notEqual(await page.locator("#uuid").textContent(), uuid);
  });
});

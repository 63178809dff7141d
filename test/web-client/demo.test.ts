import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { browserMissing, openBrowser } from "../support/browser.js";
import { startHub, type TestHub } from "../support/hub.js";

/** A hub with the demo, over a folder with this many files. */
async function startDemo(t: TestContext, files: number): Promise<TestHub> {
  const demoFolder = mkdtempSync(join(tmpdir(), "signalbox-demo-"));
  t.after(() => rmSync(demoFolder, { recursive: true }));
  for (let i = 0; i < files; i++) writeFileSync(join(demoFolder, `file ${i} ä😀.txt`), `content ${i}`);
  return startHub(t, { demo: true, demoFolder });
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

describe("the demo page in Chromium", { skip: browserMissing() }, () => {
  test("the button starts a real job and the bar reaches 100 %", async (t) => {
    const hub = await startDemo(t, 40);
    const { page, complaints } = await openDemo(await openBrowser(t), hub);
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.locator("#result-hash").waitFor();
    assert.equal(await page.locator("#percent").textContent(), "100 %");
    assert.equal(await page.locator("#bar").evaluate((bar) => (bar as unknown as { position: number }).position), 1);
    assert.equal(await page.locator("#result-files").textContent(), "40");
    assert.match((await page.locator("#result-hash").textContent()) ?? "", /^[0-9a-f]{64}$/);
    assert.deepEqual(complaints, []);
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

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Locator, Page } from "playwright-core";
import type { HubSettings } from "../../server/main.js";
import { browserMissing, openBrowser } from "../support/browser.js";
import { type DemoWindow, openDemoWindow, startDemoOf } from "../support/demo-page.js";
import type { TestHub } from "../support/hub.js";
import { LineClient } from "../support/line-client.js";

const FILES = ["a.txt", "b.txt", "c/d.txt", "node_modules/e.txt", "<img src=x onerror=alert(1)> ä😀.txt"];

interface Stage {
  readonly hub: TestHub;
  readonly anna: DemoWindow;
  readonly ben: DemoWindow;
}

/** Anna shows the records on top, which are hers then; Ben shows them after her. */
async function openTwo(t: TestContext, settings: HubSettings = {}): Promise<Stage> {
  const hub = await startDemoOf(t, FILES, settings);
  const browser = await openBrowser(t);
  const anna = await openDemoWindow(browser, hub, "/records", "Anna");
  await record(anna.page, "a.txt", "yours").waitFor();
  const ben = await openDemoWindow(browser, hub, "/records", "Ben");
  await record(ben.page, "a.txt", "held").waitFor();
  return { hub, anna, ben };
}

const record = (page: Page, path: string, state: string): Locator => page.locator(`[data-path="${path}"][data-state=${state}]`);

async function press(page: Page, name: string): Promise<void> {
  await page.getByRole("button", { name }).focus();
  await page.keyboard.press("Enter");
}

async function showFolder(page: Page, folder: string): Promise<void> {
  await page.locator("#folder:enabled").selectOption(folder);
}

/** A break of Chromium's own connection is a complaint of its own. */
const assertQuiet = (...windows: DemoWindow[]): void =>
  assert.deepEqual(
    windows.flatMap(({ complaints }) => complaints),
    [],
  );

describe("17 Locks on the page of records in Chromium", { skip: browserMissing(), timeout: 60_000 }, () => {
  test("[LOCK-1] one window claims, the other dims them and says whose they are; free they light up, and are taken when the page says so", async (t) => {
    const { anna, ben } = await openTwo(t);
    assert.equal(await anna.page.locator(".record").count(), 3, "those on top, without what is nobody's record");
    assert.match((await record(ben.page, "b.txt", "held").locator(".whose").textContent()) ?? "", /^Anna has it since \d/);
    assert.equal(await record(ben.page, "b.txt", "held").locator("button").isVisible(), false);
    await showFolder(anna.page, "c");
    await record(anna.page, "c/d.txt", "yours").waitFor();
    await record(ben.page, "a.txt", "free").waitFor();
    await press(ben.page, "3 are free: take them");
    await record(ben.page, "b.txt", "yours").waitFor();
    await showFolder(anna.page, "(top)");
    await record(anna.page, "a.txt", "held").getByText("Ben has it").waitFor();
    assertQuiet(anna, ben);
  });

  test("[LOCK-3] what is edited stays one's own in another folder, until it is done", async (t) => {
    const { anna, ben } = await openTwo(t);
    await press(anna.page, "Edit a.txt");
    await record(anna.page, "a.txt", "editing").waitFor();
    await showFolder(anna.page, "c");
    await record(ben.page, "b.txt", "free").waitFor();
    await record(ben.page, "a.txt", "held").waitFor();
    await anna.page.getByText("You are editing a.txt.").waitFor();
    await showFolder(anna.page, "(top)");
    await press(anna.page, "Done a.txt");
    await record(anna.page, "a.txt", "yours").waitFor();
    assertQuiet(anna, ben);
  });

  test("[LOCK-6] closing a window frees what it had; until the hub is sure the others see that it is reconnecting", async (t) => {
    // The grace of a broken connection would outlast the test.
    const { hub, anna, ben } = await openTwo(t, { reloadGrace: 300, grace: 60_000 });
    await press(anna.page, "Edit a.txt");
    await record(anna.page, "a.txt", "editing").waitFor();
    await ben.page.evaluate(`(() => {
      window.states = new Set();
      const row = document.querySelector('[data-path="a.txt"]');
      new MutationObserver(() => states.add(row.dataset.state)).observe(row, { attributes: true });
    })()`);
    await anna.page.close();
    await record(ben.page, "a.txt", "free").waitFor();
    assert.deepEqual(await ben.page.evaluate("[...states]"), ["reconnecting", "free"]);
    assert.equal(hub.log.of("peer.away")[0]?.why, "going-away");
    assertQuiet(ben);
  });

  test("[LOCK-6] a reload keeps what the page has, shown and edited; and then it can still be given back", async (t) => {
    const { anna, ben } = await openTwo(t);
    await press(anna.page, "Edit a.txt");
    await record(anna.page, "a.txt", "editing").waitFor();
    await showFolder(anna.page, "c");
    await record(ben.page, "b.txt", "free").waitFor();
    const since = await record(ben.page, "a.txt", "held").textContent();
    await anna.page.reload();
    await record(anna.page, "c/d.txt", "yours").waitFor();
    await anna.page.getByText("You are editing a.txt.").waitFor();
    await record(ben.page, "a.txt", "held").waitFor();
    assert.equal(await record(ben.page, "a.txt", "held").textContent(), since);
    await showFolder(anna.page, "(top)");
    await press(anna.page, "Done a.txt");
    await record(ben.page, "a.txt", "held").waitFor();
    await showFolder(anna.page, "c");
    await record(ben.page, "a.txt", "free").waitFor();
    assertQuiet(anna, ben);
  });

  test("[LOCK-9] what somebody takes away is said on the page, until its user has seen it", async (t) => {
    const { hub, anna, ben } = await openTwo(t);
    const line = await LineClient.open(t, hub.tcpPort);
    line.write("break files a.txt\n");
    assert.equal(await line.lines.next(), "next done");
    await anna.page.getByRole("alert").getByText("Taken from you: a.txt.").waitFor();
    for (const { page } of [anna, ben]) await record(page, "a.txt", "free").waitFor();
    await press(anna.page, "Close");
    await anna.page.getByRole("alert").waitFor({ state: "hidden" });
    assertQuiet(anna, ben);
  });

  test("whoever takes another name goes on with what was being edited", async (t) => {
    const { anna, ben } = await openTwo(t);
    await press(anna.page, "Edit a.txt");
    await record(anna.page, "a.txt", "editing").waitFor();
    await anna.page.fill("#name", "Eve");
    await anna.page.press("#name", "Enter");
    await record(ben.page, "a.txt", "held").getByText("Eve has it").waitFor();
    await anna.page.getByText("You are editing a.txt.").waitFor();
    assertQuiet(anna, ben);
  });

  test("while the hub is away nothing can be pressed; and what is taken moves the focus to the list", async (t) => {
    const { hub, anna, ben } = await openTwo(t);
    await showFolder(anna.page, "c");
    await press(ben.page, "3 are free: take them");
    assert.equal(await ben.page.evaluate("document.activeElement.id"), "records");
    await hub.stop();
    await ben.page.locator("#records[inert]").waitFor();
  });

  test("whoever takes another name is another page: what it had is free, and held under the new name when it shows it again", async (t) => {
    const { anna, ben } = await openTwo(t);
    await anna.page.fill("#name", "<b>Eve</b>");
    await anna.page.press("#name", "Enter");
    await record(ben.page, "a.txt", "held").getByText("<b>Eve</b> has it").waitFor();
    assertQuiet(anna, ben);
  });
});

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { BrowserContext, Page } from "playwright-core";
import { browserMissing, openBrowser, openWindow, servePage } from "../support/browser.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { startHub } from "../support/hub.js";

/**
 * A page that notes what happens and when. Chance is its own: the pauses grow without being waited for, until one is
 * long, and then nothing but what a test does can end it soon.
 */
const HTML = `<!doctype html><title>reconnect</title><script type="module">
  import { connect } from "HUB/signalbox.js";
  let chance = 0;
  Math.random = () => chance;
  let wake = () => {};
  window.events = [];
  const note = (type, retryIn) => {
    events.push({ type, at: performance.now(), retryIn });
    wake();
  };
  window.until = async (wanted) => {
    for (;;) {
      const found = events.find(wanted);
      if (found) return found;
      await new Promise((resolve) => { wake = resolve; });
    }
  };
  window.hub = await connect("WS/web");
  hub.addEventListener("close", ({ retryIn }) => {
    note("close", retryIn);
    if (events.length === 6) chance = 0.9;
  });
  for (const type of ["resumed", "fresh"]) hub.addEventListener(type, () => note(type));
  addEventListener("online", () => note("online"));
  document.addEventListener("visibilitychange", () => note(document.visibilityState));
  document.body.dataset.uuid = hub.uuid;
</script><body></body>`;

/** A pause that is long, ms. */
const LONG = 5_000;

interface Noted {
  readonly type: string;
  /** ms, by the page's clock. */
  readonly at: number;
  readonly retryIn?: number;
}

async function openPage(t: TestContext, context: BrowserContext): Promise<{ page: Page; proxy: FaultProxy }> {
  let html = "";
  const origin = await servePage(t, () => html);
  const hub = await startHub(t, { origins: [origin] });
  const proxy = await FaultProxy.start(t, hub.wsPort);
  html = HTML.replace("HUB", hub.ws.replace("ws", "http")).replace("WS", `ws://127.0.0.1:${proxy.port}`);
  const page = await context.newPage();
  await page.goto(`${origin}/`);
  await page.locator("body[data-uuid]").waitFor({ state: "attached" });
  return { page, proxy };
}

const until = (page: Page, wanted: string): Promise<Noted> => page.evaluate(`until(${wanted})`) as Promise<Noted>;
const untilLongPause = (page: Page): Promise<Noted> => until(page, `({ retryIn }) => retryIn > ${LONG}`);
const untilBack = (page: Page): Promise<Noted> => until(page, `({ type }) => type === "resumed" || type === "fresh"`);

/** What the page noted from the long pause on. */
async function sincePause(page: Page, pause: Noted): Promise<string[]> {
  const events = (await page.evaluate("events")) as Noted[];
  return events.filter(({ at }) => at >= pause.at).map(({ type }) => type);
}

function assertWellBefore(back: Noted, pause: Noted): void {
  const took = back.at - pause.at;
  assert.ok(took < Number(pause.retryIn) / 2, `back ${Math.round(took)} ms into a pause of ${pause.retryIn} ms`);
}

describe("15 Reconnecting in Chromium", { skip: browserMissing(), timeout: 60_000 }, () => {
  test("a page in a long pause connects at once when the network is back", async (t) => {
    const context = await (await openBrowser(t)).newContext();
    const { page, proxy } = await openPage(t, context);
    await context.setOffline(true);
    // Being offline, as Chromium emulates it, lets no connection begin, but ends none.
    proxy.breakAll();
    const pause = await untilLongPause(page);
    await context.setOffline(false);
    assertWellBefore(await untilBack(page), pause);
    assert.deepEqual(await sincePause(page, pause), ["close", "online", "resumed"]);
  });

  test("a page in a long pause connects at once when its tab is looked at again, and not when it is left", async (t) => {
    const context = await openWindow(t);
    const { page, proxy } = await openPage(t, context);
    proxy.goAway();
    const pause = await untilLongPause(page);
    const other = await context.newPage();
    await other.bringToFront();
    await until(page, `({ type }) => type === "hidden"`);
    proxy.comeBack();
    await page.bringToFront();
    assertWellBefore(await untilBack(page), pause);
    assert.deepEqual(await sincePause(page, pause), ["close", "hidden", "visible", "resumed"]);
  });
});

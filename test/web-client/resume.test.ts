import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { LaunchOptions, Page } from "playwright-core";
import type { HubClient } from "../../client/index.js";
import { connect } from "../../tcp-client/index.js";
import { browserMissing, openBrowser, servePage } from "../support/browser.js";
import { startHub, type TestHub } from "../support/hub.js";

/** A page that remembers over reloads what it was told, as a list in the tab's storage. */
const HTML = `<!doctype html><title>resume</title><script type="module">
  import { connect } from "HUB/signalbox.js";
  window.events = [];
  window.got = JSON.parse(sessionStorage.getItem("got") ?? "[]");
  addEventListener("pagehide", () => sessionStorage.setItem("got", JSON.stringify(window.got)));
  window.hub = await connect("WS/web");
  for (const type of ["resumed", "fresh"]) hub.addEventListener(type, ({ ready }) => events.push(type + " " + (ready.reason ?? "")));
  hub.addEventListener("feedback", ({ packet }) => got.push(packet.message));
  document.body.dataset.uuid = hub.uuid;
</script><body></body>`;

interface Stage {
  readonly hub: TestHub;
  readonly page: Page;
  readonly origin: string;
  readonly backend: HubClient;
}

async function setUp(t: TestContext, settings: { reloadGrace?: number; grace?: number } = {}, options?: LaunchOptions): Promise<Stage> {
  let html = "";
  const origin = await servePage(t, () => html);
  const hub = await startHub(t, { origins: [origin], ...settings });
  html = HTML.replace("HUB", hub.ws.replace("ws", "http")).replace("WS", hub.ws);
  const backend = await connect(`tcp://127.0.0.1:${hub.tcpPort}`);
  t.after(() => backend.close());
  const page = await (await openBrowser(t, options)).newPage();
  await page.goto(`${origin}/`);
  return { hub, page, origin, backend };
}

async function uuidOf(page: Page): Promise<string> {
  const body = page.locator("body[data-uuid]");
  await body.waitFor({ state: "attached" });
  return (await body.getAttribute("data-uuid")) ?? "";
}

const gotBy = (page: Page): Promise<unknown[]> => page.evaluate("window.got") as Promise<unknown[]>;

describe("14 Resume in Chromium", { skip: browserMissing(), timeout: 60_000 }, () => {
  test("[RES-9] a reload keeps the UUID, and the page gets what it missed, each once and in order", async (t) => {
    const { page, backend } = await setUp(t);
    const uuid = await uuidOf(page);
    let reporting = true;
    const taken: number[] = [];
    const statuses = new Set<string>();
    const reports = (async () => {
      for (let n = 0; reporting; n++) {
        // Faster than the page for as long as a reload may take, it would be more than a page may have waiting.
        const { status } = await backend.feedback(uuid, n, n % 500 === 499 ? { wait: "page" } : {});
        statuses.add(status);
        taken.push(n);
      }
    })();
    for (let i = 0; i < 3; i++) {
      await page.reload();
      const now = await uuidOf(page);
      assert.equal(now, uuid, `a new page: ${await page.evaluate("hub.ready.reason")}`);
    }
    reporting = false;
    await reports;
    await page.waitForFunction(`window.got.length >= ${taken.length}`);
    assert.deepEqual(await gotBy(page), taken);
    statuses.delete("delivered");
    assert.deepEqual([...statuses].sort(), ["held", "sent"]);
  });

  test("two clients of one page at one address keep each its own UUID over a reload, and each is told so", async (t) => {
    const { page, backend } = await setUp(t);
    await uuidOf(page);
    const openTwo = `(async () => {
      const { connect } = await import("HUB/signalbox.js");
      window.pair = [];
      window.told = [[], []];
      for (const n of [0, 1]) {
        const client = await connect("WS/web", { ident: "client " + n });
        client.addEventListener("resumed", () => told[n].push("resumed"));
        client.addEventListener("feedback", ({ packet }) => told[n].push(packet.message));
        window.pair.push(client);
      }
      return pair.map(({ uuid }) => uuid);
    })()`;
    const html = await page.content();
    const [, hub = ""] = /from "(http:[^"]+)\/signalbox.js"/.exec(html) ?? [];
    const script = openTwo.replace("HUB", hub).replace("WS", hub.replace("http", "ws"));
    const before = await page.evaluate(script);
    await page.reload();
    await uuidOf(page);
    assert.deepEqual(await page.evaluate(script), before);
    for (const n of [0, 1]) assert.equal((await backend.feedback({ ident: `client ${n}` }, `for ${n}`)).status, "sent");
    await page.waitForFunction("told.every((each) => each.length === 2)");
    assert.deepEqual(await page.evaluate("told"), [
      ["resumed", "for 0"],
      ["resumed", "for 1"],
    ]);
  });

  test("a duplicated tab is a new page and leaves the first alone", async (t) => {
    const { page, backend } = await setUp(t);
    const uuid = await uuidOf(page);
    // After a reload the first tab has left something behind once; a copy of its storage must not hold it any more.
    await page.reload();
    assert.equal(await uuidOf(page), uuid);
    const [second] = await Promise.all([page.waitForEvent("popup"), page.evaluate("window.open(location.href), 0")]);
    assert.notEqual(await uuidOf(second), uuid);
    assert.equal((await backend.feedback(uuid, "for the first", { wait: "page" })).status, "delivered");
    assert.deepEqual(await gotBy(page), ["for the first"]);
    assert.deepEqual(await gotBy(second), []);
    assert.deepEqual(await page.evaluate("window.hub.connected"), true);
  });

  test("a page that is left and returned to is the same page", async (t) => {
    const { page, origin, backend } = await setUp(t);
    const uuid = await uuidOf(page);
    await page.goto(`${origin}/elsewhere`);
    assert.notEqual(await uuidOf(page), uuid, "another page in the same tab is another page");
    const away = backend.feedback(uuid, "while away", { wait: "page" });
    await page.goBack();
    assert.equal((await away).status, "delivered");
    assert.equal(await uuidOf(page), uuid);
    assert.ok((await gotBy(page)).includes("while away"));
  });

  test("a page from the back-forward cache is the same page, gets what it missed, and leaves its secret nowhere", async (t) => {
    // Playwright turns that cache off.
    const { page, origin, backend } = await setUp(t, {}, { ignoreDefaultArgs: ["--disable-back-forward-cache"] });
    const uuid = await uuidOf(page);
    await page.evaluate("addEventListener('pageshow', ({ persisted }) => events.push('persisted ' + persisted)), 0");
    await page.goto(`${origin}/elsewhere`);
    assert.notEqual(await uuidOf(page), uuid);
    // Chromium keeps the frozen page's connection: only what the page's own code has seen shows that nothing is lost.
    assert.equal((await backend.feedback(uuid, "while away")).status, "sent");
    const away = backend.feedback(uuid, "while away too", { wait: "page" });
    // Playwright's `goBack` waits for a load, and there is none.
    await page.evaluate("setTimeout(() => history.back()), 0");
    assert.equal((await away).status, "delivered");
    assert.equal(await uuidOf(page), uuid);
    assert.deepEqual(await page.evaluate("window.events"), ["persisted true", "resumed "]);
    assert.deepEqual(await gotBy(page), ["while away", "while away too"]);
    // That of the page elsewhere is there, rightly: it may be returned to.
    const secrets = (await page.evaluate("Object.keys(sessionStorage).filter((key) => key.startsWith('signalbox'))")) as string[];
    assert.deepEqual(
      secrets.map((key) => key.split(" ").slice(2)),
      [["/elsewhere", "0"]],
    );
  });

  test("[RES-2] closing the tab frees the page after reloadGrace, and until then senders learn that it is held", {
    timeout: 20_000,
  }, async (t) => {
    // The grace of a broken connection would outlast the test.
    const { hub, page, backend } = await setUp(t, { reloadGrace: 500, grace: 60_000 });
    const uuid = await uuidOf(page);
    await page.close();
    const away = hub.log.untilLine("peer.away");
    assert.equal((await away).why, "going-away");
    assert.equal((await backend.feedback(uuid, "anybody there?")).status, "held");
    assert.equal((await backend.feedback(uuid, "really?", { wait: "page" })).status, "gone");
    assert.equal((await backend.feedback(uuid, "hello?")).status, "gone");
  });
});

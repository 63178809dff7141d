import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, type TestContext, test } from "node:test";
import type { Page } from "playwright-core";
import type { HubClient } from "../../client/index.js";
import type { HubSettings } from "../../server/main.js";
import { connect } from "../../tcp-client/index.js";
import { Random } from "../simulation/random.js";
import { browserMissing, openBrowser, servePage } from "../support/browser.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { startHub, type TestHub } from "../support/hub.js";
import { ROOT } from "../support/process.js";

/** A page that shows a job, notes when each value of its bar is drawn, and remembers its ends over reloads. */
const HTML = `<!doctype html><meta name="color-scheme" content="light dark"><title>jobs</title>
<p><a href="#">before</a></p><signalbox-job name="import"></signalbox-job>
<script type="module">
  import { connect } from "HUB/signalbox.js";
  import "HUB/signalbox-job.js";
  window.ends = JSON.parse(sessionStorage.getItem("ends") ?? "[]");
  window.before = Number(sessionStorage.getItem("shown"));
  addEventListener("pagehide", () => {
    sessionStorage.setItem("ends", JSON.stringify(ends));
    sessionStorage.setItem("shown", bar.getAttribute("aria-valuenow") ?? 0);
  });
  const element = document.querySelector("signalbox-job");
  const bar = element.shadowRoot.querySelector("[role=progressbar]");
  const live = element.shadowRoot.querySelector("[role=status]");
  window.drawn = [];
  window.announced = [];
  new MutationObserver(() => requestAnimationFrame(() => {
    drawn.push({ value: Number(bar.getAttribute("aria-valuenow")), at: performance.timeOrigin + performance.now() });
  })).observe(bar, { attributes: true, attributeFilter: ["aria-valuenow"] });
  new MutationObserver(() => announced.push(live.textContent)).observe(live, { childList: true });
  window.hub = await connect("WS/web");
  // The event \`ready\` is what \`connect\` has been waiting for.
  window.readyAt = performance.timeOrigin + performance.now();
  hub.job("import").addEventListener("end", ({ job }) => ends.push(job.state));
  element.hub = hub;
  document.body.dataset.uuid = hub.uuid;
</script><body></body>`;

interface Stage {
  readonly hub: TestHub;
  readonly proxy: FaultProxy;
  readonly page: Page;
  readonly backend: Reporter;
  readonly uuid: string;
}

/** A backend that speaks of the page's job `import`. */
class Reporter {
  readonly cancelled: Promise<unknown>;

  constructor(
    readonly client: HubClient,
    private readonly uuid: string,
  ) {
    this.cancelled = new Promise((resolve) => client.addEventListener("cancel", ({ packet }) => resolve(packet.job)));
  }

  /** @returns the status of the answer */
  async progress(fields: object = {}): Promise<string> {
    return (await this.client.send({ opcode: "progress", uuid: this.uuid, job: "import", ...fields })).status;
  }

  async end(state = "done", fields: object = {}): Promise<string> {
    return (await this.client.send({ opcode: "end", uuid: this.uuid, job: "import", state, ...fields })).status;
  }
}

async function setUp(t: TestContext, settings: HubSettings = {}, source = HTML): Promise<Stage> {
  let html = "";
  const origin = await servePage(t, () => html);
  // As often as there is something to be told: the page keeps up.
  const hub = await startHub(t, { origins: [origin], jobUpdates: 1_000, ...settings });
  const proxy = await FaultProxy.start(t, hub.wsPort);
  html = source.replaceAll("HUB", hub.ws.replace("ws", "http")).replace("WS", `ws://127.0.0.1:${proxy.port}`);
  const client = await connect(`tcp://127.0.0.1:${hub.tcpPort}`);
  t.after(() => client.close());
  const page = await (await openBrowser(t)).newPage();
  await page.goto(`${origin}/`);
  const uuid = await uuidOf(page);
  return { hub, proxy, page, backend: new Reporter(client, uuid), uuid };
}

async function uuidOf(page: Page): Promise<string> {
  const body = page.locator("body[data-uuid]");
  await body.waitFor({ state: "attached" });
  return (await body.getAttribute("data-uuid")) ?? "";
}

interface Attributes {
  getAttribute(name: string): string | null;
}

const part = (page: Page, name: string) => page.locator(`signalbox-job [part=${name}]`);
const untilState = (page: Page, state: string) => page.locator(`signalbox-job[state=${state}]`).waitFor();
const untilPercent = (page: Page, percent: number) =>
  page.locator(`signalbox-job [aria-valuenow="${percent}"]`).waitFor({ state: "attached" });
const textOf = async (page: Page, name: string): Promise<string> => (await part(page, name).textContent()) ?? "";

/** What the page noted. ms since 1970. */
interface Shown {
  readonly drawn: readonly { value: number; at: number }[];
  /** Percent at which the page before a reload was left. */
  readonly before: number;
  readonly readyAt: number;
}

/** ms from `ready` to a bar. */
const AT_ONCE = 200;

describe("16 Jobs in Chromium: a page that comes back", { skip: browserMissing(), timeout: 60_000 }, () => {
  test("[JOB-10] whenever it is reloaded, the bar is right within 200 ms, and Abort still reaches the backend", async (t) => {
    const { page, backend, uuid } = await setUp(t);
    const random = new Random(16);
    let at = 0;
    const report = async (n: number): Promise<void> => {
      for (let i = 0; i < n; i++) await backend.progress({ at: ++at, of: 1_000, title: "Import" });
    };
    for (let round = 0; round < 8; round++) {
      await report(1 + random.below(60));
      await Promise.all([page.reload({ waitUntil: "commit" }), report(random.below(60))]);
      const reported = performance.timeOrigin + performance.now();
      assert.equal(await uuidOf(page), uuid);
      const percent = Math.floor(at / 10);
      await page.waitForFunction(`drawn.some(({ value }) => value === ${percent})`);
      const { drawn, before, readyAt } = (await page.evaluate("({ drawn, before, readyAt })")) as Shown;
      assert.ok(
        drawn.every(({ value }) => value >= before),
        `drawn ${drawn[0]?.value} % where it had been ${before} %`,
      );
      // The hub knew it at `ready`, or came to know it after that.
      const took = (drawn.find(({ value }) => value === percent)?.at ?? Number.NaN) - Math.max(readyAt, reported);
      assert.ok(took < AT_ONCE, `${percent} % drawn after ${took} ms`);
      t.diagnostic(`${percent} % drawn after ${took.toFixed(1)} ms`);
    }
    await part(page, "abort").click();
    assert.equal(await backend.cancelled, "import");
    assert.equal(await backend.progress({ at }), "cancel");
    await backend.end("aborted");
    await untilState(page, "aborted");
  });

  test("[JOB-10] a job that ended while the page was away shows its result on return, and its end is raised once", async (t) => {
    const { page, proxy, hub, backend } = await setUp(t);
    await backend.progress({ at: 87, of: 100 });
    await untilPercent(page, 87);
    proxy.goAway();
    await hub.log.untilLine("peer.away");
    assert.equal(await backend.progress({ at: 99 }), "held");
    assert.equal(await backend.end("done", { message: "All rows are there.", result: { rows: 100 } }), "held");
    proxy.comeBack();
    await untilState(page, "done");
    assert.deepEqual(await page.evaluate("[hub.job('import').result, ends]"), [{ rows: 100 }, ["done"]]);
    for (let i = 0; i < 2; i++) {
      await page.reload();
      await untilState(page, "done");
      assert.deepEqual(await page.evaluate("[hub.job('import').result, ends]"), [{ rows: 100 }, ["done"]]);
    }
    assert.deepEqual([await textOf(page, "time"), await textOf(page, "message")], ["Done", "All rows are there."]);
  });

  test("[JOB-11] a job that ends while the page is being loaded anew has its end raised once", async (t) => {
    const { page, backend } = await setUp(t);
    await backend.progress({ at: 1, of: 2 });
    await Promise.all([page.reload({ waitUntil: "commit" }), backend.end("failed", { message: "No space left." })]);
    await untilState(page, "failed");
    await page.reload();
    await untilState(page, "failed");
    assert.deepEqual(await page.evaluate("ends"), ["failed"]);
  });

  test("[RES-11] a page whose hub was started anew shows the job as lost, with a sentence", async (t) => {
    const { page, hub, backend } = await setUp(t);
    await backend.progress({ at: 87, of: 100 });
    await untilPercent(page, 87);
    backend.client.close();
    await hub.stop();
    await startHub(t, { origins: ["*"], listen: [`ws://127.0.0.1:${hub.wsPort}`] });
    await untilState(page, "lost");
    assert.match(await textOf(page, "message"), /new to the hub \(restarted\)/);
    assert.deepEqual(await page.evaluate("ends"), ["lost"]);
  });
});

/** A process that reports once, says so, and then only is there. */
const PROCESS = `
  import { connect } from "./dist/tcp-client/index.js";
  const [url, uuid] = process.argv.slice(1);
  const hub = await connect(url);
  await hub.send({ opcode: "progress", uuid, job: "import", at: 87, of: 100, message: "Reading" });
  console.log("reported");
`;

describe("16 Jobs in Chromium: <signalbox-job>", { skip: browserMissing(), timeout: 60_000 }, () => {
  test("[JOB-6] a backend that is killed: the page says so within jobLostAfter and a second", async (t) => {
    const jobLostAfter = 500;
    const { page, hub, uuid } = await setUp(t, { jobLostAfter });
    const args = ["--input-type=module", "-e", PROCESS, `tcp://127.0.0.1:${hub.tcpPort}`, uuid];
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
    t.after(() => child.kill("SIGKILL"));
    await once(child.stdout, "data");
    await untilPercent(page, 87);
    const killed = performance.now();
    child.kill("SIGKILL");
    // When the hub says so: how long a browser under test takes to be looked at is another matter.
    await hub.log.untilLine("job.ended");
    const took = performance.now() - killed;
    await untilState(page, "lost");
    assert.ok(took < jobLostAfter + 1_000, `lost ${took} ms after the kill`);
    assert.deepEqual([await textOf(page, "time"), await textOf(page, "message")], ["Lost", "Its process is not there any more."]);
    assert.equal(await part(page, "abort").isVisible(), false);
  });

  test("Abort is pressed with the keyboard; the focus stays while it stops, and in the element at the end", async (t) => {
    const { page, backend } = await setUp(t);
    await backend.progress({ at: 1, of: 4, title: "Import" });
    await untilState(page, "running");
    await page.locator("a").focus();
    await page.keyboard.press("Tab");
    const button = page.getByRole("button", { name: "Abort", description: "Import" });
    const focused = () => page.evaluate("document.activeElement.shadowRoot?.activeElement?.textContent");
    assert.equal(await focused(), "Abort");
    await page.keyboard.press("Enter");
    assert.equal(await backend.cancelled, "import");
    await untilState(page, "stopping");
    assert.equal(await focused(), "Stopping …");
    assert.equal(await part(page, "abort").isDisabled(), true);
    assert.equal(await button.count(), 0);
    await backend.end("aborted");
    await untilState(page, "aborted");
    assert.equal(await page.evaluate("document.activeElement.localName"), "signalbox-job");
    assert.equal(await part(page, "abort").isVisible(), false);
  });

  test("a progress bar has a name and its values; where nobody knows how much there is it has none", async (t) => {
    const { page, backend } = await setUp(t);
    const values = () =>
      page
        .locator("[role=progressbar]")
        .evaluate((bar) => ["now", "min", "max", "text"].map((name) => (bar as unknown as Attributes).getAttribute(`aria-value${name}`)));
    await backend.progress({ at: 1_234, message: "Counting", title: "Import" });
    await page.getByRole("progressbar", { name: "Import" }).waitFor();
    await part(page, "percent").filter({ hasText: "1,234" }).waitFor();
    assert.deepEqual(await values(), [null, null, null, null]);
    await backend.progress({ at: 40, of: 80 });
    await untilPercent(page, 50);
    assert.deepEqual(await values(), ["50", "0", "100", "50 %"]);
    await backend.end("done");
    await untilState(page, "done");
    assert.deepEqual(await values(), ["100", "0", "100", "Done"]);
  });

  test("the live region says the start, every quarter and the end, and nothing else", async (t) => {
    const { page, backend } = await setUp(t);
    for (const at of [0, 10, 24, 25, 26, 49, 74, 75, 99, 100]) {
      await backend.progress({ at, of: 100, title: "Import", message: `Row ${at}` });
      await untilPercent(page, at);
    }
    await backend.end("failed", { message: "The last row is wrong." });
    await untilState(page, "failed");
    const expected = ["Import: started", "Import: 25 %", "Import: 74 %", "Import: 75 %", "Import: Failed. The last row is wrong."];
    assert.deepEqual(await page.evaluate("announced"), expected);
  });

  test("what a job says is text, never HTML, and stays on one line however long it is", async (t) => {
    const { page, backend } = await setUp(t);
    const nasty = '<img src=x onerror="document.title=`broken`"> ä😀';
    const message = nasty + " long".repeat(150);
    await backend.progress({ at: 1, of: 2, message, title: nasty });
    await untilPercent(page, 50);
    assert.deepEqual([await textOf(page, "message"), await textOf(page, "title")], [message, nasty]);
    assert.deepEqual([await page.locator("signalbox-job img").count(), await page.title()], [0, "jobs"]);
    const cut = await part(page, "message").evaluate((node) => {
      const line = node as unknown as { scrollWidth: number; clientWidth: number; getClientRects(): object[] };
      return [line.scrollWidth > line.clientWidth, line.getClientRects().length];
    });
    assert.deepEqual([cut, await page.evaluate("document.body.scrollWidth <= innerWidth")], [[true, 1], true]);
  });

  test("[JOB-8] it says that a job does not react, why an abort is refused; what cannot be stopped has no button", async (t) => {
    const { page, backend } = await setUp(t, { jobAnswerAfter: 50 });
    await backend.progress({ at: 1, of: 2 });
    await part(page, "abort").click();
    await page.getByText("It does not react.").waitFor();
    await backend.end("done");
    await untilState(page, "done");
    assert.equal(await textOf(page, "note"), "");
    const refusing =
      "document.querySelector('signalbox-job').job = Object.assign(new EventTarget(), " +
      "{ name: 'x', state: 'running', abort: async () => { throw new Error('Not yours.') } })";
    await page.evaluate(`${refusing}, 0`);
    await part(page, "abort").click();
    await page.getByText("Not aborted: Not yours.").waitFor();
    await page.evaluate(`${refusing.replace("name:", "cancellable: false, name:")}, 0`);
    assert.equal(await part(page, "abort").isVisible(), false);
  });

  test("about how long it takes is said in the unit that is known", async (t) => {
    const { page } = await setUp(t);
    const words = (await page.evaluate(`(() => {
      const element = document.querySelector("signalbox-job");
      return [undefined, 300, 20_000, 89_000, 100_000, 180_000, 5_000_000, 6_000_000, 200_000_000].map((left) => {
        element.job = Object.assign(new EventTarget(), { name: "x", state: "running", left });
        return element.shadowRoot.querySelector("[part=time]").textContent;
      });
    })()`)) as string[];
    const about = ["1 s", "20 s", "89 s", "2 min", "3 min", "83 min", "2 h", "2 days"].map((text) => `about ${text} left`);
    assert.deepEqual(words, ["", ...about]);
  });

  test("it follows the attribute `name`, and takes what was set before its module came", async (t) => {
    const late = HTML.replace('import "HUB/signalbox-job.js";', "").replace(/const bar.*childList: true \}\);/s, "const bar = element;");
    const { page, backend } = await setUp(
      t,
      {},
      late.replace("element.hub = hub;", 'element.hub = hub; await import("HUB/signalbox-job.js");'),
    );
    await backend.progress({ at: 1, of: 2 });
    await untilPercent(page, 50);
    await backend.progress({ job: "other", at: 3, of: 4 });
    await page.evaluate("document.querySelector('signalbox-job').setAttribute('name', 'other')");
    await untilPercent(page, 75);
    // Moved to another place it goes on.
    await page.evaluate("document.body.prepend(document.querySelector('signalbox-job'))");
    await backend.progress({ job: "other", at: 4 });
    await untilPercent(page, 100);
  });

  test("it follows dark, forced colours, reduced motion, and the page's own accent", async (t) => {
    const { page, backend } = await setUp(t);
    const fill = (property: string) =>
      page.evaluate(`getComputedStyle(document.querySelector("signalbox-job").shadowRoot.querySelector("[part=fill]")).${property}`);
    await backend.progress({ message: "Nobody knows how much" });
    await untilState(page, "running");
    await page.emulateMedia({ colorScheme: "light" });
    const light = await fill("backgroundColor");
    assert.equal(await fill("animationName"), "busy");
    await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
    assert.notEqual(await fill("backgroundColor"), light);
    assert.equal(await fill("animationName"), "none");
    await page.evaluate("document.body.style.setProperty('--signalbox-accent', 'rgb(1, 2, 3)')");
    await page.evaluate("document.body.append(document.querySelector('signalbox-job'))");
    assert.equal(await fill("backgroundColor"), "rgb(1, 2, 3)");
    await page.emulateMedia({ forcedColors: "active" });
    assert.notEqual(await fill("backgroundColor"), "rgb(1, 2, 3)");
  });
});

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { App } from "../../server/app.js";
import type { HubSettings } from "../../server/main.js";
import { browserMissing, openBrowser } from "../support/browser.js";
import { startHub, type TestHub } from "../support/hub.js";
import { Page } from "../support/page.js";
import { commandMissing, ROOT, run } from "../support/process.js";

const STEPS = [1, 2, 3];
const NOBODY = "00000000-0000-4000-8000-000000000000";
const FROM_JSON = STEPS.map((step) => ({ percent: Math.floor((step * 100) / 3), text: `Schritt ${step} – ä😀` }));

/** The scripts and what a page gets from them. */
const REPORTS = [
  { needs: "bash", script: "examples/report.sh", expected: STEPS.map((step) => `Step ${step} of 3 – ä😀`) },
  { needs: "python3", script: "examples/report.py", expected: FROM_JSON },
  { needs: "php", script: "examples/report.php", expected: FROM_JSON },
] as const;

/** A port of this host where nobody listens. */
const NO_PORT = "1";

/** A page whose connection broke, and which may return. */
async function heldPage(t: TestContext, hub: TestHub): Promise<Page> {
  const page = await Page.open(t, `${hub.ws}/web`, {});
  page.socket.terminate();
  await hub.log.untilLine("peer.away");
  return page;
}

describe("examples: backends without a library", () => {
  for (const { needs, script, expected } of REPORTS) {
    describe(script, { skip: commandMissing(needs) }, () => {
      test("reports three steps to the page", async (t) => {
        const hub = await startHub(t);
        const page = await Page.open(t, `${hub.ws}/web`);
        const { code, stderr } = await run(needs, [script, page.uuid, "127.0.0.1", String(hub.tcpPort)]);
        assert.equal(code, 0, stderr);
        for (const message of expected) assert.deepEqual((await page.packets.next()).message, message);
        const others = hub.log.of("peer.closed").filter(({ kind }) => kind === "backend");
        assert.deepEqual(
          others.map(({ why }) => why),
          ["quit"],
        );
      });

      test("ends with 1 and says so on standard error: the page has gone, there is no hub, no UUID was given", async (t) => {
        const hub = await startHub(t);
        const gone = await run(needs, [script, NOBODY, "127.0.0.1", String(hub.tcpPort)]);
        assert.deepEqual([gone.code, gone.stdout], [1, ""]);
        assert.match(gone.stderr, /gone/);
        const absent = await run(needs, [script, NOBODY, "127.0.0.1", NO_PORT]);
        assert.deepEqual([absent.code, absent.stdout], [1, ""]);
        assert.match(absent.stderr, /refused/);
        const lost = await run(needs, [script]);
        assert.ok(lost.code !== 0);
        assert.match(lost.stderr, /usage: .*UUID/);
      });

      test("[RES-3] goes on for a page that is away and may return", async (t) => {
        const hub = await startHub(t);
        const page = await heldPage(t, hub);
        const { code, stderr } = await run(needs, [script, page.uuid, "127.0.0.1", String(hub.tcpPort)]);
        assert.deepEqual([code, stderr], [0, ""]);
      });
    });
  }

  describe("examples/report-nc.sh", { skip: commandMissing("nc") }, () => {
    const netcat = (hub: TestHub, uuid: string, text = "Prices updated") =>
      run("bash", ["examples/report-nc.sh", uuid, text, "127.0.0.1", String(hub.tcpPort)]);

    test("sends one line and ends with 0; a line end in the text is no second line", async (t) => {
      const hub = await startHub(t);
      const page = await Page.open(t, `${hub.ws}/web`);
      assert.deepEqual(await netcat(hub, page.uuid), { code: 0, stdout: "next sent 1\nnext done\n", stderr: "" });
      assert.equal((await page.packets.next()).message, "Prices updated");
      await netcat(hub, page.uuid, "one\nbroadcast two");
      assert.equal((await page.packets.next()).message, "one broadcast two");
    });

    test("ends with 0 where the page is away and may return, with 3 where it has gone", async (t) => {
      const hub = await startHub(t);
      assert.equal((await netcat(hub, (await heldPage(t, hub)).uuid)).code, 0);
      assert.equal((await netcat(hub, NOBODY)).code, 3);
    });

    test("ends with 1 and says so where there is no hub, and how it is used", async () => {
      const absent = await run("bash", ["examples/report-nc.sh", NOBODY, "x", "127.0.0.1", NO_PORT]);
      assert.deepEqual(absent, { code: 1, stdout: "", stderr: `No hub at 127.0.0.1:${NO_PORT}.\n` });
      for (const args of [[], [NOBODY]]) {
        const { code, stderr } = await run("bash", ["examples/report-nc.sh", ...args]);
        assert.ok(code !== 0);
        assert.match(stderr, /usage: report-nc\.sh UUID TEXT/);
      }
    });
  });

  test("examples/own-page/job.sh ends with 1 and the hub's answer where the page has gone", async (t) => {
    const hub = await startHub(t);
    const { code, stderr } = await run("bash", ["examples/own-page/job.sh", NOBODY, String(hub.tcpPort)], { JOB_STEP: "0" });
    assert.equal(code, 1);
    assert.match(stderr, /"status":"gone"/);
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

/** The page of examples/own-page in Chromium, on a server of its own, and what its scripts complain of. */
async function openOwnPage(t: TestContext, settings: HubSettings = {}) {
  let html = "";
  const origin = await servePage(t, () => html);
  const hub = await startHub(t, { origins: [origin], ...settings });
  html = readFileSync(join(ROOT, "examples/own-page/index.html"), "utf8").replaceAll("127.0.0.1:8096", `127.0.0.1:${hub.wsPort}`);
  const page = await (await openBrowser(t)).newPage();
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(`${origin}/`);
  return { hub, page, errors };
}

async function openReadyPage(t: TestContext) {
  const opened = await openOwnPage(t);
  await opened.page.locator("#start:enabled").waitFor();
  return { ...opened, uuid: (await opened.page.locator("#uuid").textContent()) ?? "" };
}

/** How each script of the folder is run, and the text it leaves on the page. */
const RUN: Readonly<Record<string, { needs: string; words?: readonly string[]; text: string; percent?: string }>> = {
  "report.sh": { needs: "bash", text: "Step 3 of 3 – ä😀" },
  "report.py": { needs: "python3", text: "Schritt 3 – ä😀", percent: "100" },
  "report.php": { needs: "php", text: "Schritt 3 – ä😀", percent: "100" },
  "report-nc.sh": { needs: "bash", words: ["Prices updated"], text: "Prices updated" },
};

describe("examples: the demo's job", { skip: browserMissing() }, () => {
  test("examples/hash-folder that fails is told to the page, without paths, and the button works again", async (t) => {
    const hub = await startHub(t, { demo: true, demoFolder: join(ROOT, "no-such-folder") });
    const page = await (await openBrowser(t)).newPage();
    await page.goto(`${hub.ws.replace("ws", "http")}/`);
    await page.locator("#start:enabled").click();
    await page.getByText("The folder cannot be read: ENOENT.", { exact: true }).waitFor();
    await page.getByText("The job failed (exit code 1). The hub's log says why.").waitFor();
    assert.ok(!(await page.content()).includes("no-such-folder"));
    await page.locator("#start:enabled").waitFor();
    assert.match(String((await hub.log.untilLine("demo.failed")).complaint), /no-such-folder/);
  });
});

describe("examples: what `signalbox run` makes a job of", { skip: commandMissing("tar") || commandMissing("bash") }, () => {
  test("examples/pack-folder.sh packs a folder and prints how far it is, N/M in front of each file", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "signalbox-pack-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const names = ["one", "two ä😀", "three\"'$x"];
    mkdirSync(join(folder, "in"));
    for (const name of names) writeFileSync(join(folder, "in", name), name);
    const archive = join(folder, "out.tar.gz");
    const { code, stdout, stderr } = await run("bash", ["examples/pack-folder.sh", join(folder, "in"), archive]);
    assert.deepEqual([code, stderr], [0, ""]);
    const lines = stdout.trimEnd().split("\n");
    assert.deepEqual(
      lines.slice(0, 3).map((line) => line.slice(0, 4)),
      ["1/3 ", "2/3 ", "3/3 "],
    );
    assert.match(lines[3] ?? "", /^3\/3 Packed into \d+ KiB\.$/);
    assert.equal((await run("tar", ["-tzf", archive])).stdout.trimEnd().split("\n").length, 3);
    assert.notEqual((await run("bash", ["examples/pack-folder.sh", join(folder, "none"), archive])).code, 0);
  });
});

/** The indented block that follows this text in the README. */
function readmeBlock(after: string): string[] {
  const lines = readFileSync(join(ROOT, "README.md"), "utf8").split(after)[1]?.split("\n").slice(1) ?? [];
  const end = lines.findIndex((line) => /^\S/.test(line));
  return lines.slice(0, end).filter((line) => line.trim() !== "");
}

test("the README shows examples/own-page and examples/orders.js as they are", () => {
  // The page is shown without its button, hence one line of its own; behind the configuration stands the command.
  for (const [path, linesOfItsOwn] of [
    ["examples/own-page/index.html", 1],
    ["examples/own-page/signalbox.config.js", 1],
    ["examples/orders.js", 0],
  ] as const) {
    const file = new Set(readFileSync(join(ROOT, path), "utf8").split("\n"));
    const shown = readmeBlock(`\`${path}\``);
    const others = shown.filter((line) => !file.has(line.slice(4)));
    assert.ok(shown.length >= 3, `${path} is not shown`);
    assert.equal(others.length, linesOfItsOwn, others.join("\n"));
  }
});

describe("examples: one's own page on one's own server", { skip: browserMissing() }, () => {
  test("examples/own-page shows the job that was given its UUID, from another origin that is listed", async (t) => {
    const { hub, page, errors, uuid } = await openReadyPage(t);
    const { code, stderr } = await run("bash", ["examples/own-page/job.sh", uuid, String(hub.tcpPort)], { JOB_STEP: "0" });
    assert.equal(code, 0, stderr);
    await page.getByText("Finished").waitFor();
    assert.equal(await page.locator("#bar").getAttribute("value"), "100");
    assert.deepEqual(errors, []);
  });

  for (const script of readdirSync(join(ROOT, "examples")).filter((name) => name.startsWith("report"))) {
    const { needs = "", words = [], text = "", percent = "0" } = RUN[script] ?? {};
    const skip = commandMissing(script === "report-nc.sh" ? "nc" : needs);
    test(`examples/own-page shows what examples/${script} says`, { skip }, async (t) => {
      const { hub, page, errors, uuid } = await openReadyPage(t);
      const { code, stderr } = await run(needs, [`examples/${script}`, uuid, ...words, "127.0.0.1", String(hub.tcpPort)]);
      assert.equal(code, 0, stderr);
      await page.getByText(text, { exact: true }).waitFor();
      assert.equal(await page.locator("#bar").getAttribute("value"), percent);
      assert.deepEqual(errors, []);
    });
  }

  test("examples/own-page shows what `signalbox send` says", async (t) => {
    const { hub, page, errors, uuid } = await openReadyPage(t);
    const words = ["send", "--hub", `tcp://127.0.0.1:${hub.tcpPort}`, "feedback", uuid, "half", "way"];
    assert.equal((await run("node", ["dist/bin/signalbox.js", ...words])).code, 0);
    await page.getByText("half way", { exact: true }).waitFor();
    assert.deepEqual(errors, []);
  });

  test("examples/own-page keeps its UUID over a reload, and shows the new one of a hub that was started anew", async (t) => {
    const { hub, page, uuid } = await openReadyPage(t);
    await page.reload();
    await page.getByText(uuid).waitFor();
    await hub.stop();
    await startHub(t, { listen: [`ws://127.0.0.1:${hub.wsPort}`], origins: ["*"] });
    await page.waitForFunction(`!["…", "${uuid}"].includes(document.getElementById("uuid").textContent)`);
  });

  test("examples/own-page says that it was not let in, or that its button starts nothing", async (t) => {
    const stranger = await openOwnPage(t, { origins: [] });
    await stranger.page.getByText("No hub: ").waitFor();
    assert.deepEqual(stranger.errors, []);
    const { page, errors } = await openReadyPage(t);
    await page.click("#start");
    await page.getByText("Not started (status 404)").waitFor();
    assert.deepEqual(errors, []);
  });
});

describe("examples: a backend that keeps values", () => {
  test("examples/machine-load.ts sets `machine/…` until a signal ends it, and then the values are gone", async (t) => {
    const hub = await startHub(t);
    const page = await Page.open(t, `${hub.ws}/web`, {});
    assert.equal((await page.ask({ opcode: "watch", keys: ["machine/*"] })).status, "done");
    const backend = spawn(process.execPath, ["dist/examples/machine-load.js", `tcp://127.0.0.1:${hub.tcpPort}`], { cwd: ROOT });
    t.after(() => backend.kill("SIGKILL"));
    const ended = once(backend, "exit");
    const values = new Map<unknown, unknown>();
    while (values.size < 4) {
      const { key, value, by } = await page.packets.next();
      assert.equal(by, "machine-load");
      values.set(key, value);
    }
    assert.deepEqual([...values.keys()].sort(), ["machine/cpu", "machine/load", "machine/memory", "machine/uptime"]);
    const { used, total } = values.get("machine/memory") as { used: number; total: number };
    assert.ok(used > 0 && used < total);
    backend.kill();
    assert.deepEqual(await ended, [0, null]);
    while (values.size > 0) {
      const { key, deleted } = await page.packets.next();
      if (deleted) values.delete(key);
    }
  });

  test("examples/machine-load.ts ends with its hub", async (t) => {
    const hub = await startHub(t);
    const backend = spawn(process.execPath, ["dist/examples/machine-load.js", `tcp://127.0.0.1:${hub.tcpPort}`], { cwd: ROOT });
    t.after(() => backend.kill("SIGKILL"));
    const ended = once(backend, "exit");
    await hub.log.untilLine("peer.opened");
    await hub.stop();
    assert.deepEqual(await ended, [0, null]);
  });
});

describe("examples: a backend that saves only what is still locked", { skip: commandMissing("php") }, () => {
  const save = "examples/save.php";

  test("[LOCK-8] save.php saves with the holder's fence and not with an older one", async (t) => {
    const hub = await startHub(t);
    const folder = mkdtempSync(join(tmpdir(), "signalbox-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "record.txt");
    const page = await Page.open(t, `${hub.ws}/web`, { ident: "Anna" });
    const lock = async (): Promise<string> => {
      const { result } = await page.ask({ opcode: "lock", space: "books", ids: ["ä 1"] });
      return String((result as { mine: Record<string, number> }).mine["ä 1"]);
    };
    const call = (fence: string, text: string) => run("php", [save, "books", "ä 1", fence, file, text, "127.0.0.1", String(hub.tcpPort)]);
    const first = await lock();
    assert.deepEqual(await call(first, "one"), { code: 0, stdout: "", stderr: "" });
    await page.ask({ opcode: "unlock", space: "books", ids: ["ä 1"] });
    const second = await lock();
    const late = await call(first, "late");
    assert.deepEqual([late.code, late.stderr], [4, "Not saved: held by Anna\n"]);
    assert.equal((await call(second, "two")).code, 0);
    assert.equal(readFileSync(file, "utf8"), "two");
  });
});

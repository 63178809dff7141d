import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, type TestContext, test } from "node:test";
import { forwardAuth } from "../../server/main.js";
import { browserMissing, openBrowser } from "../support/browser.js";
import { startHub, type TestHub } from "../support/hub.js";
import { commandMissing, ROOT } from "../support/process.js";

const FOLDER = "examples/with-login";

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** PHP's own server over the example, its sessions beside it, with the hub's port in the place of the usual one. @returns its origin */
async function servePhp(t: TestContext, hubPort: () => number): Promise<{ origin: string; start(): Promise<void> }> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "signalbox-login-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const start = async (): Promise<void> => {
    cpSync(join(ROOT, FOLDER), folder, { recursive: true });
    const page = join(folder, "index.php");
    writeFileSync(page, readFileSync(page, "utf8").replaceAll("127.0.0.1:8096", `127.0.0.1:${hubPort()}`));
    const server = spawn("php", ["-S", `127.0.0.1:${port}`, "-t", folder, "-d", `session.save_path=${folder}`], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    t.after(() => server.kill());
    for await (const line of createInterface(server.stderr)) if (line.includes("started")) break;
    server.stderr.resume();
  };
  return { origin: `http://127.0.0.1:${port}`, start };
}

async function open(t: TestContext): Promise<{ hub: TestHub; origin: string }> {
  let hub: TestHub | undefined;
  const php = await servePhp(t, () => hub?.wsPort ?? 0);
  hub = await startHub(t, {
    origins: [php.origin],
    authenticate: [forwardAuth({ url: `${php.origin}/whoami.php`, cacheFor: 0, recheck: 6_000 })],
    allow: { broadcast: ["backend", "role:editor"] },
  });
  await php.start();
  return { hub, origin: php.origin };
}

describe("examples: an application with a login of its own", { skip: browserMissing() || commandMissing("php") }, () => {
  test("examples/with-login: the hub knows who its page is, what it may say, and that it has logged out", async (t) => {
    const { hub, origin } = await open(t);
    const browser = await openBrowser(t);
    const logIn = async (name: string, editor: boolean) => {
      const page = await (await browser.newContext()).newPage();
      await page.goto(origin);
      await page.getByLabel("Your name").fill(name);
      if (editor) await page.getByLabel("editor").check();
      await page.getByRole("button", { name: "Log in" }).click();
      return page;
    };
    const anna = await logIn("Anna", true);
    await anna.getByText("you are Anna, editor.").waitFor();
    const ben = await logIn("Ben <b>", false);
    await ben.getByText("you are Ben <b>.").waitFor();
    await anna.getByRole("button", { name: "Tell all pages" }).click();
    await anna.getByText("Told 1 other page.").waitFor();
    await ben.getByText("Anna says hello.").waitFor();
    await ben.getByRole("button", { name: "Tell all pages" }).click();
    await ben.getByText("Expected `broadcast` on `/web` from backend or role:editor").waitFor();

    // In another tab of the same browser: the page that stays open is found out by itself.
    const tab = await anna.context().newPage();
    await tab.goto(origin);
    await tab.getByRole("button", { name: "Log out" }).click();
    await anna.getByText("log in again.").waitFor();
    const [left] = hub.log.of("peer.closed").filter(({ ident }) => ident === "anna");
    assert.equal(left?.why, "expired");
  });
});

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { TestContext } from "node:test";
import { type Browser, type BrowserContext, chromium, type LaunchOptions } from "playwright-core";

const CHROMIUM = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";

/** Why a browser test cannot run here, or false. Where `CI_REQUIRE` names the browser, a missing one is a failure and no skip. */
export function browserMissing(): string | false {
  if (existsSync(CHROMIUM)) return false;
  if (process.env.CI_REQUIRE?.includes("browser")) throw new Error(`CI_REQUIRE=browser, but there is no ${CHROMIUM}`);
  return `no ${CHROMIUM}: install Debian's chromium, or set CHROMIUM_PATH`;
}

const QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];

/** A real Chromium, closed when the test ends. */
export async function openBrowser(t: TestContext, options: LaunchOptions = {}): Promise<Browser> {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: QUIET, ...options });
  t.after(() => browser.close());
  return browser;
}

/** A Chromium in which the tab in front hides the others, as for a person: one that Playwright starts shows all its pages as visible. */
export async function openWindow(t: TestContext): Promise<BrowserContext> {
  const profile = mkdtempSync(join(tmpdir(), "signalbox-chromium-"));
  const child = spawn(CHROMIUM, [...QUIET, "--headless", "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  // Not `exit`: its helpers have its stderr too, and write to the profile until they end.
  const ended = once(child, "close");
  t.after(async () => {
    child.kill();
    await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
  });
  const browser = await chromium.connectOverCDP(await addressOf(child.stderr), { noDefaults: true });
  return browser.contexts()[0] as BrowserContext;
}

async function addressOf(stderr: Readable): Promise<string> {
  let text = "";
  for await (const bytes of stderr.iterator({ destroyOnReturn: false })) {
    text += bytes;
    const address = /DevTools listening on (ws:\S+)/.exec(text)?.[1];
    if (address === undefined) continue;
    // Chromium stops where nobody reads what it says.
    setImmediate(() => stderr.resume());
    return address;
  }
  throw new Error(`Chromium did not start: ${text}`);
}

/** Serves one page under every path, from an origin that is not the hub's. @returns the origin */
export async function servePage(t: TestContext, html: () => string): Promise<string> {
  const server = createServer((_request, response) => response.setHeader("content-type", "text/html").end(html()));
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

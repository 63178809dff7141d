import { existsSync } from "node:fs";
import type { TestContext } from "node:test";
import { type Browser, chromium } from "playwright-core";

const CHROMIUM = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";

/** Why a browser test cannot run here, or false. Where `CI_REQUIRE` names the browser, a missing one is a failure and no skip. */
export function browserMissing(): string | false {
  if (existsSync(CHROMIUM)) return false;
  if (process.env.CI_REQUIRE?.includes("browser")) throw new Error(`CI_REQUIRE=browser, but there is no ${CHROMIUM}`);
  return `no ${CHROMIUM}: install Debian's chromium, or set CHROMIUM_PATH`;
}

/** A real Chromium, closed when the test ends. */
export async function openBrowser(t: TestContext): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
  });
  t.after(() => browser.close());
  return browser;
}

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import type { Browser, Page } from "playwright-core";
import type { HubSettings } from "../../server/main.js";
import { startHub, type TestHub } from "./hub.js";

/** A hub with the demo over a folder with these files, each of which holds its own path. */
export async function startDemoOf(t: TestContext, paths: readonly string[], settings: HubSettings = {}): Promise<TestHub> {
  const demoFolder = mkdtempSync(join(tmpdir(), "signalbox-demo-"));
  t.after(() => rmSync(demoFolder, { recursive: true }));
  for (const path of paths) {
    mkdirSync(join(demoFolder, dirname(path)), { recursive: true });
    writeFileSync(join(demoFolder, path), path);
  }
  return startHub(t, { demo: true, demoFolder, ...settings });
}

/** A window of its own, with nothing left from others. */
export interface DemoWindow {
  readonly page: Page;
  /** What its scripts complain of. */
  readonly complaints: readonly string[];
}

/** @param name of its user, as if it had been typed in before */
export async function openDemoWindow(browser: Browser, hub: TestHub, path: string, name: string): Promise<DemoWindow> {
  const page = await (await browser.newContext()).newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.addInitScript(
    `sessionStorage.getItem("signalbox demo name") || sessionStorage.setItem("signalbox demo name", ${JSON.stringify(name)})`,
  );
  await page.goto(`${hub.ws.replace("ws", "http")}${path}`);
  await page.locator("#connection[data-state=ready]").waitFor();
  return { page, complaints };
}

import type { HubClient, Snapshot } from "../client/index.js";

/** As much of a browser's window as is used; there is none outside of one. */
const page = globalThis as typeof globalThis & { sessionStorage?: Storage; document?: Document };

/** Only the same page takes itself up again: another one in the same tab would not know what its messages mean. */
const keyOf = (url: string): string => `signalbox ${url} ${page.location?.pathname}${page.location?.search}`;

/**
 * What this tab's page left behind when it was reloaded. Taken out at once: a duplicated tab gets a copy of the storage,
 * and must not find in it what belongs to the page that is still there.
 */
export function takeLeftBehind(url: string): Snapshot | undefined {
  try {
    const text = page.sessionStorage?.getItem(keyOf(url));
    page.sessionStorage?.removeItem(keyOf(url));
    return text ? (JSON.parse(text) as Snapshot) : undefined;
  } catch {
    return undefined; // No storage, by the user's choice: a reload is a new page then.
  }
}

/** Follows the page: leaves behind what takes it up again, and reconnects at once when that can succeed. */
export function followPage(client: HubClient, url: string): void {
  if (page.document === undefined) return;
  page.addEventListener("pagehide", () => leaveBehind(client, url));
  page.addEventListener("pageshow", ({ persisted }) => {
    // Back from the browser's cache, with everything as it was: what was left behind is not needed.
    if (persisted) takeLeftBehind(url);
    if (persisted) client.retryNow();
  });
  page.addEventListener("online", () => client.retryNow());
  page.document.addEventListener("visibilitychange", () => {
    if (!page.document?.hidden) client.retryNow();
  });
}

function leaveBehind(client: HubClient, url: string): void {
  try {
    if (client.snapshot) page.sessionStorage?.setItem(keyOf(url), JSON.stringify(client.snapshot));
  } catch {
    // Full, or not allowed: the same.
  }
}

import type { HubClient } from "../client/index.js";
import type { PageSnapshot } from "./page-client.js";

/** As much of a browser's window as is used; there is none outside of one. */
const page = globalThis as typeof globalThis & { sessionStorage?: Storage; document?: Document };

/** Clients that this page has opened, by address: after a reload it opens them in the same order. */
const opened = new Map<string, number>();

/**
 * Where a client of this page finds what it left behind. Only the same page takes itself up again: another one in the same tab would
 * not know what its messages mean, and neither would another client of the page.
 * @param url the hub's address
 */
export function placeOf(url: string): string {
  const number = opened.get(url) ?? 0;
  opened.set(url, number + 1);
  return `signalbox ${url} ${page.location?.pathname}${page.location?.search} ${number}`;
}

/**
 * What this tab's page left behind when it was reloaded. Taken out at once: a duplicated tab gets a copy of the storage,
 * and must not find in it what belongs to the page that is still there.
 */
export function takeLeftBehind(place: string): PageSnapshot | undefined {
  try {
    const text = page.sessionStorage?.getItem(place);
    page.sessionStorage?.removeItem(place);
    return text ? (JSON.parse(text) as PageSnapshot) : undefined;
  } catch {
    return undefined; // No storage, by the user's choice: a reload is a new page then.
  }
}

/** Follows the page: leaves behind what takes it up again, and reconnects at once when that can succeed. */
export function followPage(client: HubClient, place: string): void {
  if (page.document === undefined) return;
  const over = new AbortController();
  const { signal } = over;
  client.addEventListener("close", ({ retryIn }) => {
    if (retryIn === undefined) over.abort();
  });
  page.addEventListener("pagehide", () => leaveBehind(client, place), { signal });
  const onShow = ({ persisted }: PageTransitionEvent): void => {
    if (!persisted) return;
    // Back from the browser's cache, with everything as it was: what was left behind is not needed.
    takeLeftBehind(place);
    client.retryNow();
  };
  const onLook = (): void => {
    if (!page.document?.hidden) client.retryNow();
  };
  page.addEventListener("pageshow", onShow, { signal });
  page.addEventListener("online", () => client.retryNow(), { signal });
  page.document.addEventListener("visibilitychange", onLook, { signal });
}

function leaveBehind(client: HubClient, place: string): void {
  try {
    if (client.snapshot) page.sessionStorage?.setItem(place, JSON.stringify(client.snapshot));
  } catch {
    // Full, or not allowed: the same.
  }
}

import { COUNTERS, type CounterName } from "./counters.js";
import type { Hub } from "./hub.js";

/** What an operator wants to know of a running hub. Numbers and names of resources; nothing of any peer. */
export interface HubStatus {
  /** `starting`, `ready`, or `stopping`. */
  readonly state: string;
  /** Seconds. */
  readonly uptime: number;
  readonly listeners: readonly string[];
  readonly resources: readonly { readonly path: string; readonly apps: readonly string[] }[];
  readonly peers: { readonly pages: number; readonly backends: number; readonly away: number; readonly limit: number };
  /** Bytes kept for all peers together. */
  readonly buffered: { readonly bytes: number; readonly limit: number };
  /** What each app says of itself. */
  readonly apps: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Messages answered since the start. */
  readonly answered: number;
  /** Since the start, by name and label. */
  readonly counts: Readonly<Record<CounterName, Readonly<Record<string, number>>>>;
}

export function statusOf(hub: Hub): HubStatus {
  let [pages, backends, away] = [0, 0, 0];
  for (const peer of hub.peers) {
    if (peer.away) away++;
    if (peer.kind === "page") pages++;
    else backends++;
  }
  const names = Object.keys(COUNTERS) as CounterName[];
  return {
    state: hub.state,
    uptime: Math.floor(hub.uptime / 1_000),
    listeners: hub.listeners,
    resources: Array.from(hub.resources.all(), ({ pattern, hosts }) => ({ path: pattern, apps: hosts.map(({ name }) => name) })),
    peers: { pages, backends, away, limit: hub.limits.maxConnections },
    buffered: { bytes: hub.budget.used, limit: hub.budget.max },
    apps: Object.fromEntries(hub.appStatus()),
    answered: hub.counters.answered,
    counts: Object.fromEntries(names.map((name) => [name, Object.fromEntries(hub.counters.of(name))])) as HubStatus["counts"],
  };
}

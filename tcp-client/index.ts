import { untilReady } from "../client/index.js";
import type { BackendClient } from "./backend.js";
import { type BackendOptions, open } from "./wire.js";

export type { ClientOptions, MessageFields, Outcome } from "../client/index.js";
export { ClosedError, CloseEvent, HubClient, PushEvent, ReadyEvent, RefusedError } from "../client/index.js";
export { BackendClient, type RunOptions, type Task } from "./backend.js";
export { AbortError, type Job, type JobReport } from "./job-run.js";
export { type BackendOptions, DEFAULT_HUB } from "./wire.js";

/**
 * Connects a backend to the hub; settles when the hub says `ready`. It reconnects by itself; what had no answer when
 * a connection ended has been rejected, but for what belongs to a job: that is said again.
 * @param url `tcp://host:port/resource`, `tls://…` or `unix:/path/of/socket`; default: this host's hub
 */
export async function connect(url?: string, options: BackendOptions = {}): Promise<BackendClient> {
  return untilReady(open(url, options), options);
}

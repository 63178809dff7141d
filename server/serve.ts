import { loadConfig } from "./config.js";
import { createHub, type RunningHub } from "./main.js";
import { shownError } from "./shown-error.js";

const HELP_PAGE = "ws";

/** `signalbox serve`: a hub as a process. Settles when it has stopped. */
export async function serve(argv: readonly string[]): Promise<void> {
  const options = await loadConfig(argv, process.env, process.cwd());
  const hub = await createHub(options);
  // Before it says that it is ready: whoever reads that may stop it at once.
  const signal = untilSignal();
  survive(hub);
  process.stdout.write(`signalbox ready ${hub.listeners.join(" ")}\n`);
  if (options.demo) sayWhereToLook(hub);
  await signal;
  // The second signal: now.
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => process.exit(1));
  await hub.stop();
}

/** For people at a terminal; scripts read the line above. */
function sayWhereToLook(hub: RunningHub): void {
  const page = hub.listeners.find((url) => url.startsWith(HELP_PAGE));
  if (page) process.stdout.write(`Open ${page.replace(/^ws/, "http")}/ in a browser. Ctrl-C stops the hub.\n`);
}

function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once("SIGTERM", () => resolve());
    process.once("SIGINT", () => resolve());
    // The terminal went away: for a service that is no reason to stop.
    process.on("SIGHUP", () => {});
  });
}

/**
 * An app's promise that nobody awaits is that app's fault and hurts nobody else. What is thrown outside of any handler may
 * have left anything half done: it is logged, everybody is told, and the process ends for its supervisor to start it anew.
 */
function survive(hub: RunningHub): void {
  process.stdout.on("error", () => {});
  process.on("unhandledRejection", (error) =>
    hub.log.error("app.failed", { during: "a promise that nobody awaits", ...shownError(error) }),
  );
  process.on("uncaughtException", (error) => {
    hub.log.error("hub.crashed", shownError(error));
    void hub.stop("The hub failed.").finally(() => process.exit(1));
  });
}

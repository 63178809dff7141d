import type { Log } from "./app.js";
import type { Clock } from "./clock.js";

/** How often it is looked, ms, and for how long nothing may happen: an app that computes for so long holds everybody up. */
const INTERVAL = 50;
const STALL = 200;

/** Says in the log when the event loop stood still: everybody waited. @returns what ends the watch */
export function watchLoop(clock: Clock, log: Log): () => void {
  let last = clock.now();
  return clock.every(INTERVAL, () => {
    const now = clock.now();
    const ms = Math.round(now - last);
    last = now;
    if (ms > STALL) log.warn("hub.stalled", { ms });
  });
}

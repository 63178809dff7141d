import { readFileSync } from "node:fs";
import type { Limits } from "./options.js";

/** Files that are no peer's: the process's own, the log, listeners, whoever looks at the admin listener. */
const RESERVED = 40;
/** The part of the rest that unfinished handshakes may have at the most. */
const FOR_HANDSHAKES = 0.2;

/** How many files this process may have open; `undefined` where nobody says. Node has raised it to what it may be. */
export function openFilesLimit(): number | undefined {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return limit === undefined ? undefined : Number(limit);
  } catch {
    return undefined;
  }
}

/**
 * Connections for which there are files: above that the operating system would close them without a word, and nobody could look at the hub any more.
 * @returns what is to be less than was asked for; `undefined` where there are enough
 */
export function fitToFiles(
  { maxConnections, maxHandshakes }: Limits,
  files: number,
): Pick<Limits, "maxConnections" | "maxHandshakes"> | undefined {
  const free = Math.max(2, files - RESERVED);
  if (maxConnections + maxHandshakes <= free) return undefined;
  const handshakes = Math.max(1, Math.min(maxHandshakes, Math.floor(free * FOR_HANDSHAKES)));
  return { maxConnections: Math.min(maxConnections, free - handshakes), maxHandshakes: handshakes };
}

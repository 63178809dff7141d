import { existsSync, readdirSync, readFileSync } from "node:fs";

/** Why a process cannot be looked at here, or false. */
export const cannotLook: string | false = existsSync("/proc/self/fd") ? false : "no /proc: memory and files of the hub cannot be seen";

/** Memory of a process that is in use and resident, bytes. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kilobytes) * 1024;
}

/** File descriptors that a process has open. */
export function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Where a process listens on IPv4, as `ADDRESS:PORT` in the kernel's own hexadecimal. */
export function listensOn(pid: number, port: number): string[] {
  const hexadecimal = port.toString(16).toUpperCase().padStart(4, "0");
  const rows = ["tcp", "tcp6"].flatMap((table) => readFileSync(`/proc/${pid}/net/${table}`, "utf8").split("\n"));
  return rows
    .map((row) => row.trim().split(/\s+/))
    .flatMap(([, local = "", , state]) => (state === "0A" && local.endsWith(`:${hexadecimal}`) ? [local] : []));
}

/**
 * How long a thread has been ready to run and had to wait for a processor, ms: what a busy machine makes it late by, and not its own work.
 * @param thread a process, for its main thread, or `thread-self`
 */
export function waitedForProcessor(thread: number | "thread-self"): number {
  try {
    return Number(readFileSync(`/proc/${thread}/schedstat`, "utf8").split(" ")[1]) / 1e6;
  } catch {
    return 0; // It has ended, or the kernel does not count.
  }
}

import { spawnSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, rmSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A pipe: what a process writes to the one end can be read from the other. */
export interface Pipe {
  readonly from: Socket;
  /** To be closed once the process has it. */
  readonly fd: number;
}

/**
 * Pipes as a shell makes them. What Node makes for a process are sockets: no script can open its /dev/stderr then, and who
 * writes when nobody reads any more gets another error than from a pipe.
 * @returns undefined where the system has none to give: no place for temporary files, no mkfifo
 */
export function openPipes(count: number): Pipe[] | undefined {
  let folder: string | undefined;
  try {
    folder = mkdtempSync(join(tmpdir(), "signalbox-run-"));
    const paths = Array.from({ length: count }, (_, n) => join(folder as string, String(n)));
    return spawnSync("mkfifo", paths).status === 0 ? paths.map(openPipe) : undefined;
  } catch {
    return undefined;
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

function openPipe(path: string): Pipe {
  // The end that reads comes first and does not wait; the other finds it there.
  const from = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const fd = openSync(path, constants.O_WRONLY);
  return { from: new Socket({ fd: from, readable: true, writable: false }), fd };
}

/** The process has its end. */
export function release(pipes: readonly Pipe[]): void {
  for (const { fd } of pipes) closeSync(fd);
}

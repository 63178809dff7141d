import { lstatSync, mkdirSync, statSync, unlinkSync } from "node:fs";
import { connect, type Server } from "node:net";
import { dirname, resolve } from "node:path";

/** Settles when it listens, at a host and port or on a unix socket. */
export function listenOn(server: Server, at: { readonly host: string; readonly port: number } | { readonly path: string }): Promise<void> {
  return "path" in at ? listenUnix(server, at.path) : listenAt(server, at);
}

function listenAt(server: Server, at: { host: string; port: number } | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(at, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** Owner only, from the first moment on; a file left by a hub that died is removed once nobody answers there. */
async function listenUnix(server: Server, path: string): Promise<void> {
  prepareFolder(dirname(resolve(path)));
  try {
    await listenPrivately(server, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE" || !lstatSync(path).isSocket() || (await answers(path))) throw error;
    unlinkSync(path);
    await listenPrivately(server, path);
  }
}

/**
 * Made where it is missing, for its owner alone.
 * @throws Error where others could put a socket of their own in the place of this one
 */
function prepareFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { mode } = statSync(folder);
  if ((mode & OTHERS_WRITE) !== 0 && (mode & STICKY) === 0)
    throw new Error(
      `Expected the folder of a unix socket to be writable by its owner alone, ${folder} has ${(mode & 0o7777).toString(8).padStart(4, "0")}: chmod 700 it.`,
    );
}

const OTHERS_WRITE = 0o022;
const STICKY = 0o1000;

/** The file is made while `listen` is called: the umask of the process is changed for that moment only. */
function listenPrivately(server: Server, path: string): Promise<void> {
  const before = process.umask(0o177);
  const listening = listenAt(server, { path });
  process.umask(before);
  return listening;
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    // Everything else than that nobody listens may be a hub that has no time just now.
    socket.on("error", ({ code }: NodeJS.ErrnoException) => resolve(code !== "ECONNREFUSED"));
  });
}

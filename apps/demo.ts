import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Refusal } from "../protocol/index.js";
import type { App, AppHub, Peer } from "../server/app.js";

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const SIGNALBOX = file("../bin/signalbox.js");
const HASH = file("../examples/hash-folder.js");
const PACK = file("../../examples/pack-folder.sh");
const MACHINE = file("../examples/machine-load.js");

/** Processes at a time: it is a demo. */
const MAX_JOBS = 8;
/** Between a job's last word and the end of its process, ms at the most. */
const LAST_BREATH = 5_000;
/** For a process that was told to end, ms: all of them before the hub is gone itself. */
const PATIENCE = 1_500;
/** A shell says so of what a signal has ended: its user, or this app, wanted that. */
const BY_SIGNAL = 128;
/** Files that the page of records shows: what a person can look through. */
const MAX_RECORDS = 100;
/** Folders that are looked into for them: enough for any, and soon done. */
const MAX_FOLDERS = 200;
/** Not the folder's own work. */
const NO_RECORDS = new Set(["node_modules", "dist", ".git"]);

interface Order {
  readonly folder: string;
  /** The hub's address for backends. */
  readonly url: string;
  readonly uuid: string;
  /** A folder of its own, gone when it has ended. */
  readonly scratch: string;
}

/** What each job's process is given, behind `node`. */
const COMMANDS: Readonly<Record<"hash" | "pack", (order: Order) => readonly string[]>> = {
  hash: ({ folder, url, uuid }) => [HASH, url, uuid, folder],
  // What prints how far it is needs to know nothing of the hub.
  pack: ({ folder, url, uuid, scratch }) => [
    ...[SIGNALBOX, "run", "--uuid", uuid, "--job", "pack", "--title", "Packing the folder", "--hub", url],
    ...["--pattern", "^(\\d+)/(\\d+) ", "--", "bash", PACK, folder, join(scratch, "folder.tar.gz")],
  ],
};
type JobName = keyof typeof COMMANDS;

/** A file, for the page on which records are locked. */
interface FileRecord {
  /** From the folder on, with `/` between the parts. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/**
 * The demo: `hash` and `pack` start a backend process that goes through every file of a folder and reports to the page that asked.
 * They stand for the PHP script or the Python job that your application starts. `records` lists some of these files. While a page is
 * open another process says what the machine is doing.
 */
export function createDemo({ folder }: { folder: string }): App {
  const running = new Map<string, ChildProcess>();
  let machine: ChildProcess | undefined;
  const start = async (name: JobName, peer: Peer, hub: AppHub): Promise<void> => {
    const key = `${peer.uuid} ${name}`;
    const before = running.get(key);
    if (before) await Promise.race([once(before, "close"), sleep(LAST_BREATH, undefined, { ref: false })]);
    if (running.has(key)) throw new Refusal("already-running", "This job of the page is still running.");
    if (running.size >= MAX_JOBS) throw new Refusal("busy", `Expected at most ${MAX_JOBS} jobs at a time.`);
    // It may have left meanwhile, and whoever starts something then has nobody who ends it.
    if (![...hub.peers].includes(peer)) throw new Refusal("gone", "This page has left.");
    const job = spawnJob(name, folder, peer, hub);
    running.set(key, job);
    job.once("close", () => running.delete(key));
  };
  return {
    name: "demo",
    opcodes: {
      hash: (_packet, peer, hub) => start("hash", peer, hub),
      pack: (_packet, peer, hub) => start("pack", peer, hub),
      records: () => listRecords(folder),
    },
    firstOpen(hub) {
      machine = spawnMachine(hub);
    },
    lastClose() {
      if (machine) void stop(machine);
      machine = undefined;
    },
    close({ uuid }) {
      for (const [key, job] of running) if (key.startsWith(uuid)) void stop(job);
    },
    async stop() {
      await Promise.all([...running.values(), ...(machine ? [machine] : [])].map(stop));
    },
  };
}

/** What lies on top comes first. @throws Refusal `no-records` */
async function listRecords(top: string): Promise<readonly FileRecord[]> {
  const folders = [""];
  const records: FileRecord[] = [];
  for (let i = 0; i < Math.min(folders.length, MAX_FOLDERS) && records.length < MAX_RECORDS; i++) {
    const below = folders[i] as string;
    const entries = await readdir(join(top, below), { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
      // One that is gone by now, or may not be read, is no reason to show none.
      if (below !== "") return [];
      throw new Refusal("no-records", `The folder cannot be read: ${error.code}.`);
    });
    const found = entries.filter(({ name }) => !NO_RECORDS.has(name)).sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of found) if (entry.isDirectory()) folders.push(`${below}${entry.name}/`);
    for (const entry of found) {
      const size = entry.isFile() ? await sizeOf(join(top, below, entry.name)) : undefined;
      if (size !== undefined) records.push({ path: below + entry.name, size });
    }
  }
  return records.slice(0, MAX_RECORDS);
}

const sizeOf = (path: string): Promise<number | undefined> =>
  stat(path).then(
    ({ size }) => size,
    () => undefined,
  );

/** Settles when it has ended. */
async function stop(job: ChildProcess): Promise<void> {
  if (job.exitCode !== null || job.signalCode !== null) return;
  const ended = once(job, "close");
  job.kill();
  const timer = setTimeout(() => job.kill("SIGKILL"), PATIENCE);
  await ended;
  clearTimeout(timer);
}

/** Where there is no listener for it the page has no values, and goes on. */
function spawnMachine(hub: AppHub): ChildProcess | undefined {
  const url = backendUrl(hub);
  if (url === undefined) return undefined;
  const machine = spawn(process.execPath, [MACHINE, url], { stdio: "ignore" });
  machine.once("error", (error) => hub.log.error("demo.failed", { job: "machine", error: error.message }));
  machine.once("close", (code) => {
    if (code !== 0 && !machine.killed) hub.log.warn("demo.failed", { job: "machine", code });
  });
  return machine;
}

const backendUrl = (hub: AppHub): string | undefined => hub.listeners.find((each) => each.startsWith("tcp:") || each.startsWith("unix:"));

function spawnJob(name: JobName, folder: string, peer: Peer, hub: AppHub): ChildProcess {
  const url = backendUrl(hub);
  if (url === undefined) throw new Refusal("no-listener", "The demo's jobs need a tcp:// or unix: listener to report to.");
  const scratch = mkdtempSync(join(tmpdir(), "signalbox-demo-"));
  const args = COMMANDS[name]({ folder, url, uuid: peer.uuid, scratch });
  const job = spawn(process.execPath, [...args], { stdio: ["ignore", "ignore", "pipe"] });
  let complaint = "";
  job.stderr.on("data", (bytes: Buffer) => {
    complaint = (complaint + bytes.toString()).slice(-500);
  });
  job.once("error", (error) => hub.log.error("demo.failed", { job: name, error: error.message }));
  job.once("close", (code, signal) => {
    rmSync(scratch, { recursive: true, force: true });
    if (code === 0 || job.killed || (code ?? 0) > BY_SIGNAL) return;
    hub.log.warn("demo.failed", { job: name, code, signal, complaint });
    tellFailure(name, peer, code === null ? `ended by ${signal}` : `exit code ${code}`);
  });
  return job;
}

/** It may have ended before it could report anything. What it complained of stands in the log: it names paths. */
function tellFailure(job: JobName, peer: Peer, how: string): void {
  peer.send({ opcode: "feedback", message: { job, failed: `The job failed (${how}). The hub's log says why.` } });
}

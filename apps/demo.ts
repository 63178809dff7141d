import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Refusal } from "../protocol/index.js";
import type { App, AppHub, Peer } from "../server/app.js";

const SCRIPT = fileURLToPath(new URL("../examples/hash-folder.js", import.meta.url));
/** Processes at a time: it is a demo. */
const MAX_JOBS = 4;

/**
 * The demo: `hash` starts a backend process that hashes every file of a folder and reports to the page that asked. It
 * stands for the PHP script or the Python job that your application starts.
 */
export function createDemo({ folder }: { folder: string }): App {
  const stops = new Map<string, () => void>();
  return {
    name: "demo",
    opcodes: {
      hash(_packet, peer, hub) {
        if (stops.has(peer.uuid)) throw new Refusal("already-running", "This page's job is still running.");
        if (stops.size >= MAX_JOBS) throw new Refusal("busy", `Expected at most ${MAX_JOBS} jobs at a time.`);
        stops.set(
          peer.uuid,
          startJob(folder, peer, hub, () => stops.delete(peer.uuid)),
        );
        return { folder };
      },
    },
    close(peer) {
      stops.get(peer.uuid)?.();
    },
    stop() {
      for (const stop of stops.values()) stop();
    },
  };
}

function startJob(folder: string, peer: Peer, hub: AppHub, ended: () => void): () => void {
  const url = hub.listeners.find((each) => each.startsWith("tcp:") || each.startsWith("unix:"));
  if (url === undefined) throw new Refusal("no-listener", "The demo's job needs a tcp:// or unix: listener to report to.");
  const job = spawn(process.execPath, [SCRIPT, url, peer.uuid, folder], { stdio: ["ignore", "ignore", "pipe"] });
  let complaint = "";
  job.stderr.on("data", (bytes: Buffer) => {
    complaint = (complaint + bytes.toString()).slice(-500);
  });
  job.once("error", (error) => hub.log.error("demo.failed", { error: error.message }));
  job.once("close", (code, signal) => {
    ended();
    if (code === 0 || job.killed) return;
    hub.log.warn("demo.failed", { code, signal, complaint });
    tellFailure(peer, code === null ? `ended by ${signal}` : `exit code ${code}`);
  });
  return () => job.kill();
}

/** The page waits for the job's last report, which will not come. What it complained of stands in the log: it names paths. */
function tellFailure(peer: Peer, how: string): void {
  peer.send({ opcode: "feedback", message: { failed: `The job failed (${how}). The hub's log says why.` } });
}

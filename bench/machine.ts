import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, release, type } from "node:os";

/** Which processors the server and the generator run on, or undefined where they cannot be kept apart. */
export interface Pinning {
  readonly server: string;
  readonly generator: string;
}

/**
 * The first processor this process may use for the server, all others for the generator. A server of Node has one busy
 * thread; that its helpers share its processor does not change the CPU time they take.
 */
export function choosePinning(): Pinning | undefined {
  const [server, ...others] = allowedProcessors();
  if (server === undefined || others.length === 0 || spawnSync("taskset", ["--version"]).status !== 0) return undefined;
  return { server: String(server), generator: others.join(",") };
}

/** Moves all threads of this process, the generator. */
export function pinGenerator({ generator }: Pinning): void {
  const { status, stderr } = spawnSync("taskset", ["-acp", generator, String(process.pid)], { encoding: "utf8" });
  if (status !== 0) throw new Error(`taskset failed: ${stderr}`);
}

/** Lines about where the figures come from. */
export function describeMachine(pinning: Pinning | undefined): string[] {
  const [first] = cpus();
  return [
    `Node ${process.version}, ${type()} ${release()}, ${cpus().length} × ${first?.model.trim() ?? "unknown processor"}`,
    pinning
      ? `Server on processor ${pinning.server}, generator on ${pinning.generator}, loopback.`
      : "Server and generator share all processors (no `taskset`, or only one processor), loopback.",
  ];
}

/** From the kernel's list, such as `0-3,8`; empty where there is none. */
function allowedProcessors(): number[] {
  try {
    const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "";
    return list.split(",").flatMap(range);
  } catch {
    return [];
  }
}

function range(text: string): number[] {
  const [first = Number.NaN, last = first] = text.split("-").map(Number);
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

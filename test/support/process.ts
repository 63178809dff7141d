import { execFile, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The project's folder. */
export const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** Why a test that needs this command cannot run here, or false. */
export function commandMissing(command: string): string | false {
  if (spawnSync("sh", ["-c", `command -v ${command}`]).status === 0) return false;
  if (process.env.CI_REQUIRE?.split(/[ ,]/).includes(command)) throw new Error(`CI_REQUIRE names ${command}, but it is not installed`);
  return `${command} is not installed`;
}

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command of the project's folder to its end; nothing may hang longer than 20 s. */
export function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  return new Promise((resolve) => {
    execFile(command, [...args], { cwd: ROOT, env: { ...process.env, ...env }, timeout: 20_000 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : error ? -1 : 0, stdout, stderr });
    });
  });
}

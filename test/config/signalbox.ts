import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { TestInbox } from "../support/inbox.js";
import { type Finished, ROOT } from "../support/process.js";

const COMMAND = join(ROOT, "dist/bin/signalbox.js");
/** Longest life of a process, ms: what hangs fails. */
const TIMEOUT = 15_000;

export interface Surroundings {
  readonly env?: NodeJS.ProcessEnv;
  /** Default: an empty folder. */
  readonly cwd?: string;
  /** Standard input; without it there is none. With `undefined` it stays open. */
  readonly input?: string | undefined;
}

/** `signalbox` as a real process, with nothing of this one's environment that is meant for it. */
export class Signalbox {
  /** Lines of its standard output. */
  readonly lines = new TestInbox<string>();
  readonly ended: Promise<Finished>;
  readonly #child;

  constructor(t: TestContext, args: readonly string[], surroundings: Surroundings = {}) {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SIGNALBOX_")));
    const child = spawn(process.execPath, [COMMAND, ...args], {
      cwd: surroundings.cwd ?? folder(t),
      env: { ...env, ...surroundings.env },
      timeout: TIMEOUT,
      killSignal: "SIGKILL",
    });
    t.after(() => child.kill("SIGKILL"));
    this.#child = child;
    if (!("input" in surroundings)) child.stdin.end();
    else if (surroundings.input !== undefined) child.stdin.end(surroundings.input);
    createInterface({ input: child.stdout }).on("line", (line) => this.lines.push(line));
    this.ended = this.#end();
  }

  /** Writes to its standard input. */
  type(text: string | Uint8Array): void {
    this.#child.stdin.write(text);
  }

  endInput(): void {
    this.#child.stdin.end();
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Where it listens, once it does. */
  async ready(): Promise<{ ws: string; tcp: string; tcpPort: number }> {
    const line = await this.lines.next(TIMEOUT);
    const [ws = "", tcp = ""] = /^signalbox ready (ws:\S+) (tcp:\S+)$/.exec(line)?.slice(1) ?? [];
    return { ws, tcp, tcpPort: Number(new URL(tcp).port) };
  }

  #end(): Promise<Finished> {
    const [stdout, stderr] = [this.#child.stdout, this.#child.stderr].map((stream) => {
      const parts: Buffer[] = [];
      stream.on("data", (part: Buffer) => parts.push(part));
      return () => Buffer.concat(parts).toString();
    }) as [() => string, () => string];
    return new Promise((resolve) => {
      this.#child.on("close", (code) => {
        const finished = { code: code ?? -1, stdout: stdout(), stderr: stderr() };
        this.lines.end(`signalbox ended: ${JSON.stringify(finished)}`);
        resolve(finished);
      });
    });
  }
}

/** Runs `signalbox` to its end. */
export const signalbox = (t: TestContext, args: readonly string[], surroundings?: Surroundings): Promise<Finished> =>
  new Signalbox(t, args, surroundings).ended;

/** A folder of its own, with these files in it, removed when the test ends. */
export function folder(t: TestContext, files: Readonly<Record<string, string | object>> = {}): string {
  const path = mkdtempSync(join(tmpdir(), "signalbox-"));
  t.after(() => rmSync(path, { recursive: true }));
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(path, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  return path;
}

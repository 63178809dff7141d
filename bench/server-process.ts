import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Contender, Program } from "./contenders.js";
import type { Pinning } from "./machine.js";
import { GC, MEASURE, type Measurement, type Ready } from "./servers/control.js";
import { within } from "./within.js";

export interface ServerSettings {
  /** For Node, beside those that all servers have. */
  readonly flags?: readonly string[];
  readonly pinning: Pinning | undefined;
  /** Folder for CPU profiles, if they are wanted. */
  readonly profile: string | undefined;
}

/** For a server to listen, to answer, and to end, ms. */
const START_TIMEOUT = 10_000;
const MEASURE_TIMEOUT = 10_000;
const STOP_TIMEOUT = 5_000;

/** Heard of by whoever waits for a line that will not come. */
type Waiting = { resolve: (line: string) => void; reject: (error: Error) => void };

/** A server under test, in its own process. */
export class ServerProcess<P extends Program = Contender> {
  ready: Ready = { pid: 0, ws: 0, tcp: undefined };
  readonly #child: ChildProcess;
  readonly #waiting: Waiting[] = [];
  readonly #exited: Promise<void>;

  private constructor(
    readonly contender: P,
    settings: ServerSettings,
  ) {
    const [command, ...argv] = commandLine(contender, settings);
    this.#child = spawn(command as string, argv, { stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdin?.on("error", () => {});
    if (this.#child.stdout) createInterface({ input: this.#child.stdout }).on("line", (line) => this.#waiting.shift()?.resolve(line));
    this.#exited = new Promise((resolve) => {
      const exited = (): void => {
        for (const { reject } of this.#waiting.splice(0)) reject(new Error(`The ${contender.name} server has ended.`));
        resolve();
      };
      this.#child.once("error", exited);
      this.#child.once("exit", exited);
    });
  }

  /** Settles when it listens. */
  static async start<P extends Program>(contender: P, settings: ServerSettings): Promise<ServerProcess<P>> {
    const server = new ServerProcess(contender, settings);
    try {
      const line = await within(START_TIMEOUT, `the ${contender.name} server to start`, server.#line());
      server.ready = JSON.parse(line) as Ready;
      return server;
    } catch (error) {
      server.kill();
      throw error;
    }
  }

  /** CPU time and memory at this moment. */
  measure(): Promise<Measurement> {
    return this.#ask(MEASURE);
  }

  /** The same after a garbage collection. */
  measureAfterGc(): Promise<Measurement> {
    return this.#ask(`${MEASURE} ${GC}`);
  }

  /** Settles when the process is gone. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.kill(), STOP_TIMEOUT);
    await this.#exited;
    clearTimeout(timer);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async #ask(words: string): Promise<Measurement> {
    const line = this.#line();
    this.#child.stdin?.write(`${words}\n`);
    return JSON.parse(await within(MEASURE_TIMEOUT, `a measurement of the ${this.contender.name} server`, line)) as Measurement;
  }

  #line(): Promise<string> {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }
}

function commandLine({ script }: Program, { pinning, profile, flags = [] }: ServerSettings): string[] {
  const pin = pinning ? ["taskset", "-c", pinning.server] : [];
  const profiling =
    profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`, `--cpu-prof-name=${script}-${Date.now()}.cpuprofile`];
  const file = fileURLToPath(new URL(`servers/${script}`, import.meta.url));
  return [...pin, process.execPath, "--expose-gc", ...flags, ...profiling, file];
}

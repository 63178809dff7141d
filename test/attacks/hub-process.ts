import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { HubStatus } from "../../server/hub-status.js";
import { TestInbox } from "../support/inbox.js";
import { ROOT } from "../support/process.js";
import { HubLog } from "./hub-log.js";

const COMMAND = join(ROOT, "dist/bin/signalbox.js");
const LISTEN = ["--listen", "ws://127.0.0.1:0", "--listen", "tcp://127.0.0.1:0", "--admin", "tcp://127.0.0.1:0"];
const LISTENERS = LISTEN.length / 2;
/** For a hub to start, ms, on a machine that is busy. */
const START_TIMEOUT = 15_000;

export interface HubProcessOptions {
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Files of its working folder by name: a configuration, apps. */
  readonly files?: Readonly<Record<string, string>>;
  /** Most file descriptors it may have. */
  readonly maxFiles?: number;
  /** `closed`: whoever started it has gone. */
  readonly stdout?: "read" | "closed";
  /** `unread`: its pipe fills up. Where the operators' listener is stands in the log alone, and is not known then. */
  readonly stderr?: "read" | "unread";
}

/** Where a hub listens; 0 where that is not known. */
interface Ports {
  ws: number;
  tcp: number;
  admin: number;
}

/** What an HTTP request to the hub was answered. */
export interface Fetched {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** A hub as a process of its own, on free ports of this host, with its log at hand. */
export class HubProcess {
  readonly log: HubLog;
  readonly lines = new TestInbox<string>();
  /** The exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
  /** While it runs: `undefined`. */
  endedWith: number | string | undefined;
  ports: Readonly<Ports> = { ws: 0, tcp: 0, admin: 0 };
  readonly #folder: string;

  private constructor(
    readonly child: ChildProcess,
    folder: string,
    { stdout = "read", stderr = "read" }: HubProcessOptions,
  ) {
    this.#folder = folder;
    if (stdout === "closed") child.stdout?.destroy();
    else createInterface({ input: child.stdout as Readable }).on("line", (line) => this.lines.push(line));
    this.log = new HubLog(child.stderr as Readable);
    if (stderr === "unread") child.stderr?.pause();
    this.ended = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        this.endedWith = code ?? String(signal);
        this.lines.end(`the hub ended: ${this.endedWith}`);
        resolve(this.endedWith);
      });
    });
  }

  /** Starts one and waits until it listens. */
  static async start(options: HubProcessOptions = {}): Promise<HubProcess> {
    const { args = [], env = {}, files = {}, maxFiles } = options;
    const folder = mkdtempSync(join(tmpdir(), "signalbox-attack-"));
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
    const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(SIGNALBOX_|NODE_)/.test(name)));
    const command = [process.execPath, COMMAND, ...LISTEN, ...args];
    const limited = maxFiles === undefined ? command : ["bash", "-c", `ulimit -n ${maxFiles}; exec "$@"`, "bash", ...command];
    const [program = "", ...rest] = limited;
    const child = spawn(program, rest, { cwd: folder, env: { ...inherited, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    const hub = new HubProcess(child, folder, options);
    try {
      hub.ports = await (options.stderr === "unread" ? hub.#portsFromReady() : hub.#portsFromLog());
    } catch (error) {
      await hub.kill();
      throw error;
    }
    return hub;
  }

  get pid(): number {
    return this.child.pid as number;
  }

  get ws(): string {
    return `ws://127.0.0.1:${this.ports.ws}`;
  }

  async status(): Promise<HubStatus> {
    return JSON.parse((await this.fetch(this.ports.admin, "/status")).body) as HubStatus;
  }

  /** A plain HTTP request, on a connection of its own. */
  fetch(port: number, path: string, headers: Record<string, string> = {}): Promise<Fetched> {
    return new Promise((resolve, reject) => {
      const request = get({ host: "127.0.0.1", port, path, headers, agent: false }, (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("end", () => {
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts).toString() });
        });
      });
      request.on("error", reject);
    });
  }

  /** Ends it as an operator does. @returns how it ended */
  async stop(): Promise<number | string> {
    this.child.kill("SIGTERM");
    const how = await this.ended;
    this.#remove();
    return how;
  }

  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.ended;
    this.#remove();
  }

  #remove(): void {
    this.child.stdout?.destroy();
    this.child.stderr?.destroy();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #portsFromReady(): Promise<Ports> {
    return portsOf((await this.lines.next(START_TIMEOUT)).split(" "));
  }

  /** The line that says it is ready does not name the admin listener. */
  async #portsFromLog(): Promise<Ports> {
    let urls = this.#listeners();
    for (; urls.length < LISTENERS; urls = this.#listeners()) await this.#moreLog();
    return portsOf(urls);
  }

  #listeners(): string[] {
    return [...this.log.of("listener.up"), ...this.log.of("admin.up")].map(({ fields }) => String(fields?.url));
  }

  #moreLog(): Promise<void> {
    return new Promise((resolve, reject) => {
      const ended = (): void => reject(new Error(`The hub did not start: ${this.log.lines.map(({ raw }) => raw).join("\n")}`));
      const timer = setTimeout(ended, START_TIMEOUT);
      this.child.once("exit", ended);
      this.child.stderr?.once("data", () => {
        clearTimeout(timer);
        this.child.off("exit", ended);
        resolve();
      });
    });
  }
}

function portsOf(urls: readonly string[]): Ports {
  const port = (scheme: string): number => Number(new URL(urls.find((url) => url.startsWith(`${scheme}:`)) ?? "x://x:0").port);
  return { ws: port("ws"), tcp: port("tcp"), admin: port("http") };
}

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { openPipes, release } from "./run-pipes.js";

/** How a command ended. */
export interface Ended {
  /** As a shell says it: 128 + n for a signal, 127 where there is no such command, 126 where it cannot be run. */
  readonly code: number;
  /** What went wrong; `undefined`: it ended with 0. */
  readonly trouble: string | undefined;
  /** There was a process. */
  readonly started: boolean;
}

/** Behind standard input, in the order of their numbers. */
const OUTPUTS = ["stdout", "stderr"] as const;

export type OutputName = (typeof OUTPUTS)[number];

export interface CommandOptions {
  /** Gets each piece of output once it was passed on. */
  readonly look: (from: OutputName, bytes: Buffer) => void;
  /** From the request to stop to the end without asking, ms. */
  readonly killAfter: number;
  /** Aborted: the command is to stop. */
  readonly signal: AbortSignal;
}

const NOT_FOUND = 127;
const NOT_RUN = 126;
/** After its end, ms without a word: whoever holds its output open is not the command any more. */
const SILENCE = 100;
/** Between looks whether anybody of the group is left, ms. */
const LOOK = 50;
/** What a user or a supervisor ends a command with. */
const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Runs a command in a process group of its own, to its end; its output goes where that of this process goes. */
export async function runCommand([command = "", ...args]: readonly string[], options: CommandOptions): Promise<Ended> {
  // A command may be quick: from its first moment on a signal is for it.
  const signals = new Signals();
  try {
    const pipes = openPipes(OUTPUTS.length);
    const ends = pipes?.map(({ fd }) => fd) ?? OUTPUTS.map(() => "pipe" as const);
    const child = spawn(command, args, { detached: true, stdio: ["inherit", ...ends] });
    release(pipes ?? []);
    const streams = pipes?.map(({ from }) => from) ?? OUTPUTS.map((name) => child[name] as Readable);
    if (child.pid !== undefined) return await attend(child, streams, signals, options);
    const [error] = await once(child, "error");
    throw error;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return { code: NOT_FOUND, trouble: `${command}: command not found`, started: false };
    return { code: NOT_RUN, trouble: `${command}: ${message}`, started: false };
  } finally {
    signals.release();
  }
}

async function attend(child: ChildProcess, streams: readonly Readable[], signals: Signals, options: CommandOptions): Promise<Ended> {
  const outputs = streams.map((from, n) => {
    const name = OUTPUTS[n] as OutputName;
    return new Output(from, process[name], (bytes) => options.look(name, bytes));
  });
  const group = new Group(child.pid as number);
  signals.forwardTo(group);
  let stopped: Promise<void> | undefined;
  options.signal.addEventListener("abort", () => {
    stopped = group.stop(options.killAfter);
  });
  const ended = await endOf(child);
  await stopped;
  // From here on a signal ends this process, even where nobody reads its output.
  signals.release();
  await Promise.all(outputs.map((output) => output.finish()));
  return signals.first === undefined ? ended : { ...ended, trouble: `ended by ${signals.first}` };
}

function endOf(child: ChildProcess): Promise<Ended> {
  return new Promise((resolve) => {
    child.on("exit", (code, signal) => {
      if (signal) resolve({ code: 128 + constants.signals[signal], trouble: `ended by ${signal}`, started: true });
      else resolve({ code: code ?? 0, trouble: code ? `exit code ${code}` : undefined, started: true });
    });
  });
}

/** The signals to this process that the command is meant by. */
class Signals {
  first: NodeJS.Signals | undefined;
  #group: Group | undefined;
  readonly #heard = (signal: NodeJS.Signals): void => {
    this.first ??= signal;
    this.#group?.tell(signal);
  };

  constructor() {
    for (const signal of FORWARDED) process.on(signal, this.#heard);
  }

  forwardTo(group: Group): void {
    this.#group = group;
  }

  /** What comes from now on is for this process itself. */
  release(): void {
    for (const signal of FORWARDED) process.off(signal, this.#heard);
  }
}

/** The processes of a command: those that it starts belong to it, unless they leave its group. */
class Group {
  constructor(private readonly id: number) {}

  /** @returns false where nobody is left */
  tell(signal: NodeJS.Signals | 0): boolean {
    try {
      return process.kill(-this.id, signal);
    } catch {
      return false;
    }
  }

  /** Asks all to stop, and ends those that have not after so many ms. */
  async stop(killAfter: number): Promise<void> {
    this.tell("SIGTERM");
    // Who is suspended would not hear of it.
    this.tell("SIGCONT");
    const end = performance.now() + killAfter;
    for (let left = killAfter; left > 0 && this.tell(0); left = end - performance.now()) await sleep(Math.min(LOOK, left));
    this.tell("SIGKILL");
  }
}

/** Passes a stream on, as fast as it is read. */
class Output {
  #heard = false;
  #blocked = false;
  #closed = false;

  constructor(
    private readonly from: Readable,
    private readonly to: Writable,
    look: (bytes: Buffer) => void,
  ) {
    from.on("data", (bytes: Buffer) => {
      this.#heard = true;
      if (!to.write(bytes)) this.#wait();
      look(bytes);
    });
    from.once("close", () => {
      this.#closed = true;
    });
    // Whoever read it has left: the command finds that out as it would without this process.
    to.on("error", () => from.destroy());
  }

  /** The command has ended: settles when what it said has been passed on. */
  async finish(): Promise<void> {
    do {
      this.#heard = false;
      await (this.#closed ? undefined : this.#silence());
      // What came while this process was not served is read between the timers and this.
      await nextTurn();
    } while (!this.#closed && (this.#heard || this.#blocked));
    this.from.destroy();
    await new Promise<void>((resolve) => void this.to.write("", () => resolve()));
  }

  #silence(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, SILENCE);
      this.from.once("close", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #wait(): void {
    this.#blocked = true;
    this.from.pause();
    this.to.once("drain", () => {
      this.#blocked = false;
      this.from.resume();
    });
  }
}

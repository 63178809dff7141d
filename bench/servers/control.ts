import { createInterface } from "node:readline";

/** What a server says first, on standard output: where it listens. */
export interface Ready {
  readonly pid: number;
  readonly ws: number;
  /** Only the hub has backends over plain TCP. */
  readonly tcp: number | undefined;
}

/** What a server knows about itself at one moment. */
export interface Measurement {
  /** User and system time of the whole process since its start, µs. */
  readonly cpu: number;
  /** Resident set, bytes: what the operating system has given it. */
  readonly rss: number;
  /** JavaScript heap in use and memory held from outside of it, buffers included, bytes. */
  readonly live: number;
}

/** The word for a measurement; with {@link GC} behind it garbage is collected first. */
export const MEASURE = "measure";
export const GC = "gc";

/**
 * The server's half of the conversation with the generator: says that it is ready, then answers each line on standard
 * input by one line of JSON. Ends with its standard input, so that it cannot outlive the generator.
 */
export function serve(ports: Omit<Ready, "pid">): void {
  say({ pid: process.pid, ...ports });
  const input = createInterface({ input: process.stdin });
  input.on("line", (line) => void answer(line));
  input.on("close", () => process.exit(0));
  process.on("SIGTERM", () => process.exit(0));
}

async function answer(line: string): Promise<void> {
  const [word, option] = line.split(" ");
  if (word !== MEASURE) return;
  if (option === GC) await collectGarbage();
  say(measure());
}

function measure(): Measurement {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { cpu: user + system, rss, live: heapUsed + external };
}

/** Twice, with a turn of the event loop between: what the first finds dead lets go of its buffers only then. */
async function collectGarbage(): Promise<void> {
  if (globalThis.gc === undefined) throw new Error("Memory can only be measured with --expose-gc.");
  globalThis.gc();
  await new Promise((resolve) => setImmediate(resolve));
  globalThis.gc();
}

function say(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

import { parseArgs } from "node:util";
import { RefusedError } from "../client/index.js";
import { MAX_NAME, UUID_LENGTH } from "../protocol/index.js";
import type { BackendClient } from "./backend.js";
import type { Job } from "./job-run.js";
import { type Ended, runCommand } from "./run-command.js";
import { type Find, finder, guess } from "./run-output.js";
import { Reports } from "./run-reports.js";
import { DEFAULT_HUB, open } from "./wire.js";

export const USAGE = `signalbox run --uuid UUID [--job NAME] [--title TITLE] [--hub URL] [--pattern REGEX]
              [--kill-after SECONDS] -- COMMAND…

Runs a command as a job of the page that has this UUID: the page sees how far it is, what it says, how it ends, and can stop it.
What the command reads and writes stays as it is.

  --uuid UUID           the page
  --job NAME            one of several jobs of the page [job]
  --title TITLE         what the page shows [the name of the command]
  --hub URL             tcp://HOST:PORT, tls://HOST:PORT or unix:PATH [SIGNALBOX_HUB, or ${DEFAULT_HUB}]
  --pattern REGEX       how far it is, in a line of its output: one group, the percentage, or two, how much is done and how
                        much there is [the last NN% of a line, or N/M]
  --kill-after SECONDS  from SIGTERM to SIGKILL, for it and all that it has started, when the page stops it [5]

The key of a hub on another host: SIGNALBOX_APPLICATION_KEY (ID:SECRET), or SIGNALBOX_BACKEND_KEY. Without a hub the command
runs all the same.

Exit code: that of the command, 128 + N where signal N ended it · 2 wrong usage · 126 it cannot be run · 127 there is no such command
`;

const EXIT_USAGE = 2;
/** Seconds. */
const KILL_AFTER = 5;
/** For the hub to hear how it ended, ms. */
const LAST_WORD = 2_000;
/** Characters of a title: more the hub does not take. */
const MAX_TITLE = 1_000;

/** Says what is wrong with the command line. */
class UsageError extends Error {}

/** `signalbox run`. @returns the exit code */
export async function run(argv: readonly string[]): Promise<number> {
  const begun = begin(argv);
  if (begun instanceof Error) {
    complain(begun.message);
    process.stderr.write(`\n${USAGE}`);
    return EXIT_USAGE;
  }
  // Standard error is the command's: what is wrong is said in a sentence of ours, and not in Node's.
  process.removeAllListeners("warning");
  return runJob(begun.call, begun.client);
}

interface Call {
  readonly uuid: string;
  readonly job: string;
  readonly title: string;
  readonly hub: string;
  readonly find: Find;
  /** ms. */
  readonly killAfter: number;
  readonly command: readonly string[];
}

/** @returns what is wrong with the command line, if anything is */
function begin(argv: readonly string[]): { call: Call; client: BackendClient } | Error {
  try {
    const call = parseCall(argv);
    return { call, client: open(call.hub) };
  } catch (error) {
    if (error instanceof UsageError || error instanceof TypeError) return error;
    throw error;
  }
}

/** @throws UsageError */
function parseCall(argv: readonly string[]): Call {
  const end = argv.indexOf("--");
  const flags = parseFlags(end === -1 ? argv : argv.slice(0, end));
  const command = end === -1 ? [] : argv.slice(end + 1);
  const [name = ""] = command;
  if (name === "") throw new UsageError("Expected a command behind `--`.");
  return {
    uuid: ofLength("--uuid", flags.uuid ?? "", UUID_LENGTH, UUID_LENGTH),
    job: ofLength("--job", flags.job ?? "job", 1, MAX_NAME),
    title: ofLength("--title", flags.title ?? name.slice(name.lastIndexOf("/") + 1), 0, MAX_TITLE),
    hub: flags.hub ?? process.env.SIGNALBOX_HUB ?? DEFAULT_HUB,
    find: parsePattern(flags.pattern),
    killAfter: 1_000 * parseSeconds(flags["kill-after"]),
    command,
  };
}

function parseFlags(args: readonly string[]) {
  const text = { type: "string" } as const;
  const options = { uuid: text, job: text, title: text, hub: text, pattern: text, "kill-after": text };
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    if (positionals[0] === undefined) return values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  throw new UsageError("Expected `--` between the flags and the command.");
}

function ofLength(flag: string, text: string, least: number, most: number): string {
  if (text.length >= least && text.length <= most) return text;
  const length = least === most ? String(most) : `${least} to ${most}`;
  throw new UsageError(`Expected \`${flag}\` of ${length} characters, got \`${text}\`.`);
}

function parsePattern(pattern: string | undefined): Find {
  try {
    return pattern === undefined ? guess : finder(pattern);
  } catch (error) {
    throw new UsageError(`\`--pattern\`: ${(error as Error).message}`);
  }
}

function parseSeconds(text: string | undefined): number {
  const seconds = text === undefined ? KILL_AFTER : text.trim() === "" ? Number.NaN : Number(text);
  if (seconds >= 0 && seconds < Number.POSITIVE_INFINITY) return seconds;
  throw new UsageError(`Expected \`--kill-after\` to be a number of seconds, got \`${text}\`.`);
}

async function runJob(call: Call, client: BackendClient): Promise<number> {
  const watch = new HubWatch(client, call.hub);
  let told: Promise<void> | undefined;
  const { code, started, trouble } = await new Promise<Ended>((resolve, reject) => {
    told = client
      .run(call.uuid, call.job, (job, signal) => work(call, job, signal, resolve), { title: call.title })
      .catch((error) => {
        if (error instanceof RefusedError) complain(error.message);
        reject(error);
      });
  });
  if (!started) complain(String(trouble));
  await watch.lastWord(told);
  client.close();
  return code;
}

/** The job: what it says of itself, and how its command ends. */
async function work({ command, find, killAfter }: Call, job: Job, signal: AbortSignal, onEnd: (ended: Ended) => void): Promise<void> {
  const reports = new Reports(job, find);
  job.progress({}).then(({ status }) => {
    if (status === "gone") complain("Nobody has that UUID: the command goes on, and nobody sees its progress.");
  }, ignore);
  const ended = await runCommand(command, { killAfter, signal, look: (from, bytes) => reports.add(from, bytes) });
  reports.end();
  onEnd(ended);
  if (ended.trouble !== undefined && !signal.aborted)
    throw new Error(reports.last === "" ? ended.trouble : `${ended.trouble}: ${reports.last}`);
}

const ignore = (): void => {};

/** Whether there is a hub, which is no reason to stop. */
class HubWatch {
  #found = false;
  #missed = false;

  constructor(client: BackendClient, hub: string) {
    client.addEventListener("ready", () => {
      this.#found = true;
    });
    client.addEventListener("close", ({ reason, retryIn }) => {
      if (!this.#missed) complain(`No connection to the hub ${hub} (${reason}); the command ${retryIn === undefined ? MUTE : RETRIES}.`);
      this.#missed = true;
    });
  }

  /** Gives what is still to be said to the hub its time; a hub that was never there gets none. */
  async lastWord(said: Promise<void> | undefined): Promise<void> {
    if (this.#missed && !this.#found) return;
    await Promise.race([said, new Promise((resolve) => setTimeout(resolve, LAST_WORD))]);
  }
}

const RETRIES = "goes on, and its progress is shown when there is one";
const MUTE = "goes on, and its progress is not shown";

function complain(text: string): void {
  process.stderr.write(`signalbox run: ${text}\n`);
}

import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { ClosedError, connect, DEFAULT_HUB, type HubClient, type Outcome, RefusedError } from "./index.js";

export const USAGE = `signalbox send [--hub URL] feedback UUID TEXT
signalbox send [--hub URL] broadcast TEXT

TEXT may be several words; \`-\` sends each line of standard input. A text with the word --hub in it stands behind \`--\`.
URL is tcp://HOST:PORT or unix:PATH; default: SIGNALBOX_HUB, or ${DEFAULT_HUB}.
The key of a hub on another host: SIGNALBOX_BACKEND_KEY.

Prints what became of it. Exit code: 0 sent, or held for a page that is reloading · 1 no connection · 2 wrong usage ·
3 gone, nobody has that UUID · 4 refused
`;

const EXIT = { sent: 0, unreachable: 1, usage: 2, gone: 3, refused: 4 } as const;
/** A shell script wants to go on: a hub that does not answer by then is not there. */
const CONNECT_TIMEOUT = 5_000;

/** Says what is wrong with the command line. */
class UsageError extends Error {}

/** `signalbox send`. @returns the exit code */
export async function send(argv: readonly string[]): Promise<number> {
  try {
    const call = parseCall(argv);
    return await sendBy(await connect(call.hub, { connectTimeout: CONNECT_TIMEOUT }), call);
  } catch (error) {
    return fail(error);
  }
}

interface Call {
  readonly hub: string;
  readonly uuid: string | undefined;
  readonly text: string;
}

/** Words in front of the command are flags, words behind it are text. */
function parseCall(argv: readonly string[]): Call {
  const at = argv.findIndex((word) => word === "feedback" || word === "broadcast");
  const hub = parseHub(at === -1 ? argv : argv.slice(0, at));
  if (at === -1) throw new UsageError("Expected `feedback` or `broadcast`.");
  const [command, ...words] = argv.slice(at);
  if (command === "broadcast") return { hub, uuid: undefined, text: parseText(words) };
  const [uuid, ...rest] = words;
  if (uuid === undefined) throw new UsageError("Expected the UUID of a page behind `feedback`.");
  return { hub, uuid, text: parseText(rest) };
}

/** @throws UsageError where anything but `--hub URL` stands there, or no command follows */
function parseHub(argv: readonly string[]): string {
  const { values, positionals } = parseFlags(argv);
  const [word] = positionals;
  if (word !== undefined) throw new UsageError(`Expected \`feedback\` or \`broadcast\`, got \`${word}\`.`);
  return values.hub ?? process.env.SIGNALBOX_HUB ?? DEFAULT_HUB;
}

function parseFlags(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: { hub: { type: "string" } }, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/**
 * A text may start with a dash. `--hub` alone is most likely meant as the flag, and would go to the page unnoticed while
 * the message goes to the wrong hub: who means it says `--` first.
 */
function parseText(words: readonly string[]): string {
  const text = words[0] === "--" ? words.slice(1) : words;
  if (text.length === 0) throw new UsageError("Expected a text.");
  if (text === words && words.includes("--hub")) throw new UsageError("`--hub` stands in front of the command; as text: behind `--`.");
  return text.join(" ");
}

async function sendBy(hub: HubClient, call: Call): Promise<number> {
  try {
    return await sendAll(hub, call);
  } finally {
    // Else it would stay connected, or connect again.
    hub.close();
  }
}

/** @returns the worst of the exit codes */
async function sendAll(hub: HubClient, { uuid, text }: Call): Promise<number> {
  const one = (message: string): Promise<Outcome> => (uuid === undefined ? hub.broadcast(message) : hub.feedback(uuid, message));
  if (text !== "-") return report(await one(text));
  let worst: number = EXIT.sent;
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    worst = Math.max(worst, await one(line).then(report, complain));
  }
  return worst;
}

function report({ status, n, held }: Outcome): number {
  const count = status === "held" ? held : n;
  process.stdout.write(`${status}${count === undefined ? "" : ` ${count}`}\n`);
  return status === "gone" ? EXIT.gone : EXIT.sent;
}

/** One line of many was refused: the others may be better. Without a connection there are no others. */
function complain(error: unknown): number {
  if (!(error instanceof RefusedError)) throw error;
  return fail(error);
}

function fail(error: unknown): number {
  const { message } = error as Error;
  process.stderr.write(`signalbox send: ${message}\n${error instanceof UsageError ? `\n${USAGE}` : ""}`);
  if (error instanceof RefusedError) return EXIT.refused;
  if (error instanceof ClosedError) return EXIT.unreachable;
  return EXIT.usage;
}

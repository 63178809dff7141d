import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { ClosedError, connect, DEFAULT_HUB, type HubClient, type Outcome, RefusedError } from "./index.js";

export const USAGE = `signalbox send [--hub URL] feedback UUID TEXT
signalbox send [--hub URL] broadcast TEXT

TEXT may be several words; \`-\` sends each line of standard input. URL is tcp://HOST:PORT or unix:PATH; default:
SIGNALBOX_HUB, or ${DEFAULT_HUB}. The key of a hub on another host: SIGNALBOX_BACKEND_KEY.

Prints what became of it. Exit code: 0 sent · 1 no connection · 2 wrong usage · 3 gone, nobody has that UUID · 4 refused
`;

const EXIT = { sent: 0, unreachable: 1, usage: 2, gone: 3, refused: 4 } as const;
/** A shell script wants to go on: a hub that does not answer by then is not there. */
const CONNECT_TIMEOUT = 5_000;

/** `signalbox send`. @returns the exit code */
export async function send(argv: readonly string[]): Promise<number> {
  const call = parseCall(argv);
  if (call === undefined) {
    process.stderr.write(USAGE);
    return EXIT.usage;
  }
  try {
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

function parseCall(argv: readonly string[]): Call | undefined {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(argv);
  } catch {
    return undefined;
  }
  const [command, ...words] = parsed.positionals;
  const hub = parsed.values.hub ?? process.env.SIGNALBOX_HUB ?? DEFAULT_HUB;
  if (command === "broadcast" && words.length > 0) return { hub, uuid: undefined, text: words.join(" ") };
  if (command === "feedback" && words.length > 1) return { hub, uuid: words[0], text: words.slice(1).join(" ") };
  return undefined;
}

function parse(argv: readonly string[]) {
  // A text may start with a dash: what stands behind the command is taken as it is.
  const command = argv.findIndex((word) => word === "feedback" || word === "broadcast");
  const args = command === -1 ? [...argv] : [...argv.slice(0, command), "--", ...argv.slice(command)];
  return parseArgs({ args, options: { hub: { type: "string" } }, allowPositionals: true });
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
    worst = Math.max(worst, report(await one(line)));
  }
  return worst;
}

function report({ status, n }: Outcome): number {
  process.stdout.write(`${status}${n === undefined ? "" : ` ${n}`}\n`);
  return status === "gone" ? EXIT.gone : EXIT.sent;
}

function fail(error: unknown): number {
  const { message } = error as Error;
  process.stderr.write(`signalbox send: ${message}\n`);
  if (error instanceof RefusedError) return EXIT.refused;
  if (error instanceof ClosedError) return EXIT.unreachable;
  return EXIT.usage;
}

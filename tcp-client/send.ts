import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { jsonOrText, type Packet } from "../protocol/index.js";
import { ClosedError, connect, DEFAULT_HUB, type HubClient, type Outcome, RefusedError } from "./index.js";

export const USAGE = `signalbox send [--hub URL] feedback UUID TEXT
signalbox send [--hub URL] broadcast TEXT
signalbox send [--hub URL] state KEY [VALUE] | delete KEY | who PATTERN
signalbox send [--hub URL] locks SPACE | check SPACE ID FENCE | break SPACE ID

TEXT may be several words; \`-\` sends each line of standard input. A text with the word --hub in it stands behind \`--\`.
VALUE is JSON if it parses, else text; without one the key's value is printed. PATTERN is a key, or a prefix that ends in *.
URL is tcp://HOST:PORT, tls://HOST:PORT or unix:PATH; default: SIGNALBOX_HUB, or ${DEFAULT_HUB}.
The key of a hub on another host: SIGNALBOX_APPLICATION_KEY (ID:SECRET), or SIGNALBOX_BACKEND_KEY.

Prints what became of it. Exit code: 0 done, sent, or held for a page that is reloading · 1 no connection · 2 wrong usage ·
3 gone, nobody has that UUID or lock · 4 refused
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
  /** `-`: each line of standard input is one. */
  readonly text: string | undefined;
  readonly packetWith: (text: string | undefined) => Packet;
}

/** What a command makes of the words behind it. */
type Command = (words: readonly string[]) => Omit<Call, "hub">;

const COMMANDS: Readonly<Record<string, Command>> = {
  feedback([uuid, ...words]) {
    if (uuid === undefined) throw new UsageError("Expected the UUID of a page behind `feedback`.");
    return { text: parseText(words), packetWith: (message) => ({ opcode: "feedback", uuid, message }) };
  },
  broadcast: (words) => ({ text: parseText(words), packetWith: (message) => ({ opcode: "broadcast", message }) }),
  state([key, ...words]) {
    if (key === undefined) throw new UsageError("Expected a KEY behind `state`.");
    if (words.length === 0) return packet({ opcode: "get", keys: [key] });
    return { text: parseText(words), packetWith: (text = "") => ({ opcode: "set", key, value: jsonOrText(text) }) };
  },
  delete: (words) => fields("delete", words, ["key"]),
  who([pattern, ...more]) {
    if (pattern === undefined || more.length > 0) throw new UsageError("Expected one PATTERN behind `who`.");
    return packet({ opcode: "who", keys: [pattern] });
  },
  locks: (words) => fields("locks", words, ["space"]),
  break: (words) => fields("break", words, ["space", "id"]),
  check(words) {
    const fence = words[2] ?? "";
    if (words.length === 3 && !/^\d+$/.test(fence)) throw new UsageError(`Expected FENCE to be an integer, got \`${fence}\`.`);
    const { packetWith } = fields("check", words, ["space", "id", "fence"]);
    return packet({ ...packetWith(undefined), fence: Number(fence) });
  },
};

const packet = (made: Packet): Omit<Call, "hub"> => ({ text: undefined, packetWith: () => made });

/** One word for each field. */
function fields(opcode: string, words: readonly string[], names: readonly string[]): Omit<Call, "hub"> {
  if (words.length !== names.length) {
    const wanted = names.map((name) => name.toUpperCase()).join(" ");
    throw new UsageError(`Expected ${wanted} behind \`${opcode}\`, each one word; a blank in it stands in quotes.`);
  }
  return packet({ opcode, ...Object.fromEntries(names.map((name, i) => [name, words[i]])) });
}

/** Words in front of the command are flags, words behind it are its own. */
function parseCall(argv: readonly string[]): Call {
  const at = argv.findIndex((word) => Object.hasOwn(COMMANDS, word));
  const hub = parseHub(at === -1 ? argv : argv.slice(0, at));
  const command = COMMANDS[argv[at] ?? ""];
  if (command === undefined) throw new UsageError(`Expected ${LIST}.`);
  return { hub, ...command(argv.slice(at + 1)) };
}

const LIST = Object.keys(COMMANDS)
  .map((name) => `\`${name}\``)
  .join(", ")
  .replace(/, ([^,]*)$/, " or $1");

/** @throws UsageError where anything but `--hub URL` stands there, or no command follows */
function parseHub(argv: readonly string[]): string {
  const { values, positionals } = parseFlags(argv);
  const [word] = positionals;
  if (word !== undefined) throw new UsageError(`Expected ${LIST}, got \`${word}\`.`);
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
async function sendAll(hub: HubClient, { text, packetWith }: Call): Promise<number> {
  if (text !== "-") return report(await hub.send(packetWith(text)));
  let worst: number = EXIT.sent;
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    worst = Math.max(worst, await hub.send(packetWith(line)).then(report, complain));
  }
  return worst;
}

function report({ status, n, held, result }: Outcome): number {
  const count = status === "held" ? held : n;
  const rest = result === undefined ? count : JSON.stringify(result);
  process.stdout.write(`${status}${rest === undefined ? "" : ` ${rest}`}\n`);
  return status === "gone" ? EXIT.gone : EXIT.sent;
}

/** One line of many was refused: the others may be better. Without a connection there are no others. */
function complain(error: unknown): number {
  if (!(error instanceof RefusedError)) throw error;
  return fail(error);
}

function fail(error: unknown): number {
  const { message } = error as Error;
  const code = error instanceof RefusedError ? `${error.code}: ` : "";
  process.stderr.write(`signalbox send: ${code}${message}\n${error instanceof UsageError ? `\n${USAGE}` : ""}`);
  if (error instanceof RefusedError) return EXIT.refused;
  if (error instanceof ClosedError) return EXIT.unreachable;
  return EXIT.usage;
}

import { ChunkJoiner, Fault, JsonScanner, LineFramer, LineTooLong, parseMessage, Refusal } from "../protocol/index.js";
import { clientAddress, forwardedOrigin, TrustedProxies } from "../server/forwarded.js";
import { parseHello } from "../server/hello.js";
import { parseListenUrl } from "../server/listen-url.js";
import { OptionError, type OptionName, parseOption, resolveOptions } from "../server/options.js";
import { hostAllowed, originAllowed } from "../server/origin.js";
import { BadProxyHeader, readProxyHeader } from "../server/proxy-protocol.js";
import type { Section } from "./report.js";
import { median } from "./statistics.js";

/** What one read of a socket brings at the most, bytes. */
const SIZE = 65_536;
const MAX_DEPTH = 64;
const MAX_MESSAGE = 1_048_576;
/** Compiled code is what counts: a hub runs for weeks. */
const WARM_UP = 10;
const ROUNDS = 15;
/** ms: so long everybody else waits. */
const BAR = 1;

/** What a careless parser stumbles over, again and again until it is long enough. */
const UNITS = [
  ...'a1 \t\n\r\0{}[]"\\,:;=.-/%@#?é😀\ud83d\u202e',
  ...[
    "\r\n",
    '\\"',
    '"\\',
    '":',
    '",',
    "[]",
    "{}",
    '""',
    "[{",
    "1,",
    "0.",
    "1e",
    "::",
    ":1",
    "1.2.3.4",
    "1.2.3.4,",
    "%2",
    "..",
    "//",
    "://",
  ],
  ...['{"a":', '"a":1,', "[1],", "for=", 'for="', "for=[", "for=1.2.3.4;", "10.0.0.1,", "PROXY ", "buffer", "xn--", "ß", "İ", "a.", "a-"],
];

/** One parser, and what may stand in front of what is nasty for it. */
interface Subject {
  readonly name: string;
  readonly starts: readonly string[];
  /** Ends by itself, or by throwing one of {@link EXPECTED}. */
  parse(input: Input): unknown;
}

/** The same as text, as Node gives it of a header, and as bytes. */
interface Input {
  readonly name: string;
  readonly text: string;
  readonly header: string;
  readonly bytes: Uint8Array;
}

const EXPECTED = [Refusal, Fault, LineTooLong, OptionError, BadProxyHeader];
const PROXIES = new TrustedProxies(["10.0.0.1", "192.168.0.0/16", "2001:db8::/32"]);
const RULES = { secure: false, boundTo: "127.0.0.1", origins: ["https://app.example"], allowedHosts: ["app.example"] };
const SIGNATURE = "\r\n\r\n\0\r\nQUIT\n";

/** One of each type that is read from a text, and every list. */
const OPTIONS_READ: readonly OptionName[] = [
  "listen",
  "origins",
  "allowedHosts",
  "trustedProxies",
  "maxMessage",
  "demo",
  "trust",
  "backendKey",
];

const SUBJECTS: readonly Subject[] = [
  { name: "chunk joiner", starts: [""], parse: ({ text }) => joinPieces(text, 1) },
  { name: "chunk joiner, pieces of 64", starts: [""], parse: ({ text }) => joinPieces(text, 64) },
  // 65,536 empty lines are as many views into the bytes, 50 ns each: what is done with a line costs more.
  { name: "line framer", starts: [""], parse: ({ bytes }) => cutLines([bytes]) },
  { name: "line framer, parts of 64", starts: [""], parse: ({ bytes }) => cutLines(partsOf(bytes)) },
  { name: "JSON scanner", starts: ["{", '{"', '{"a":'], parse: ({ bytes }) => scan([bytes]) },
  { name: "JSON scanner, parts of 64", starts: ["{", '{"'], parse: ({ bytes }) => scan(partsOf(bytes)) },
  {
    name: "packet",
    starts: ["", "{", '{"', '{"opcode":"', '{"opcode":"x","a":', '{"opcode":"x","a":[', '{"opcode":"x","a":{"'],
    parse: ({ text }) => parseMessage(text, MAX_DEPTH),
  },
  {
    name: "hello",
    starts: ["", '{"opcode":"hello","tags":{"', '{"opcode":"hello","ident":"', '{"opcode":"hello","window":'],
    parse: ({ text }) => parseHello(text, MAX_DEPTH),
  },
  {
    name: "Origin and Host",
    starts: ["", "http://", "http://a", "http://[", "http://a:", "https://app.example"],
    // Once as long as it may be, too: what is longer is not looked at.
    parse: ({ header }) =>
      [header, header.slice(0, 1_024)].map((each) => [originAllowed(each, "app.example", RULES), hostAllowed(each, RULES)]),
  },
  {
    name: "X-Forwarded-For and Forwarded",
    starts: ["", "1.2.3.4,", "[", '"', "for="],
    parse: ({ header }) =>
      (["x-forwarded-for", "forwarded"] as const).map((kind) => [
        clientAddress("10.0.0.1", header, kind, PROXIES),
        forwardedOrigin(() => header, kind),
      ]),
  },
  {
    name: "PROXY header",
    starts: ["", "PROXY ", "PROXY TCP4 ", "PROXY UNKNOWN ", SIGNATURE, `${SIGNATURE}!\u0011\0\u000c`],
    parse: ({ bytes }) => readProxyHeader(bytes),
  },
  ...OPTIONS_READ.map((name) => ({
    name: `option ${name}`,
    starts: ["", "http://", "ws://", "10.0.0.0/"],
    parse: ({ text }: Input) => readOption(name, text),
  })),
  { name: "an address to listen on", starts: ["", "ws://", "ws://["], parse: ({ text }) => parseListenUrl(text) },
  { name: "an option's name", starts: ["", "max"], parse: ({ text }) => resolveOptions({ [text]: 1 }) },
];

function joinPieces(text: string, size: number): string {
  const joiner = new ChunkJoiner(MAX_MESSAGE);
  for (let i = 0; i < text.length; i += size) joiner.add(text.slice(i, i + size), size);
  return joiner.join();
}

function* partsOf(bytes: Uint8Array): Iterable<Uint8Array> {
  for (let i = 0; i < bytes.length; i += 64) yield bytes.subarray(i, i + 64);
}

function cutLines(parts: Iterable<Uint8Array>): number {
  const framer = new LineFramer(MAX_MESSAGE);
  let lines = 0;
  for (const part of parts) for (let found = framer.next(part, 0); found; found = framer.next(part, found.offset)) lines++;
  return lines;
}

function scan(parts: Iterable<Uint8Array>): number {
  const scanner = new JsonScanner(MAX_MESSAGE);
  let texts = 0;
  for (const part of parts) for (let found = scanner.next(part, 0); found; found = scanner.next(part, found.offset)) texts++;
  return texts;
}

function readOption(name: OptionName, text: string): void {
  resolveOptions({ [name]: parseOption(name, text) });
}

function tolerantly(parse: () => unknown): void {
  try {
    parse();
  } catch (error) {
    if (!EXPECTED.some((kind) => error instanceof kind)) throw error;
  }
}

function inputsOf({ starts }: Subject): Input[] {
  return starts.flatMap((start) =>
    UNITS.map((unit) => {
      const text = (start + unit.repeat(SIZE / unit.length)).slice(0, SIZE);
      const bytes = Buffer.from(text).subarray(0, SIZE);
      return { name: `${start}${unit} …`, text, header: bytes.toString("latin1"), bytes };
    }),
  );
}

/** ms for each input: the median of its rounds. */
function measure(subject: Subject): { readonly input: Input; readonly ms: number }[] {
  const inputs = inputsOf(subject);
  const times = inputs.map((): number[] => []);
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    for (const [i, input] of inputs.entries()) {
      const start = performance.now();
      tolerantly(() => subject.parse(input));
      if (round >= 0) times[i]?.push(performance.now() - start);
    }
  }
  return inputs.map((input, i) => ({ input, ms: median(times[i] as number[]) }));
}

/** How long all others wait while one parser has a read of somebody who means harm. */
export async function parsers(progress: (text: string) => void): Promise<Section> {
  const results = SUBJECTS.map((subject) => {
    progress(subject.name);
    const measured = measure(subject);
    const worst = measured.reduce((worst, each) => (each.ms > worst.ms ? each : worst));
    return { subject, worst, count: measured.length, median: median(measured.map(({ ms }) => ms)) };
  });
  return {
    title: "64 KiB of nasty input",
    note:
      `Each parser with ${SIZE / 1_024} KiB of what a careless one stumbles over: the same few characters again and again, behind the beginning of something right. ` +
      `Median of ${ROUNDS} rounds for each input, then the median and the maximum of the inputs, in this process.`,
    columns: ["parser", "inputs", "median ms", "maximum ms", "with"],
    rows: results.map(({ subject, worst, count, median }) => [
      subject.name,
      String(count),
      median.toFixed(3),
      worst.ms.toFixed(3),
      `\`${JSON.stringify(worst.input.name).slice(1, -1).replaceAll("|", "\\|")}\``,
    ]),
    bars: results.map(({ subject, worst }) => ({
      what: `Longest, ${subject.name}`,
      limit: BAR,
      measured: worst.ms,
      unit: "ms",
    })),
  };
}

import { quoted } from "../protocol/index.js";
import type { App } from "./app.js";
import { type Allow, checkAllow } from "./auth/allow.js";
import { type Authenticator, type Credentials, type Identity, isAuthenticator } from "./auth/authenticator.js";
import { TrustedProxies } from "./forwarded.js";
import { MAX_ORIGIN } from "./origin.js";

/** Apps: values, or the paths of modules that export one by default. */
export type AppsOption = App | string | readonly (App | string)[];

/** A resource that is not like all others. */
export interface ResourceSettings {
  /** Default: the built-in ones alone. */
  readonly apps?: AppsOption;
  /** In the place of the option `authenticate`. */
  readonly authenticate?: readonly AuthenticateOption[];
  /** In the place of the option `allow`. */
  readonly allow?: Allow;
}

export type ResourceOption = AppsOption | ResourceSettings;

/** An app has `opcodes`; what has none is how a resource is to be. */
export function isSettings(given: ResourceOption): given is ResourceSettings {
  return typeof given === "object" && given !== null && !Array.isArray(given) && !("opcodes" in given);
}

/** One way to find out who somebody is; a function is asked with what the handshake shows, and again with the token of a hello. */
export type AuthenticateOption = Authenticator | ((credentials: Credentials) => Identity | undefined | Promise<Identity | undefined>);

/** May only stand in a configuration file, or be given by a program. */
export const isForFiles = (name: OptionName): boolean => ["resources", "authenticators", "rules"].includes(OPTIONS[name].type);

/** Limits of the dialog and of the listeners: name, unit, default and reason stand in {@link OPTIONS}. */
export interface Limits {
  maxMessage: number;
  maxDepth: number;
  maxFirstLine: number;
  maxWindow: number;
  maxQueued: number;
  maxKept: number;
  maxHeld: number;
  grace: number;
  reloadGrace: number;
  maxBuffered: number;
  handshakeTimeout: number;
  authTimeout: number;
  expiryWarning: number;
  localHandshakeTimeout: number;
  appTimeout: number;
  bufferTimeout: number;
  pingInterval: number;
  stopTimeout: number;
  maxHandshakes: number;
  maxConnections: number;
  maxPerAddress: number;
  maxPerUser: number;
  maxBackends: number;
  maxRate: number;
  maxByteRate: number;
  maxJobs: number;
  jobUpdates: number;
  jobLostAfter: number;
  jobIdleAfter: number;
  jobAnswerAfter: number;
  jobKeepFor: number;
  lease: number;
  maxLocks: number;
  maxLocksPerUser: number;
  maxLocksInAll: number;
  maxKeys: number;
  maxStateBytes: number;
  maxWatches: number;
}

export interface Options extends Limits {
  listen: readonly string[];
  admin: string;
  resources: Readonly<Record<string, ResourceOption>>;
  authenticate: readonly AuthenticateOption[];
  allow: Allow;
  trust: string;
  origins: readonly string[];
  allowedHosts: readonly string[];
  trustedProxies: readonly string[];
  proxyHeader: string;
  proxyProtocol: boolean;
  backendKey: string;
  tlsCert: string;
  tlsKey: string;
  tlsClientCa: string;
  logLevel: string;
  logFormat: string;
  demo: boolean;
  demoFolder: string;
}

interface Spec<T> {
  readonly type: "integer" | "text" | "list" | "flag" | "resources" | "authenticators" | "rules";
  readonly default: T;
  /** What the number counts. */
  readonly unit?: string;
  readonly min?: number;
  readonly oneOf?: readonly string[];
  /** What it means, and where a default comes from. */
  readonly about: string;
  /** Never on a command line, where every process can read it, and never printed. */
  readonly secret?: true;
}

const KiB = 1024;
const MiB = 1024 * KiB;

/** Every option of the hub. In the environment: `SIGNALBOX_` and the name in capitals, `SIGNALBOX_MAX_MESSAGE`; as a flag: `--max-message`. */
export const OPTIONS: { readonly [K in keyof Options]: Spec<Options[K]> } = {
  listen: {
    type: "list",
    default: ["ws://127.0.0.1:8096", "tcp://127.0.0.1:8097"],
    about: "Where it listens: ws://, wss://, tcp://, tls:// or unix:PATH. Port 0 is any free one. Default: this host only.",
  },
  admin: {
    type: "text",
    default: "",
    about: "Where operators ask for /health, /status and /metrics: tcp://127.0.0.1:PORT or unix:PATH, on this host only. Off.",
  },
  resources: { type: "resources", default: {}, about: "Apps by path, beside the built-in ones on /, /web and /php." },
  authenticate: {
    type: "authenticators",
    default: [],
    about:
      "How it is found out who a page is, and a backend of another host: authenticators, asked in their order. None: everybody may come in.",
  },
  allow: {
    type: "rules",
    default: {},
    about: "Who may say what: rules by opcode, `readonly`, or a function. None: everybody, but for what apps reserve.",
  },
  trust: {
    type: "text",
    default: "local",
    oneOf: ["local", "nobody"],
    about: "Backends that are let in whoever they are: those of this host, or nobody.",
  },
  origins: {
    type: "list",
    default: [],
    about: "Origins of pages that may connect, beside the listener's own: scheme://host:port, or * for any.",
  },
  allowedHosts: {
    type: "list",
    default: [],
    about: "Host names the hub answers to, beside the address it listens on; a loopback listener answers to localhost names.",
  },
  trustedProxies: {
    type: "list",
    default: [],
    about: "Addresses or networks (10.0.0.0/8) of proxies whose word on where a page comes from is believed.",
  },
  proxyHeader: {
    type: "text",
    default: "x-forwarded-for",
    oneOf: ["x-forwarded-for", "forwarded"],
    about: "The header in which they say so. Only one: the other would be the page's own.",
  },
  proxyProtocol: {
    type: "flag",
    default: false,
    about:
      "Connections from `trustedProxies` begin with a PROXY header (v1 or v2), which says where they come from; unix sockets never do.",
  },
  backendKey: { type: "text", default: "", secret: true, about: "What backends of other hosts show as `token` in their hello." },
  tlsCert: { type: "text", default: "", about: "File with the certificate chain (PEM) for wss:// and tls://." },
  tlsKey: { type: "text", default: "", about: "File with its private key (PEM)." },
  tlsClientCa: { type: "text", default: "", about: "File with the CA (PEM) whose client certificates tls:// demands." },
  logLevel: { type: "text", default: "info", oneOf: ["error", "warn", "info", "debug"], about: "What is logged." },
  logFormat: { type: "text", default: "auto", oneOf: ["auto", "json", "text"], about: "json, text, or auto: text on a terminal." },
  demo: { type: "flag", default: false, about: "Serves the demo page and its job on /demo. Off: it starts processes on behalf of pages." },
  demoFolder: { type: "text", default: ".", about: "The folder whose files the demo's job reads." },
  maxMessage: {
    type: "integer",
    default: MiB,
    unit: "bytes",
    min: KiB,
    about: "One message, or the pieces of one. A report is small; a file belongs elsewhere.",
  },
  maxDepth: {
    type: "integer",
    default: 64,
    unit: "levels",
    min: 2,
    about: "Nested JSON. JSON.stringify fails from about 5,000; nobody writes 64.",
  },
  maxFirstLine: {
    type: "integer",
    default: 8 * KiB,
    unit: "bytes",
    min: 256,
    about: "First line of a backend: a hello with many tags takes 4 KiB.",
  },
  maxWindow: {
    type: "integer",
    default: 256,
    unit: "messages",
    min: 1,
    about: "Under way for one peer. Covers 25 ms of round trip at 10,000 messages a second.",
  },
  maxQueued: {
    type: "integer",
    default: 2 * MiB,
    unit: "bytes",
    min: 65 * KiB,
    about: "Waiting for one peer to read. Must exceed maxMessage by 64 KiB, or one echo makes a good page slow.",
  },
  maxKept: {
    type: "integer",
    default: MiB,
    unit: "bytes",
    min: 65 * KiB,
    about: "Written to a page, not seen by its code, and kept to be sent again. It says what it has seen every 64 KiB.",
  },
  maxHeld: {
    type: "integer",
    default: 10_000,
    unit: "pages",
    min: 0,
    about: "Pages held while their connection is gone; above, the longest held ends.",
  },
  grace: {
    type: "integer",
    default: 30_000,
    unit: "ms",
    min: 0,
    about: "A page whose connection broke is held: a walk between two access points, a proxy that restarts.",
  },
  reloadGrace: {
    type: "integer",
    default: 5_000,
    unit: "ms",
    min: 0,
    about: "A page that was reloaded or closed is held: nobody can tell which, and a reload takes a second or two.",
  },
  maxBuffered: {
    type: "integer",
    default: 256 * MiB,
    unit: "bytes",
    min: MiB,
    about: "Waiting for all peers together; above, new work is refused.",
  },
  handshakeTimeout: { type: "integer", default: 10_000, unit: "ms", min: 10, about: "To the first message." },
  localHandshakeTimeout: {
    type: "integer",
    default: 60_000,
    unit: "ms",
    min: 10,
    about: "To the first line from this host: a person may be typing it.",
  },
  authTimeout: {
    type: "integer",
    default: 5_000,
    unit: "ms",
    min: 10,
    about: "For an authenticator to answer; then nobody is let in (503). Below the 10 s after which a client gives up.",
  },
  expiryWarning: {
    type: "integer",
    default: 60_000,
    unit: "ms",
    min: 10,
    about: "Before a login expires its page is told, and has so long to show another token.",
  },
  appTimeout: {
    type: "integer",
    default: 30_000,
    unit: "ms",
    min: 10,
    about: "For a handler to settle; then its message is refused and its credit free.",
  },
  bufferTimeout: { type: "integer", default: 30_000, unit: "ms", min: 10, about: "Between two pieces of a message." },
  pingInterval: {
    type: "integer",
    default: 20_000,
    unit: "ms",
    min: 10,
    about: "Heartbeat. Below the 30 to 60 s after which proxies drop a silent connection.",
  },
  stopTimeout: {
    type: "integer",
    default: 2_000,
    unit: "ms",
    min: 10,
    about: "For handlers to finish at shutdown, and again for apps to stop: below 5 s together.",
  },
  maxHandshakes: {
    type: "integer",
    default: 1_000,
    unit: "connections",
    min: 1,
    about: "Unfinished handshakes. 2,000 pages return after a restart within seconds.",
  },
  maxConnections: {
    type: "integer",
    default: 20_000,
    unit: "connections",
    min: 1,
    about: "Peers in total; one page takes about 20 KiB of memory.",
  },
  maxPerAddress: {
    type: "integer",
    default: 100,
    unit: "connections",
    min: 1,
    about: "From one address; this host is exempt. A user has tens of tabs, not hundreds.",
  },
  maxPerUser: {
    type: "integer",
    default: 100,
    unit: "pages",
    min: 1,
    about: "Of one user, on all machines, those included that are away. As for an address: tens of tabs, not hundreds.",
  },
  maxBackends: { type: "integer", default: 256, unit: "connections", min: 1, about: "TCP peers: jobs under way, not users." },
  maxRate: {
    type: "integer",
    default: 500,
    unit: "messages a second",
    min: 1,
    about: "Of one peer, twice that after a rest; faster ones wait for their turn. Backends of this host are exempt. A person makes ten.",
  },
  maxByteRate: {
    type: "integer",
    default: 4 * MiB,
    unit: "bytes a second",
    min: KiB,
    about: "The same in bytes: a tenth of what a hub takes from one socket.",
  },
  maxJobs: {
    type: "integer",
    default: 100,
    unit: "jobs",
    min: 1,
    about: "Of one page, those included that have ended and are remembered. Nobody looks at 100 bars.",
  },
  jobUpdates: {
    type: "integer",
    default: 10,
    unit: "times a second",
    min: 1,
    about: "A page is told of one job; faster than that nobody reads.",
  },
  jobLostAfter: {
    type: "integer",
    default: 5_000,
    unit: "ms",
    min: 1,
    about: "A job is lost when its connection has died: time for a backend to connect again.",
  },
  jobIdleAfter: {
    type: "integer",
    default: 900_000,
    unit: "ms",
    min: 1,
    about: "A job without a connection is lost when nothing was heard of it: longer than one step of a script.",
  },
  jobAnswerAfter: {
    type: "integer",
    default: 10_000,
    unit: "ms",
    min: 1,
    about: "For a job to end that was told to; then its user is told that it does not react.",
  },
  jobKeepFor: {
    type: "integer",
    default: 600_000,
    unit: "ms",
    min: 1,
    about: "A job that has ended is remembered, for a page that comes back from a coffee.",
  },
  lease: {
    type: "integer",
    default: 10_000,
    unit: "ms",
    min: 2_000,
    about: "What the pages of a hub hold is free for others when the hub stood still for so long. It gives a sign of life every second.",
  },
  maxLocks: {
    type: "integer",
    default: 10_000,
    unit: "ids",
    min: 1,
    about: "Listed or locked by one page. Nobody scrolls through more rows.",
  },
  maxLocksPerUser: {
    type: "integer",
    default: 50_000,
    unit: "ids",
    min: 1,
    about: "Listed or locked by all pages of one user: five with all they may have.",
  },
  maxLocksInAll: {
    type: "integer",
    default: 1_000_000,
    unit: "ids",
    min: 1,
    about:
      "Listed or locked by all pages of the hub together: 100 pages with all they may have. An id takes 400 bytes, so 400 MB; a long one in a space of its own 1,100.",
  },
  maxKeys: {
    type: "integer",
    default: 100_000,
    unit: "keys",
    min: 1,
    about: "Of shared state in total: at 300 bytes each 30 MB.",
  },
  maxStateBytes: {
    type: "integer",
    default: 64 * MiB,
    unit: "bytes",
    min: KiB,
    about: "Keys and values of shared state in total, as JSON. State is a summary; data belongs into the database.",
  },
  maxWatches: {
    type: "integer",
    default: 100,
    unit: "patterns",
    min: 1,
    about: "Watched by one peer. A page shows a few kinds of state.",
  },
};

export type OptionName = keyof Options;

export const OPTION_NAMES = Object.keys(OPTIONS) as OptionName[];

/** What is wrong with the configuration, in a sentence that names the option, the rule and what came. */
export class OptionError extends Error {
  override name = "OptionError";
}

/** The longest time a timer can wait, ms: above it Node's would not wait at all. */
const MAX_TIMER = 2 ** 31 - 1;

/** How much larger than one message a peer's queue must be, in bytes: an answer and a few pushes beside an echo. */
const QUEUE_MARGIN = 64 * KiB;

/**
 * Checks what was given and fills in the defaults.
 * @throws OptionError
 */
export function resolveOptions(given: Partial<Options>): Options {
  const options: Record<string, unknown> = Object.create(null);
  for (const name of Object.keys(given)) checkName(name);
  for (const name of OPTION_NAMES) {
    const value = given[name];
    options[name] = value === undefined ? OPTIONS[name].default : checkValue(name, value);
  }
  const all = options as unknown as Options;
  if (all.maxQueued < all.maxMessage + QUEUE_MARGIN) {
    throw new OptionError(
      `Expected \`maxQueued\` to be at least \`maxMessage\` + ${QUEUE_MARGIN} = ${all.maxMessage + QUEUE_MARGIN} (bytes), got \`${all.maxQueued}\`.`,
    );
  }
  for (const origin of all.origins) checkOrigin(origin);
  checkProxies(all.trustedProxies);
  if (all.proxyProtocol && all.trustedProxies.length === 0)
    throw new OptionError("`proxyProtocol` needs `trustedProxies`: nobody's header would be believed.");
  return { ...all };
}

function checkOrigin(origin: string): void {
  const looksRight = origin.length <= MAX_ORIGIN && /^https?:\/\/[^/?#@\s]+\/?$/i.test(origin);
  if (origin === "*" || (looksRight && URL.canParse(origin))) return;
  throw new OptionError(`Expected \`origins\` to be like http://host:port, or *, got ${quoted(origin)}.`);
}

/** Entries of a list: each connection of a page is compared with all of them, and nobody has so many proxies or names. */
const MAX_ENTRIES = 256;

function checkProxies(proxies: readonly string[]): void {
  try {
    new TrustedProxies(proxies);
  } catch (error) {
    throw new OptionError(`\`trustedProxies\`: ${(error as Error).message}`);
  }
}

function checkName(name: string): asserts name is OptionName {
  if (Object.hasOwn(OPTIONS, name)) return;
  throw new OptionError(`Unknown option ${quoted(name)}: did you mean \`${nearest(name, OPTION_NAMES)}\`?`);
}

/** @throws OptionError */
export function checkValue(name: OptionName, value: unknown): unknown {
  const spec = OPTIONS[name];
  const { unit, min = 0 } = spec;
  const max = unit === "ms" ? MAX_TIMER : Number.MAX_SAFE_INTEGER;
  const wrong = (rule: string): OptionError =>
    new OptionError(`Expected \`${name}\` to be ${rule}, got ${spec.secret ? "something else" : quoted(value)}.`);
  switch (spec.type) {
    case "integer":
      if (!Number.isSafeInteger(value) || (value as number) < min) throw wrong(`an integer of at least ${min} (${unit})`);
      if ((value as number) > max) throw wrong(`an integer of at most ${max} (${unit})`);
      return value;
    case "flag":
      if (typeof value !== "boolean") throw wrong("true or false");
      return value;
    case "list":
      if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) throw wrong("a list of strings");
      if (value.length > MAX_ENTRIES) throw wrong(`a list of at most ${MAX_ENTRIES} strings`);
      return value;
    case "text":
      if (typeof value !== "string" || (spec.oneOf && !spec.oneOf.includes(value)))
        throw wrong(spec.oneOf ? `one of ${spec.oneOf.join(", ")}` : "a string");
      return value;
    case "authenticators":
      if (!Array.isArray(value) || !value.every(isAuthenticator)) throw wrong("a list of authenticators or functions");
      return value;
    case "rules":
      try {
        checkAllow("*", value);
      } catch (error) {
        throw new OptionError((error as Error).message);
      }
      return value;
    default:
      if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong("an object of apps by path");
      return value;
  }
}

/**
 * An option as text, from the environment or a flag.
 * @throws OptionError
 */
export function parseOption(name: OptionName, text: string): unknown {
  const spec = OPTIONS[name];
  switch (spec.type) {
    case "integer":
      return /^\d+$/.test(text) ? Number(text) : checkValue(name, text);
    case "flag":
      if (["1", "true", "yes", "on"].includes(text)) return true;
      if (["0", "false", "no", "off", ""].includes(text)) return false;
      return checkValue(name, text);
    case "list": {
      const items = text.split(",", MAX_ENTRIES + 1);
      // Empty ones count here, so that none is cut off unseen.
      if (items.length > MAX_ENTRIES) return checkValue(name, items);
      return items.map((item) => item.trim()).filter((item) => item !== "");
    }
    case "text":
      return text;
    default:
      throw new OptionError(`\`${name}\` can only be given in a configuration file.`);
  }
}

/** `maxMessage` as `SIGNALBOX_MAX_MESSAGE`. */
export const environmentName = (name: OptionName): string => `SIGNALBOX_${words(name).join("_").toUpperCase()}`;

/** `maxMessage` as `max-message`. */
export const flagName = (name: OptionName): string => words(name).join("-");

function words(name: string): string[] {
  return name.split(/(?=[A-Z])/).map((word) => word.toLowerCase());
}

/** Characters of a name that are compared: of one that is longer no more is shown either. */
const MAX_COMPARED = 64;

/** The name that takes the fewest changes of a letter (Levenshtein's distance); what begins alike is likelier meant. */
export function nearest(name: string, names: readonly string[]): string {
  const given = name.slice(0, MAX_COMPARED).toLowerCase();
  const scored = names.map((candidate) => {
    const other = candidate.toLowerCase();
    return { candidate, distance: distance(given, other) - commonPrefix(given, other) };
  });
  return scored.reduce((best, each) => (each.distance < best.distance ? each : best)).candidate;
}

function commonPrefix(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

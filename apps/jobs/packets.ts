import { MAX_NAME, type Packet, quoted, Refusal, splitWord, UUID_LENGTH } from "../../protocol/index.js";

/** How a run can end: a backend says the first three, the hub finds the last [JOB-6]. */
export type Ended = "done" | "failed" | "aborted" | "lost";

/** What a job is, as its page is told (PROTOCOL.md, chapter 16). */
export interface JobInfo {
  readonly job: string;
  readonly state: "running" | "stopping" | Ended;
  readonly at?: number | undefined;
  readonly of?: number | undefined;
  readonly message?: string | undefined;
  readonly title?: string | undefined;
  readonly cancellable: boolean;
  readonly unanswered?: true | undefined;
  /** ms since 1970; names the run. */
  readonly started: number;
  readonly ended?: number | undefined;
  /** Of `at`, per second. */
  readonly rate?: number | undefined;
  /** ms. */
  readonly left?: number | undefined;
  readonly result?: unknown;
}

/** Which job a backend speaks of. */
export interface About {
  readonly uuid: string;
  readonly name: string;
  /** A name that the backend made up for the run [JOB-7]. */
  readonly run: string | undefined;
}

/** What a report says anew: `undefined` leaves it as it was, `null` makes it unknown again [JOB-2]. */
export interface Report extends About {
  readonly at: number | null | undefined;
  readonly of: number | null | undefined;
  readonly message: string | null | undefined;
  readonly title: string | null | undefined;
  readonly cancellable: boolean | undefined;
}

export interface Ending extends About {
  readonly state: Exclude<Ended, "lost">;
  readonly message: string | null | undefined;
  readonly result: unknown;
}

/** What the hub of a page tells that of a backend: a run is over. */
export interface Over {
  readonly what: "over";
  readonly page: string;
  readonly name: string;
}

export const DEFAULT_NAME = "job";
/** Characters of `message` and `title`: a line for people. */
const MAX_TEXT = 1_000;
/** Bytes of it as JSON: three for a character of Chinese; control characters take six. */
const MAX_TEXT_BYTES = 4_000;
/** Characters of a backend's name for a run: a UUID has 36. */
const MAX_RUN = 64;
/** Bytes of a result as JSON: it is kept for `jobKeepFor`, and 100 of them fit into one list. */
const MAX_RESULT = 8_192;
const ENDINGS: readonly string[] = ["done", "failed", "aborted"];

/** @throws Refusal `bad-message` */
export function reportOf(packet: Packet): Report {
  return {
    ...aboutOf(packet),
    at: amountOf(packet, "at", (value) => value >= 0, "a number of at least 0"),
    of: amountOf(packet, "of", (value) => value > 0, "a number above 0"),
    message: textOf(packet, "message"),
    title: textOf(packet, "title"),
    cancellable: flagOf(packet, "cancellable"),
  };
}

/** @throws Refusal `bad-message` */
export function endingOf(packet: Packet): Ending {
  const { state, result } = packet;
  if (typeof state !== "string" || !ENDINGS.includes(state)) throw wrong("state", `one of ${ENDINGS.join(", ")}`, state);
  const size = sizeOf(result);
  if (size > MAX_RESULT) throw wrong("result", `at most ${MAX_RESULT} bytes of JSON`, `${size} bytes`);
  return { ...aboutOf(packet), state: state as Ending["state"], message: textOf(packet, "message"), result };
}

/** Bytes of it as JSON. */
export function sizeOf(value: unknown): number {
  return value === undefined ? 0 : Buffer.byteLength(JSON.stringify(value));
}

/** The name of a page's own job, in `cancel`. @throws Refusal `bad-message` */
export function nameOf({ job }: Packet): string {
  if (job === undefined || job === "") return DEFAULT_NAME;
  if (typeof job === "string" && job.length <= MAX_NAME) return job;
  throw wrong("job", `a string of at most ${MAX_NAME} characters`, job);
}

/** @throws Refusal `bad-message` */
export function reasonOf({ reason }: Packet): string {
  if (reason === undefined || reason === "") return "user";
  if (typeof reason === "string" && reason.length <= MAX_NAME) return reason;
  throw wrong("reason", `a string of at most ${MAX_NAME} characters`, reason);
}

/** `UUID[~JOB[~RUN]] [AT/OF|N%] [MESSAGE]` [JOB-3]. @throws Refusal `bad-message` */
export function progressWords(args: string): Packet {
  const [about, rest] = splitAbout(args);
  const [first, message] = splitWord(rest);
  const amount = amountsIn(first);
  const text = amount === undefined ? rest : message;
  return { opcode: "progress", ...about, ...amount, ...(text === "" ? undefined : { message: text }) };
}

/** `UUID[~JOB[~RUN]] STATE [MESSAGE]` [JOB-3]. @throws Refusal `bad-message` */
export function endWords(args: string): Packet {
  const [about, rest] = splitAbout(args);
  const [state, message] = splitWord(rest);
  return { opcode: "end", ...about, state, ...(message === "" ? undefined : { message }) };
}

function aboutOf(packet: Packet): About {
  const { uuid, run } = packet;
  if (typeof uuid !== "string" || uuid.length !== UUID_LENGTH) throw wrong("uuid", `a page's UUID of ${UUID_LENGTH} characters`, uuid);
  if (run !== undefined && (typeof run !== "string" || run.length > MAX_RUN))
    throw wrong("run", `a string of at most ${MAX_RUN} characters`, run);
  return { uuid, name: nameOf(packet), run };
}

function amountOf(packet: Packet, field: "at" | "of", fits: (value: number) => boolean, rule: string): number | null | undefined {
  const value = packet[field];
  if (value === undefined || value === null) return value;
  if (typeof value === "number" && Number.isFinite(value) && fits(value)) return value;
  throw wrong(field, rule, value);
}

function textOf(packet: Packet, field: "message" | "title"): string | null | undefined {
  const value = packet[field];
  if (value === undefined || value === null) return value;
  if (typeof value !== "string") throw wrong(field, "a string", value);
  if (value.length > MAX_TEXT) throw wrong(field, `a string of at most ${MAX_TEXT} characters`, `${value.length} characters`);
  const size = sizeOf(value);
  if (size > MAX_TEXT_BYTES) throw wrong(field, `at most ${MAX_TEXT_BYTES} bytes of JSON`, `${size} bytes`);
  return value;
}

function flagOf(packet: Packet, field: "cancellable"): boolean | undefined {
  const value = packet[field];
  if (value === undefined || typeof value === "boolean") return value;
  throw wrong(field, "true or false", value);
}

function splitAbout(args: string): [about: { uuid: string; job?: string; run?: string }, rest: string] {
  const [first, rest] = splitWord(args);
  const uuid = first.slice(0, UUID_LENGTH);
  const tail = first.slice(UUID_LENGTH);
  if (uuid.length < UUID_LENGTH || (tail !== "" && !tail.startsWith("~"))) {
    throw new Refusal(
      "bad-message",
      `Expected UUID or UUID~JOB behind the command, the UUID of ${UUID_LENGTH} characters, got ${quoted(first)}.`,
    );
  }
  const [, job = "", run] = tail.split("~");
  return [{ uuid, ...(job === "" ? undefined : { job }), ...(run === undefined ? undefined : { run }) }, rest];
}

/** A word with a number in front of `/` or `%` is meant as an amount, even where it is a wrong one; all else is text. */
function amountsIn(word: string): { at: number; of: number } | undefined {
  const match = /^([-+]?[\d.]+|NaN)(?:\/([-+]?[\d.]+|NaN)|%)$/.exec(word);
  if (match === null) return undefined;
  const [at, of] = [Number(match[1]), Number(match[2] ?? 100)];
  if (at >= 0 && of > 0 && at <= of) return { at, of };
  throw new Refusal("bad-message", `Expected the amount to be AT/OF with 0 ≤ AT ≤ OF and OF above 0, or 0% to 100%, got ${quoted(word)}.`);
}

function wrong(field: string, rule: string, value: unknown): Refusal {
  return new Refusal("bad-message", `Expected \`${field}\` to be ${rule}, got ${quoted(value)}.`);
}

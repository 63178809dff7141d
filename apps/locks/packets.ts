import { type Packet, quoted, Refusal, splitWord, utf8Length } from "../../protocol/index.js";
import { isName, MAX_KEY, MAX_PUBLIC_NAME, wrong } from "../keys/names.js";

/** Whose an id is, as all are told (PROTOCOL.md, chapter 17). */
export interface Holding {
  /** The holder's name; not its UUID. */
  readonly by: string;
  /** ms since 1970. */
  readonly since: number;
  /** `reconnecting`: its page is away and may return. */
  readonly state: "held" | "reconnecting";
}

/** The ids a message is about. */
export interface Ids {
  readonly space: string;
  readonly ids: readonly string[];
}

/** Numbers of the app: unit, default and reason of each stand in the hub's options. */
export interface LockLimits {
  /** Ids that one page lists or has locked. */
  readonly maxLocks: number;
  /** The same of all pages of one user. */
  readonly maxLocksPerUser: number;
  /** The same of all pages of this hub together. */
  readonly maxLocksInAll: number;
  /** Bytes that may wait for one peer. */
  readonly maxQueued: number;
}

/** Bytes that a holding takes in an answer, beside its id: `{"by":"…","since":1795000000000,"state":"reconnecting"}`. */
const BYTES_A_HOLDING = 64 + MAX_PUBLIC_NAME;
/** How much of what may wait for a peer one answer may take: other things wait for it as well. */
const SHARE_OF_QUEUE = 3 / 4;

/** Not in a space, whose end it marks in a key. */
const END_OF_SPACE = "\0";
const NAME = `a text of 1 to ${MAX_KEY} bytes`;

export const keyOf = (space: string, id: string): string => space + END_OF_SPACE + id;
export const prefixOf = (space: string): string => space + END_OF_SPACE;

export function splitKey(key: string): [space: string, id: string] {
  const end = key.indexOf(END_OF_SPACE);
  return [key.slice(0, end), key.slice(end + 1)];
}

/** @throws Refusal `bad-message` */
export function spaceOf({ space }: Packet): string {
  if (isName(space) && !space.includes(END_OF_SPACE)) return space;
  throw wrong("`space`", `${NAME} without NUL`, space);
}

/** One bad id refuses all [LOCK-2]. @throws Refusal `bad-message`, `too-many-locks` */
export function idsOf(packet: Packet, { maxLocks, maxQueued }: LockLimits): Ids {
  const { ids: given } = packet;
  if (!Array.isArray(given)) throw wrong("`ids`", "a list", given);
  checkCount(given.length, maxLocks);
  const space = spaceOf(packet);
  const ids = [...new Set(given.map((id: unknown, i) => idFrom(id, `\`ids\`[${i}]`)))];
  const answer = ids.reduce((sum, id) => sum + sizeInAnswer(id), 0);
  if (answer > maxQueued * SHARE_OF_QUEUE) {
    throw new Refusal(
      "too-many-locks",
      `Expected ids whose answer fits into \`maxQueued\` ${maxQueued} bytes, got ${ids.length} that may take ${answer}.`,
    );
  }
  return { space, ids };
}

/** Bytes that an id with its holding takes in an answer, at most. */
export const sizeInAnswer = (id: string): number => utf8Length(JSON.stringify(id)) + BYTES_A_HOLDING;

/** @throws Refusal `too-many-locks` */
export function checkCount(count: number, maxLocks: number): void {
  if (count > maxLocks) throw new Refusal("too-many-locks", `Expected at most \`maxLocks\` ${maxLocks} ids of one page, got ${count}.`);
}

/** @throws Refusal `bad-message` */
export function idOf({ id }: Packet): string {
  return idFrom(id, "`id`");
}

/** @throws Refusal `bad-message` */
export function fenceOf({ fence }: Packet): number {
  if (Number.isSafeInteger(fence) && (fence as number) > 0) return fence as number;
  throw wrong("`fence`", "the integer that came with the lock", fence);
}

/** `check SPACE ID FENCE`: the id may have blanks in it. @throws Refusal `bad-message` */
export function checkWords(args: string): Packet {
  const [space, rest] = splitWord(args);
  const blank = rest.lastIndexOf(" ");
  const fence = rest.slice(blank + 1);
  if (blank < 1 || !/^\d+$/.test(fence)) throw wrong("what stands behind `check`", "SPACE ID FENCE", args);
  return { opcode: "check", space, id: rest.slice(0, blank), fence: Number(fence) };
}

/** `locks SPACE`. @throws Refusal `bad-message` */
export function locksWords(space: string): Packet {
  if (space === "") throw wrong("what stands behind `locks`", "a SPACE", space);
  return { opcode: "locks", space };
}

/** `break SPACE ID`. @throws Refusal `bad-message` */
export function breakWords(args: string): Packet {
  const [space, id] = splitWord(args);
  if (id === "") throw wrong("what stands behind `break`", "SPACE ID", args);
  return { opcode: "break", space, id };
}

/** A number is an id in decimal. */
function idFrom(id: unknown, where: string): string {
  if (isName(id)) return id;
  if (Number.isSafeInteger(id)) return String(id);
  throw wrong(where, `${NAME} or an integer`, typeof id === "string" && id.length > MAX_KEY ? `${id.length} characters` : id);
}

/** Says who has it, for people. */
export const heldBy = (id: string, { by }: Holding): string => `${quoted(id)} is held by ${quoted(by)}`;

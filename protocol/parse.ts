import { quoted, Refusal } from "./errors.js";
import type { Packet, Ref } from "./packets.js";

/** Characters that any text nested deeper than 64 levels needs at least: an opening and a closing bracket a level. */
const CHARACTERS_A_LEVEL = 2;
const MAX_REF = 128;

/**
 * One message of a peer as a packet.
 * @throws Refusal `bad-json`, `too-deep` or `bad-message`; never a piece of the text in it [PKT-5]
 */
export function parseMessage(text: string, maxDepth: number): Packet {
  if (text.length > maxDepth * CHARACTERS_A_LEVEL && depthOf(text, maxDepth) > maxDepth) {
    throw new Refusal("too-deep", `Expected JSON of at most \`maxDepth\` ${maxDepth} levels, got more.`);
  }
  return parsePacket(text);
}

/**
 * The same of somebody who may nest as deep as he likes: a client trusts its hub.
 * @throws Refusal `bad-json` or `bad-message`
 */
export function parsePacket(text: string): Packet {
  const value = parseJson(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Refusal("bad-message", `Expected a JSON object with an \`opcode\`, got ${kindOf(value)}.`);
  }
  const packet = value as Packet;
  if (typeof packet.opcode !== "string" || packet.opcode === "") {
    throw new Refusal("bad-message", `Expected \`opcode\` to be a string that is not empty, got ${kindOf(packet.opcode)}.`);
  }
  // An own key of that name is harmless here, and turns into a prototype wherever somebody copies it [PKT-4].
  if (Object.hasOwn(packet, "__proto__")) Reflect.deleteProperty(packet, "__proto__");
  return packet;
}

/**
 * The message's name for itself, if it has one [NEXT-2].
 * @throws Refusal `bad-message` where it is neither a number nor a short string
 */
export function refOf(packet: Packet): Ref | undefined {
  const ref = packet.ref;
  if (ref === undefined || (typeof ref === "number" && Number.isFinite(ref))) return ref;
  if (typeof ref === "string" && ref.length <= MAX_REF) return ref;
  throw new Refusal("bad-message", `Expected \`ref\` to be a number or a string of at most ${MAX_REF} characters, got ${kindOf(ref)}.`);
}

/** Longest text that is looked at as a possible `seen`: the packet with white space and a ref to spare. */
const MAX_SEEN = 256;

/** The count in a `seen` packet, valid or not; `undefined` where the text is none. Cheap for everything else. */
export function parseSeen(text: string): number | undefined {
  if (text.length > MAX_SEEN || !text.includes("seen")) return undefined;
  try {
    const packet = JSON.parse(text) as { opcode?: unknown; n?: unknown } | null;
    return packet?.opcode === "seen" ? (typeof packet.n === "number" ? packet.n : Number.NaN) : undefined;
  } catch {
    return undefined;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // The engine's sentence quotes the text; only the place may go out, and that stands at its end.
    const place = / at position (\d+)(?: \(line \d+ column \d+\))?$/.exec((error as Error).message)?.[1];
    const where = place === undefined ? "" : `, stopped at character ${place}`;
    throw new Refusal("bad-json", `Expected JSON, got a text of ${text.length} characters that is not${where}.`);
  }
}

function kindOf(value: unknown): string {
  if (typeof value === "string") return value === "" ? "an empty string" : `a string of ${value.length} characters`;
  if (typeof value === "number" || typeof value === "boolean") return `a ${typeof value}`;
  return quoted(value);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** How deep objects and arrays nest, read from the text so that no recursion ever meets a bomb. Stops counting above `enough`. */
export function depthOf(text: string, enough: number): number {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) i = endOfString(text, i);
    else if (c === 0x7b || c === 0x5b) {
      if (++depth > deepest) deepest = depth;
      if (deepest > enough) return deepest;
    } else if (c === 0x7d || c === 0x5d) depth--;
  }
  return deepest;
}

function endOfString(text: string, start: number): number {
  let end = start;
  do {
    end = text.indexOf('"', end + 1);
    if (end === -1) return text.length;
  } while (isEscaped(text, end));
  return end;
}

/** A quote is part of the string when an odd number of backslashes stands before it. */
function isEscaped(text: string, quote: number): boolean {
  let i = quote - 1;
  while (text.charCodeAt(i) === BACKSLASH) i--;
  return (quote - 1 - i) % 2 === 1;
}

import { type Packet, quoted, Refusal, splitWord } from "../../protocol/index.js";
import type { Query } from "../../server/app.js";
import { isName, MAX_KEY, wrong } from "../keys/names.js";

/** What stands in the table for a key. */
export interface Kept {
  readonly value: unknown;
  /** Bytes of key and value as JSON, for the limits. */
  readonly size: number;
  /** Of a key that goes with its owner: who that is, and since when, ms since 1970. */
  readonly by?: string;
  readonly since?: number;
}

/** Bytes of a value as JSON: state is what fits on a screen. */
export const MAX_VALUE = 65_536;
/** At the end of a key it stands for a name that each peer has for itself [STATE-6]. */
export const OWN = "/~";

/** @throws Refusal `bad-message` */
export function keyOf({ key }: Packet): string {
  if (isName(key) && !key.includes("*")) return key;
  throw wrong("`key`", `a text of 1 to ${MAX_KEY} bytes without a \`*\``, key);
}

/** A key, or a prefix that ends in `*` [STATE-2]. @throws Refusal `bad-message`, `too-many-watches` */
export function patternsOf({ keys }: Packet, max: number): readonly string[] {
  if (!Array.isArray(keys) || keys.length === 0) throw wrong("`keys`", "a list of keys, or prefixes ending in `*`", keys);
  checkWatches(keys.length, max);
  for (const [i, each] of keys.entries()) {
    const star = isName(each) ? each.indexOf("*") : -2;
    if (star === -2 || (star !== -1 && star !== (each as string).length - 1))
      throw wrong(`\`keys\`[${i}]`, `a text of 1 to ${MAX_KEY} bytes with a \`*\` at its end or none`, each);
  }
  return [...new Set(keys as string[])];
}

/** @throws Refusal `too-many-watches` */
export function checkWatches(count: number, max: number): void {
  if (count > max) throw new Refusal("too-many-watches", `Expected at most \`maxWatches\` ${max} patterns of one peer, got ${count}.`);
}

export function queryOf(patterns: readonly string[]): Query {
  return {
    keys: patterns.filter((each) => !each.endsWith("*")),
    prefixes: patterns.filter((each) => each.endsWith("*")).map((each) => each.slice(0, -1)),
  };
}

/** A value with what it costs. @throws Refusal `bad-message` */
export function keptOf(key: string, { value }: Packet): Kept {
  if (value === undefined) throw wrong("`value`", "there: any JSON", value);
  const bytes = Buffer.byteLength(JSON.stringify(value));
  if (bytes > MAX_VALUE) throw wrong("`value`", `at most ${MAX_VALUE} bytes of JSON`, `${bytes} bytes`);
  return { value, size: Buffer.byteLength(key) + bytes };
}

/** @throws Refusal `bad-message` */
export function ifOf(packet: Packet): number | undefined {
  const version = packet.if;
  if (version === undefined || (Number.isSafeInteger(version) && (version as number) >= 0)) return version as number | undefined;
  throw wrong("`if`", "a version, or 0 where the key must not exist", version);
}

/** @throws Refusal `bad-message` */
export function willOf({ will }: Packet): boolean {
  if (will === undefined || typeof will === "boolean") return will === true;
  throw wrong("`will`", "true or false", will);
}

/** `state KEY VALUE`: JSON if it parses, else text [STATE-8]; `state KEY`: what it holds. */
export function stateWords(args: string): Packet {
  const [key, rest] = splitWord(args);
  return rest === "" ? { opcode: "get", keys: [key] } : { opcode: "set", key, value: valueIn(rest) };
}

function valueIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What a key is told as, without its opcode. */
export function shown({ value, by }: Kept, version: number): object {
  return { value, version, ...(by === undefined ? undefined : { by }) };
}

/** Why a version did not fit. */
export function conflict(key: string, expected: number, found: number): Refusal {
  const wanted = expected === 0 ? "not to exist" : `to have version ${expected}`;
  return new Refusal("conflict", `Expected ${quoted(key)} ${wanted}, it ${found === 0 ? "does not exist" : `has version ${found}`}.`);
}

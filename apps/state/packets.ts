import { jsonOrText, type Packet, quoted, Refusal, splitWord, utf8Length } from "../../protocol/index.js";
import type { Query } from "../../server/app.js";
import { isName, MAX_KEY, wrong } from "../keys/names.js";

/** What stands in the table for a key. */
export interface Kept {
  /** The value as JSON: as objects it may take twenty times as much. */
  readonly json: string;
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

/**
 * The key that is meant: `looking/7/~` is this peer's own; what begins like that is its owner's alone [STATE-6].
 * @param mayAll a backend of this host sets whatever it likes
 * @throws Refusal `bad-message`, `not-yours`
 */
export function ownKeyOf(packet: Packet, ownName: string, mayAll: boolean): string {
  const key = keyOf(packet);
  const at = key.lastIndexOf(OWN);
  if (at === -1) return key;
  const name = key.slice(at + OWN.length);
  if (name !== "" && name !== ownName && !mayAll)
    throw new Refusal("not-yours", `${quoted(key)} is another peer's own; your own ends in \`/~\`.`);
  if (name !== "") return key;
  if (!isName(key + ownName)) throw wrong("`key`", `a text of at most ${MAX_KEY} bytes with the name that the hub adds`, key);
  return key + ownName;
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

/** @param limit entries at the most */
export function queryOf(patterns: readonly string[], limit: number): Query {
  return {
    limit,
    keys: patterns.filter((each) => !each.endsWith("*")),
    prefixes: patterns.filter((each) => each.endsWith("*")).map((each) => each.slice(0, -1)),
  };
}

/** A value with what it costs. @throws Refusal `bad-message` */
export function keptOf(key: string, { value }: Packet): Kept {
  if (value === undefined) throw wrong("`value`", "there: any JSON", value);
  const json = JSON.stringify(value);
  const bytes = Buffer.byteLength(json);
  if (bytes > MAX_VALUE) throw wrong("`value`", `at most ${MAX_VALUE} bytes of JSON`, `${bytes} bytes`);
  return { json, size: utf8Length(JSON.stringify(key)) + bytes };
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
  if (key === "") throw wrong("what stands behind `state`", "KEY, or KEY VALUE", args);
  return rest === "" ? { opcode: "get", keys: [key] } : { opcode: "set", key, value: jsonOrText(rest) };
}

/** `who PATTERN`. @throws Refusal `bad-message` */
export function whoWords(pattern: string): Packet {
  if (pattern === "") throw wrong("what stands behind `who`", "a PATTERN such as looking/*", pattern);
  return { opcode: "who", keys: [pattern] };
}

/** `delete KEY`. @throws Refusal `bad-message` */
export function deleteWords(key: string): Packet {
  if (key === "") throw wrong("what stands behind `delete`", "a KEY", key);
  return { opcode: "delete", key };
}

/** What a key is told as, without its opcode. */
export function shown({ json, by }: Kept, version: number): object {
  return { value: JSON.parse(json), version, ...(by === undefined ? undefined : { by }) };
}

/** Why a version did not fit. */
export function conflict(key: string, expected: number, found: number): Refusal {
  const wanted = expected === 0 ? "not to exist" : `to have version ${expected}`;
  return new Refusal("conflict", `Expected ${quoted(key)} ${wanted}, it ${found === 0 ? "does not exist" : `has version ${found}`}.`);
}

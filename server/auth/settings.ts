import { quoted } from "../../protocol/index.js";
import { kindOf } from "./kind-of.js";

/** Bytes of a secret at least: below that it can be guessed from one thing that it has signed. */
const MIN_SECRET = 32;
/** Longest time of Node's timers, ms. */
const MAX_TIMER = 2 ** 31 - 1;

/** @throws TypeError where there is another option: a slip such as `audiance` would check nothing, and nobody would see it */
export function checkNames(of: string, options: unknown, names: readonly string[]): void {
  if (typeof options !== "object" || options === null)
    throw new TypeError(`Expected the options of ${of} to be an object, got ${kindOf(options)}.`);
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw new TypeError(`Expected the options of ${of} to be some of \`${names.join("`, `")}\`, got ${quoted(unknown)}.`);
}

/** @throws TypeError where it is no secret of at least 32 bytes; it is never shown */
export function secretOf(value: unknown, name: string): Buffer {
  if (typeof value !== "string" && !(value instanceof Uint8Array))
    throw new TypeError(`Expected ${name} to be a text or a Buffer, got ${kindOf(value)}.`);
  const bytes = typeof value === "string" ? Buffer.from(value) : Buffer.from(value);
  if (bytes.length >= MIN_SECRET) return bytes;
  throw new TypeError(`Expected ${name} to be at least ${MIN_SECRET} bytes, got ${bytes.length}.`);
}

/** @throws TypeError where it is no http or https URL, or holds a password, which would be shown in logs */
export function webUrlOf(value: unknown, name: string): URL {
  const url = typeof value === "string" && URL.canParse(value) ? new URL(value) : undefined;
  if (url && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "") return url;
  const got = url === undefined ? kindOf(value) : url.username + url.password === "" ? `one of ${url.protocol}` : "one with them";
  throw new TypeError(`Expected \`${name}\` to be an http or https URL without user and password, got ${got}.`);
}

/** A URL as it may be shown: its query may hold a key. */
export const shownUrl = ({ origin, pathname }: URL): string => origin + pathname;

/** @throws TypeError where it is no whole number of ms between `min` and the longest time of a timer */
export function millisecondsOf(value: unknown, name: string, min: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= MAX_TIMER) return value as number;
  throw new TypeError(`Expected \`${name}\` to be an integer of ${min} to ${MAX_TIMER} (ms), got ${quoted(value)}.`);
}

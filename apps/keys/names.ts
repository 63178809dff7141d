import { cutText, escapeControls, quoted, Refusal, utf8Length } from "../../protocol/index.js";
import type { Peer } from "../../server/app.js";

/** Bytes of a key, an id or a space, in UTF-8: a path or a composite key of a database. */
export const MAX_KEY = 256;

/** Bytes of JSON of a name that others are shown: it stands beside each of up to thousands of ids. */
export const MAX_PUBLIC_NAME = 64;

/** Who a peer is for others: its user, or what it calls itself. Never its UUID, which would be a key to its page. */
export function publicName({ user, ident }: Peer): string {
  const known = user?.name ?? ident;
  if (known === undefined) return "somebody";
  const name = escapeControls(known);
  for (let length = MAX_PUBLIC_NAME; ; length--) {
    const cut = cutText(name, length);
    if (utf8Length(JSON.stringify(cut)) - QUOTES <= MAX_PUBLIC_NAME) return cut;
  }
}

const QUOTES = 2;

/** The application's own: a backend of the hub's host. */
export const isOwnBackend = ({ kind, local }: Peer): boolean => kind === "backend" && local;

/** What is wrong with a field, in the words of all. */
export function wrong(field: string, rule: string, value: unknown): Refusal {
  return new Refusal("bad-message", `Expected ${field} to be ${rule}, got ${quoted(value)}.`);
}

/** Is it a text of at least one character and at most {@link MAX_KEY} bytes? */
export function isName(value: unknown): value is string {
  if (typeof value !== "string" || value === "" || value.length > MAX_KEY) return false;
  // Every UTF-16 unit takes at most three bytes.
  return value.length * 3 <= MAX_KEY || utf8Length(value) <= MAX_KEY;
}

/** An object without a prototype: `__proto__` is a key like any other in it. */
export const bare = <T>(): Record<string, T> => Object.create(null) as Record<string, T>;

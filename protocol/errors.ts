import { CLOSE, type CloseName } from "./close-codes.js";

/**
 * The first kind of failure: the message is answered `refused` and the dialog goes on.
 * Thrown by the dialog and by apps; `code` is stable, `message` is for people [NEXT-5].
 */
export class Refusal extends Error {
  override name = "Refusal";
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** The second kind: the peer broke the protocol or a limit, and the connection ends [END-3]. */
export class Fault extends Error {
  override name = "Fault";
  readonly code: number;
  constructor(
    readonly kind: CloseName,
    message: string,
  ) {
    super(message);
    this.code = CLOSE[kind].code;
  }
}

/** Shows a value of a peer in a message for people: cut, and with control characters escaped. */
export function quoted(value: unknown, max = 64): string {
  if (typeof value !== "string") return value === null ? "null" : Array.isArray(value) ? "an array" : describe(value);
  const cut = value.length > max ? `${cutText(value, max)}…` : value;
  return `\`${escapeControls(cut)}\``;
}

function describe(value: unknown): string {
  if (typeof value === "object") return "an object";
  // Its text would be its source.
  return typeof value === "function" ? "a function" : `\`${String(value)}\``;
}

/** The first `max` UTF-16 units at the most, never half a surrogate pair. */
export function cutText(text: string, max: number): string {
  if (text.length <= max) return text;
  const last = text.charCodeAt(max - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? max - 1 : max);
}

/** Control characters (C0, DEL, C1, line separators, bidirectional overrides) as `\uXXXX`, so that no peer can write into a log or a terminal. */
export function escapeControls(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, (c) => {
    return `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

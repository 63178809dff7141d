import { quoted, Refusal } from "./errors.js";

/** A UUID as text (RFC 9562, section 4). */
export const UUID_LENGTH = 36;

/** The word up to the first blank, and all behind it [WORD-1]. */
export function splitWord(line: string): [word: string, rest: string] {
  const blank = line.indexOf(" ");
  return blank === -1 ? [line, ""] : [line.slice(0, blank), line.slice(blank + 1)];
}

/** What somebody typed as a value: JSON if it parses, else the text as it is [STATE-8]. */
export function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * The UUID in front of a line's arguments, and the rest [WORD-3].
 * @throws Refusal `bad-message`
 */
export function splitUuid(args: string): [uuid: string, rest: string] {
  const [uuid, rest] = splitWord(args);
  if (uuid.length !== UUID_LENGTH) {
    throw new Refusal("bad-message", `Expected a UUID of ${UUID_LENGTH} characters behind the command, got ${quoted(uuid)}.`);
  }
  return [uuid, rest];
}

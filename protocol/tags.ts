import { quoted, Refusal } from "./errors.js";
import type { Tags } from "./packets.js";

/** Longest name of a peer, a tag, or a tag's text, in UTF-16 units: a name, not a document. */
export const MAX_NAME = 256;
/** Most tags of one peer or one target: each is an entry in an index. */
export const MAX_TAGS = 32;

/**
 * Tags as a client wrote them, checked.
 * @throws Refusal `bad-message`
 */
export function tagsOf(value: unknown): Tags {
  const entries = typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
  if (entries.length === 0 || entries.length > MAX_TAGS) {
    throw new Refusal("bad-message", `Expected \`tags\` to be an object with 1 to ${MAX_TAGS} fields, got ${quoted(value)}.`);
  }
  const tags = Object.create(null) as Record<string, string | number | boolean>;
  for (const [name, tag] of entries) {
    if (!isTag(tag) || name.length > MAX_NAME) {
      throw new Refusal(
        "bad-message",
        `Expected tag ${quoted(name)} to be a string of at most ${MAX_NAME} characters, a number or a boolean, got ${quoted(tag)}.`,
      );
    }
    tags[name] = tag;
  }
  return tags;
}

function isTag(value: unknown): value is string | number | boolean {
  return (
    (typeof value === "number" && Number.isFinite(value)) ||
    typeof value === "boolean" ||
    (typeof value === "string" && value.length <= MAX_NAME)
  );
}

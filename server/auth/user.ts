import { cutText, MAX_NAME, type Tags, tagsOf } from "../../protocol/index.js";
import type { User } from "./authenticator.js";
import { kindOf } from "./kind-of.js";

/** How the fields of a user are called where they come from, for what is said of them. */
export type FieldNames = Readonly<Record<keyof User, string>>;
/** Makes what is thrown of a sentence. */
export type Fail = (sentence: string) => Error;

/**
 * A user as somebody else describes it, checked. Without a name it is called as its `id` is; a name is cut after 256 characters. Without roles it
 * has none. `null` says what nothing says.
 * @throws what `fail` makes, where a field is not right; no value is shown
 */
export function userOf(fields: Readonly<Record<keyof User, unknown>>, names: FieldNames, fail: Fail): User {
  const { id, name, roles } = fields;
  if (!isName(id)) throw fail(`Expected ${names.id} to be a text of 1 to ${MAX_NAME} characters, got ${kindOf(id)}.`);
  if (!isMissing(name) && typeof name !== "string") throw fail(`Expected ${names.name} to be a text, got ${kindOf(name)}.`);
  return { id, name: cutText(name || id, MAX_NAME), roles: isMissing(roles) ? [] : rolesOf(roles, names.roles, fail) };
}

function rolesOf(roles: unknown, name: string, fail: Fail): readonly string[] {
  if (!Array.isArray(roles)) throw fail(`Expected ${name} to be an array of texts, got ${kindOf(roles)}.`);
  const wrong = roles.findIndex((role) => !isName(role));
  if (wrong === -1) return roles as string[];
  throw fail(`Expected each of ${name} to be a text of 1 to ${MAX_NAME} characters, got ${kindOf(roles[wrong])}.`);
}

/**
 * Tags as somebody else describes them, checked like those of a hello. Nothing, `null` and an empty object are none: a page cannot choose its own then
 * either.
 * @throws what `fail` makes; no value is shown
 */
export function tagsFrom(value: unknown, name: string, fail: Fail): Tags {
  if (isMissing(value) || (typeof value === "object" && !Array.isArray(value) && Object.keys(value as object).length === 0)) return {};
  try {
    return tagsOf(value);
  } catch {
    throw fail(
      `Expected ${name} to be up to 32 tags, each a text of at most ${MAX_NAME} characters, a number or a boolean, got ${kindOf(value)}.`,
    );
  }
}

export const isName = (value: unknown): value is string => typeof value === "string" && value !== "" && value.length <= MAX_NAME;
export const isMissing = (value: unknown): value is undefined | null => value === undefined || value === null;

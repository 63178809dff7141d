/** What a value is, without the value: what authenticators look at is secret, or comes from somebody who may be anybody. */
export function kindOf(value: unknown): string {
  if (value === undefined) return "none";
  if (value === null) return "null";
  if (value === "") return "an empty text";
  if (typeof value === "string") return `a text of ${value.length} characters`;
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

/** What is wrong with an argument. */
export function expected(what: string, value: unknown): TypeError {
  return new TypeError(`Expected ${what}, got ${typeof value === "string" ? JSON.stringify(value) : String(value)}.`);
}

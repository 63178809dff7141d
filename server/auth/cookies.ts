/**
 * A cookie of a `Cookie` header, as it stands there: nothing is percent-decoded. Where its name comes more than once, the first counts: browsers
 * put the most specific path first.
 * @returns `undefined` where there is none; "" where there is one that is empty
 */
export function cookieOf(header: string | undefined, name: string): string | undefined {
  for (const pair of header?.split(";") ?? []) {
    const equals = pair.indexOf("=");
    if (equals !== -1 && bare(pair.slice(0, equals)) === name) return bare(pair.slice(equals + 1));
  }
  return undefined;
}

/** @throws TypeError where no cookie can have this name (RFC 6265, section 4.1.1) */
export function checkCookieName(name: unknown): asserts name is string {
  if (typeof name === "string" && /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) return;
  throw new TypeError("Expected `cookie` to be the name of a cookie: letters, digits and !#$%&'*+-.^_`|~.");
}

/**
 * Without the blanks around it. Not `trim`: it takes other white space away too, and then a name that the browser does not hold for one with the
 * prefix `__Host-` becomes one. Not a pattern: `[ \t]+$` would look at a row of blanks once for each of them.
 */
function bare(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

const isBlank = (unit: number): boolean => unit === 0x20 || unit === 0x09;

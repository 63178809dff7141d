/** In the year 33,658: what is more are ms, of any day since 2001. */
const MAX_SECONDS = 1e12;

/** @returns ms since 1970, or `undefined` where these are no seconds since 1970 */
export function timeOfSeconds(seconds: unknown): number | undefined {
  return typeof seconds === "number" && seconds >= 0 && seconds <= MAX_SECONDS ? Math.floor(seconds * 1_000) : undefined;
}

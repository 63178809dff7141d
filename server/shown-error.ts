import { quoted } from "../protocol/index.js";

/** A sentence for a client names what came; the log must not: that may be a secret that was put in the wrong place. */
export const withoutValue = (sentence: string): string => sentence.replace(/, got .*$/s, ".");

/** What was thrown, for the log: anything can be thrown, also what cannot be turned into text. */
export function shownError(error: unknown): { error: string; stack: string | undefined } {
  const shown = error instanceof Error ? error : new Error(`Expected an Error to be thrown, got ${quoted(error)}.`);
  return { error: shown.message, stack: shown.stack };
}

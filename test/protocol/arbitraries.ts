import fc from "fast-check";

// A length that a test names is meant: by itself the library makes no more than ten items of it.
fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true });

/** Holds a property to many runs; a failure names its seed and the smallest counterexample. */
export function holds<T extends [unknown, ...unknown[]]>(
  ...args: [...{ [K in keyof T]: fc.Arbitrary<T[K]> }, (...values: T) => void]
): void {
  const predicate = args.at(-1) as (...values: T) => void;
  const arbitraries = args.slice(0, -1) as unknown as [fc.Arbitrary<unknown>, ...fc.Arbitrary<unknown>[]];
  fc.assert(
    fc.property(...arbitraries, (...values) => predicate(...(values as T))),
    { numRuns: 400 },
  );
}

/** A text made of these parts and of any other characters. */
export function textOf(...parts: string[]): fc.Arbitrary<string> {
  return fc.array(fc.oneof(fc.constantFrom(...parts), fc.string({ unit: "binary", maxLength: 12 }))).map((all) => all.join(""));
}

/** Any text: half surrogate pairs, emoji, control characters and the words of the protocol included. */
export const anyText = textOf(
  "\ud83d",
  "\ude00",
  "😀",
  "é",
  "bufferON",
  "bufferOFF",
  "buffer",
  "ON",
  "FF",
  "\n",
  "\r",
  "\u0000",
  "\u001b[2J",
  "\u202e",
);

/** A string that a careless reader of JSON takes for structure. */
const trickyString = textOf("{", "}", "[", "]", '"', "\\", '\\"', "\\\\", "é", "😀");

export const jsonValue = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.oneof(trickyString, fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null)),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(trickyString, tie("value"), { maxKeys: 4 }),
  ),
})).value;

export const jsonObject = fc.dictionary(trickyString, jsonValue, { maxKeys: 4 });

/** How JSON is written: on one line, or with line ends and blanks. */
export const indent = fc.constantFrom(undefined, 1, "\t");

/** Where a network cuts a stream: at these places, each taken modulo its length. */
export const cuts = fc.array(fc.nat(), { maxLength: 12 });

/** The stream in parts, each in memory of its own as a socket hands them in. */
export function cutAt(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...places.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return ends.map((end, i) => bytes.slice(ends[i - 1] ?? 0, end));
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
export const textFrom = (bytes: Uint8Array): string => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);

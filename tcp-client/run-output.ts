/** How far a command is, as far as its output tells. */
export interface Amount {
  readonly at: number;
  readonly of: number;
}

/** Looks for an amount in a line. */
export type Find = (line: string) => Amount | undefined;

/** Characters of a message. */
const MAX_MESSAGE = 200;
/** What is kept of the end of a line, in characters: an amount stands in it or is not found. */
const TAIL = 1_024;

const PERCENT = /(?<![\d.,])(\d{1,3}(?:[.,]\d+)?)[ \u00a0]?%/g;
/** No part of a date or of a path. */
const COUNT = /(?<![\w.,/-])(\d+(?:\.\d+)?)\/(\d+(?:\.\d+)?)(?![\w/-]|[.,]\d)/g;

/** The last `NN%` of a line; where it has none, the last `N/M`. */
export const guess: Find = (line) => lastOf(PERCENT, line) ?? lastOf(COUNT, line);

/** @param pattern with one group, the percentage, or two: how much is done, and how much there is. @throws TypeError, SyntaxError */
export function finder(pattern: string): Find {
  const groups = (new RegExp(`${pattern}|`).exec("")?.length ?? 0) - 1;
  if (groups !== 1 && groups !== 2) throw new TypeError(`Expected a pattern with one or two groups, got ${groups}: ${pattern}`);
  const regex = new RegExp(pattern, "g");
  return (line) => lastOf(regex, line);
}

function lastOf(pattern: RegExp, line: string): Amount | undefined {
  let last: Amount | undefined;
  for (const [, first = "", second = "100"] of line.matchAll(pattern)) {
    const [at, of] = [numberOf(first), numberOf(second)];
    if (at >= 0 && of > 0 && at <= of && of < Number.POSITIVE_INFINITY) last = { at, of };
  }
  return last;
}

/** Half of the world writes 12,5. */
function numberOf(text: string): number {
  return text === "" ? Number.NaN : Number(text.replace(",", "."));
}

/** How far a command is, as its output tells. */
export interface Progress {
  readonly amount: Amount | undefined;
  /** The last line that was not empty. */
  readonly message: string;
}

/** What the whole lines of a command have told; its streams share one. */
export class Told implements Progress {
  amount: Amount | undefined;
  message = "";

  constructor(readonly find: Find) {}
}

/** Reads one stream. What it keeps has a limit, however long a line is. */
export class OutputReader {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  readonly #cleaner = new Cleaner(
    (text) => this.#add(text),
    () => this.#endLine(),
  );
  #head = "";
  #tail = "";

  constructor(private readonly told: Told) {}

  write(bytes: Uint8Array): void {
    this.#cleaner.write(this.#decoder.decode(bytes, { stream: true }));
  }

  /** Nothing more will come: what stands there is a line, too. */
  end(): void {
    this.#cleaner.write(this.#decoder.decode());
    this.#endLine();
  }

  /** With the present line as it stands: a bar has no line end before the next. */
  get progress(): Progress {
    const message = [...this.#head].slice(0, MAX_MESSAGE).join("").trimEnd();
    return { amount: this.told.find(this.#tail) ?? this.told.amount, message: message || this.told.message };
  }

  #add(text: string): void {
    // As UTF-16 a character is two at the most.
    if (this.#head === "") this.#head = text.trimStart().slice(0, 2 * MAX_MESSAGE);
    else if (this.#head.length < 2 * MAX_MESSAGE) this.#head += text.slice(0, 2 * MAX_MESSAGE - this.#head.length);
    this.#tail = (this.#tail + text.slice(-TAIL)).slice(-TAIL);
  }

  #endLine(): void {
    if (this.#tail === "") return;
    Object.assign(this.told, this.progress);
    this.#head = "";
    this.#tail = "";
  }
}

/** In what a terminal would be. */
type Mode = "text" | "escape" | "sequence" | "string" | "string escape";

const ESCAPE = "\u001b";
/** What opens a text that a terminal does not show: a window's title, a link. */
const OPENS_STRING = /[P\]X^_]/;

/** Takes away what a terminal would not show, and finds the ends of lines. What it knows of the text before is one word. */
class Cleaner {
  #mode: Mode = "text";

  constructor(
    private readonly text: (text: string) => void,
    private readonly lineEnd: () => void,
  ) {}

  write(text: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    const control = /[\u0000-\u001f\u007f-\u009f]/g;
    for (let i = 0; i < text.length; ) {
      if (this.#mode !== "text") this.#hide(text[i++] as string);
      else {
        control.lastIndex = i;
        const end = control.exec(text)?.index ?? text.length;
        if (end > i) this.text(text.slice(i, end));
        if (end < text.length) this.#control(text[end] as string);
        i = end + 1;
      }
    }
  }

  #control(character: string): void {
    if (character === "\n" || character === "\r") this.lineEnd();
    else if (character === "\t") this.text(" ");
    else if (character === ESCAPE) this.#mode = "escape";
    else if (character === "\u009b") this.#mode = "sequence";
  }

  #hide(character: string): void {
    if (character === "\n" || character === "\r") {
      this.#mode = "text";
      this.lineEnd();
    } else this.#mode = after(this.#mode, character);
  }
}

/** ECMA-48: what a character of an escape sequence leads to. */
function after(mode: Mode, character: string): Mode {
  if (character === ESCAPE) return mode === "string" ? "string escape" : "escape";
  switch (mode) {
    case "escape":
      if (character === "[") return "sequence";
      if (OPENS_STRING.test(character)) return "string";
      return character >= " " && character <= "/" ? "escape" : "text";
    case "sequence":
      return character >= "@" && character <= "~" ? "text" : "sequence";
    case "string":
      return character === "\u0007" || character === "\u009c" ? "text" : "string";
    default:
      return character === "\\" ? "text" : after("escape", character);
  }
}

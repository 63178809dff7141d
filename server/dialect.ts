import {
  type Answer,
  escapeControls,
  type Fault,
  formatNext,
  formatWords,
  type Packet,
  parseMessage,
  quoted,
  type Ref,
  Refusal,
  splitWord,
} from "../protocol/index.js";

/** What a message says, and how its sender wants to be answered. */
export interface Spoken {
  readonly packet: Packet;
  /** True where it was said in plain words. */
  readonly plain: boolean;
}

/** The words that the apps of a resource understand. */
export type WordTable = ReadonlyMap<string, (args: string) => Packet>;

/** What differs between the ways of speaking (chapters 3, 8 and 9); the dialog itself is one. */
export interface Dialect {
  readonly name: "json" | "original" | "words";
  /** May it be sent what it did not ask for? */
  readonly pushes: boolean;
  readonly chunks: boolean;
  /** Is it told `ready`? */
  readonly greeted: boolean;
  /** Does `quit` get an answer? */
  readonly quitAnswered: boolean;
  /** @throws Refusal */
  parse(text: string, words: WordTable, maxDepth: number): Spoken;
  answer(answer: Answer, ref: Ref | undefined, plain: boolean): string;
  close(fault: Fault): string;
}

const packets = {
  parse: (text: string, _words: WordTable, maxDepth: number): Spoken => ({ packet: parseMessage(text, maxDepth), plain: false }),
  answer: (answer: Answer, ref: Ref | undefined): string => formatNext(answer, ref),
  close: (fault: Fault): string => JSON.stringify({ opcode: "close", error: fault.message, code: fault.code }),
};

export const jsonDialect: Dialect = { name: "json", pushes: true, chunks: true, greeted: true, quitAnswered: false, ...packets };

/** Backends of 2021: strictly in lock-step, and anything unasked would be taken for an answer (chapter 9). */
export const originalDialect: Dialect = { name: "original", pushes: false, chunks: false, greeted: true, quitAnswered: true, ...packets };

export const wordsDialect: Dialect = {
  name: "words",
  pushes: false,
  chunks: false,
  greeted: false,
  quitAnswered: true,
  parse(text, words, maxDepth) {
    if (text.startsWith("{")) return { packet: parseMessage(text, maxDepth), plain: false };
    return { packet: parseWords(text, words), plain: true };
  },
  answer: (answer, ref, plain) => (plain ? formatWords(answer) : formatNext(answer, ref)),
  close: (fault) => escapeControls(`close ${fault.code} ${fault.message}`),
};

function parseWords(line: string, words: WordTable): Packet {
  const [word, args] = splitWord(line);
  if (word === "quit") return { opcode: "quit" };
  const build = words.get(word);
  if (build === undefined) {
    throw new Refusal("unknown-command", `Expected one of ${[...words.keys(), "quit"].join(", ")}, or a JSON packet, got ${quoted(word)}.`);
  }
  return build(args);
}

import { escapeControls } from "./errors.js";
import type { ErrorInfo, Next, Ref, Status } from "./packets.js";

/** What becomes of a message: the part of its `next` that a handler decides [NEXT-3]. */
export class Answer {
  constructor(
    readonly status: Status,
    readonly detail: AnswerDetail = NOTHING,
  ) {}
}

export interface AnswerDetail {
  readonly n?: number;
  readonly held?: number;
  readonly result?: unknown;
  readonly error?: ErrorInfo;
  readonly reason?: string;
}

const NOTHING: AnswerDetail = Object.freeze({});

/** The app finished and has nothing to say. One object, so that its `next` can be one constant. */
export const DONE = new Answer("done");
export const GONE = new Answer("gone");

export const done = (result: unknown): Answer => (result === undefined ? DONE : new Answer("done", { result }));
export const sent = (n: number): Answer => new Answer("sent", { n });
export const refused = (code: string, message: string): Answer => new Answer("refused", { error: { code, message } });
export const cancel = (reason: string): Answer => new Answer("cancel", { reason });

/** The answer as a packet. Throws what `JSON.stringify` throws where an app's result is no JSON. */
export function formatNext(answer: Answer, ref: Ref | undefined): string {
  if (ref === undefined && answer === DONE) return NEXT_DONE;
  const { status, detail } = answer;
  const head = ref === undefined ? NEXT_HEAD : `${NEXT_HEAD}"ref":${JSON.stringify(ref)},`;
  // The commonest of all, an acknowledged report or broadcast, without a detour through an object.
  const { n, held, result, error, reason } = detail;
  const alone = held === undefined && result === undefined && error === undefined && reason === undefined;
  if (status === "sent" && n !== undefined && alone) return `${head}"status":"sent","n":${n}}`;
  const rest: Omit<Next, "opcode" | "fyi" | "ref"> = { status, n, held, result, error, reason } as Next;
  return head + JSON.stringify(rest).slice(1);
}

const NEXT_HEAD = '{"opcode":"next","fyi":"",';

/** The commonest `next`: no ref, no result. */
export const NEXT_DONE = '{"opcode":"next","fyi":"","status":"done"}';

/** The answer as one line of plain words [WORD-1]. */
export function formatWords(answer: Answer): string {
  const { n, held, result, error, reason } = answer.detail;
  const words: string[] = ["next", answer.status];
  if (error) words.push(error.code, error.message);
  else if (answer.status === "held") words.push(String(held ?? 0));
  else if (n !== undefined) words.push(String(n));
  else if (reason !== undefined) words.push(reason);
  else if (result !== undefined) words.push(typeof result === "string" ? result : JSON.stringify(result));
  return escapeControls(words.join(" "));
}

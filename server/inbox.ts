import { BUFFER_OFF, BUFFER_ON, Queue, Refusal } from "../protocol/index.js";
import type { Budget } from "./budget.js";

/** A text that waits for its turn, or what is wrong with it. */
export interface Waiting {
  readonly text: string | Refusal;
  /** Its size on the wire. */
  readonly bytes: number;
}

const FORGOTTEN: Waiting = {
  text: new Refusal("forgotten", "The page was loaded anew before it had sent the whole of this message."),
  bytes: 0,
};

/** What a peer has said and is not started yet, oldest first: beyond its window, or here before `ready`. */
export class Inbox {
  readonly #texts = new Queue<Waiting>();

  constructor(private readonly budget: Budget) {}

  get empty(): boolean {
    return this.#texts.length === 0;
  }

  /** The oldest, without taking it. */
  peek(): Waiting | undefined {
    return this.#texts.peek();
  }

  /** @throws Fault where too much waits for all peers together */
  add(waiting: Waiting): void {
    this.#keep(waiting);
    this.budget.check(waiting.bytes);
  }

  /** The oldest, not waiting any more. */
  take(): Waiting {
    const waiting = this.#texts.shift() as Waiting;
    this.budget.used -= waiting.bytes;
    return waiting;
  }

  clear(): void {
    while (!this.empty) this.take();
  }

  /** How many of these texts are such. */
  count(are: (text: string | Refusal) => boolean): number {
    let count = 0;
    this.#texts.forEach(({ text }) => {
      if (are(text)) count++;
    });
    return count;
  }

  /**
   * The rest of a message in pieces will not come [RES-9]. What has arrived of it is answered, for the page counts on that,
   * and is nothing any more: neither a piece of a later message nor a message itself.
   * @param open it had begun before the oldest of these texts
   * @returns true where that one is the one that does not end
   */
  forgetOpenBuffer(open: boolean): boolean {
    const waiting: Waiting[] = [];
    while (!this.empty) waiting.push(this.take());
    const begin = beginOfOpenBuffer(waiting, open);
    for (const [i, each] of waiting.entries()) this.#keep(begin === undefined || i < begin ? each : FORGOTTEN);
    return open && begin === 0;
  }

  #keep(waiting: Waiting): void {
    this.#texts.push(waiting);
    this.budget.used += waiting.bytes;
  }
}

/** Where the texts begin that belong to a buffer which is not closed among them; `undefined`: none is open at their end. */
function beginOfOpenBuffer(texts: readonly Waiting[], open: boolean): number | undefined {
  let begin = open ? 0 : undefined;
  for (const [i, { text }] of texts.entries()) {
    if (begin === undefined && text === BUFFER_ON) begin = i;
    else if (begin !== undefined && text === BUFFER_OFF) begin = undefined;
  }
  return begin;
}

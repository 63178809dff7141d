import { splitChunks } from "./chunks.js";
import { BUFFER_OFF, BUFFER_ON, type Next } from "./packets.js";
import { Queue } from "./queue.js";

/** One message on its way: the texts it is sent as (three or more where it is chunked) and who waits for its answer. */
interface Outgoing {
  readonly texts: readonly string[];
  readonly settle: (next: Next) => void;
  readonly fail: (error: Error) => void;
}

/** One text under way, to be answered by one `next`; the answer to the last text is the answer to the message [CHUNK-1]. */
interface UnderWay {
  readonly message: Outgoing;
  readonly last: boolean;
}

/**
 * The sender's half of chapter 5: queues messages, lets out as many texts as there is credit, and gives each `next` to
 * the oldest text under way. Knows no wire and no clock.
 */
export class SendWindow {
  /** Texts that may be under way; 0 until `ready`. */
  credit = 0;
  /** Answers still to come to texts of somebody else [RES-9]: they take credit, and are under way. */
  owed = 0;
  readonly #queue = new Queue<Outgoing>();
  readonly #underWay = new Queue<UnderWay>();
  #textsOut = 0;

  constructor(private readonly chunkSize: number) {}

  /** Messages without an answer, sent or not. */
  unanswered = 0;

  /** @param whole not to be cut, however long */
  push(text: string, settle: (next: Next) => void, fail: (error: Error) => void, whole = false): void {
    const cut = text.length > this.chunkSize && !whole;
    const texts = cut ? [BUFFER_ON, ...splitChunks(text, this.chunkSize), BUFFER_OFF] : [text];
    this.#queue.push({ texts, settle, fail });
    this.unanswered++;
  }

  /** True between `bufferON` and `bufferOFF`: anything said now would become a piece [CHUNK-2]. */
  get insideBuffer(): boolean {
    return this.#textsOut > 0;
  }

  /** The next text that may be sent now, or `undefined`. */
  take(): string | undefined {
    const message = this.#queue.peek();
    const underWay = this.#underWay.length + this.owed;
    if (message === undefined || underWay >= this.credit) return undefined;
    // A message in pieces waits until nothing is under way: what is under way might ask this client something, and a reply
    // must not fall between the pieces [CHUNK-6].
    if (this.#textsOut === 0 && message.texts.length > 1 && underWay > 0) return undefined;
    const text = message.texts[this.#textsOut++];
    const last = this.#textsOut === message.texts.length;
    this.#underWay.push({ message, last });
    if (last) {
      this.#queue.shift();
      this.#textsOut = 0;
    }
    return text;
  }

  /** A `next` came. A surplus one is ignored, as the original clients do. */
  answered(next: Next): void {
    if (this.owed > 0) {
      this.owed--;
      return;
    }
    const oldest = this.#underWay.shift();
    if (!oldest?.last) return;
    this.unanswered--;
    oldest.message.settle(next);
  }

  /** The connection ended: everybody who waits is told, and nothing is under way any more. */
  failAll(error: Error): void {
    const waiting = new Set<Outgoing>();
    for (let entry = this.#underWay.shift(); entry; entry = this.#underWay.shift()) waiting.add(entry.message);
    for (let message = this.#queue.shift(); message; message = this.#queue.shift()) waiting.add(message);
    this.#textsOut = 0;
    this.credit = 0;
    this.owed = 0;
    this.unanswered = 0;
    for (const message of waiting) message.fail(error);
  }
}

import { type Answer, Queue, type Ref } from "../protocol/index.js";

/** A message whose handler has started and whose `next` has not been written. */
export interface Message {
  /** For the log; empty where it is not known. */
  readonly opcode: string;
  readonly ref: Ref | undefined;
  /** Said in plain words, and to be answered so. */
  readonly plain: boolean;
  /** When its handler started, in ms of the hub's clock; {@link PATIENT} once it is known that it waits for a page. */
  since: number;
  answer: Answer | undefined;
}

/** The start of a message that nobody is in a hurry with. */
export const PATIENT = Number.POSITIVE_INFINITY;

/** The messages under way of one peer: handlers finish in any order, answers leave in the order of the messages [NEXT-1]. */
export class UnderWay {
  readonly #messages = new Queue<Message>();

  get size(): number {
    return this.#messages.length;
  }

  /** Those that somebody works at. */
  get atWork(): number {
    let count = 0;
    this.#messages.forEach(({ since, answer }) => {
      if (answer === undefined && since !== PATIENT) count++;
    });
    return count;
  }

  add(message: Message): void {
    this.#messages.push(message);
  }

  /** The oldest message, if its answer is known: its turn to be answered has come. */
  takeAnswered(): (Message & { answer: Answer }) | undefined {
    const oldest = this.#messages.peek();
    return oldest?.answer === undefined ? undefined : (this.#messages.shift() as Message & { answer: Answer });
  }

  /** Gives each message without an answer that started before `deadline` this one [NEXT-7]. */
  expire(deadline: number, answer: Answer): Message[] {
    const expired: Message[] = [];
    this.#messages.forEach((message) => {
      if (message.answer !== undefined || message.since > deadline) return;
      message.answer = answer;
      expired.push(message);
    });
    return expired;
  }
}

import type { Client } from "../wire/client.js";
import { pause, within } from "../within.js";

/** For the last message to arrive and be answered, ms. */
const ARRIVAL_TIMEOUT = 10_000;
/** How long one too many is waited for, ms. */
const EXCESS_PAUSE = 50;

/** One round of reports. */
export interface Pace {
  readonly count: number;
  /** Messages a second. */
  readonly rate: number;
  /** Before the first one, ms. */
  readonly delay: number;
}

/**
 * Backends that report to pages, each message when its time has come, whether or not the server keeps up. Messages to
 * one page arrive in the order in which they were sent, so the oldest time of sending belongs to the next arrival.
 */
export class Pacer {
  /** From the write of the backend to the arrival at the page, ms, of each message of the round. */
  latencies: number[] = [];
  /** Times of sending, by page, of messages on their way. */
  readonly #underWay: number[][];
  #answers = 0;
  #failure: Error | undefined;
  #checkDone: () => void = () => {};

  /** @param reports the message for each page, as bytes */
  constructor(
    private readonly backends: readonly Client[],
    private readonly pages: readonly Client[],
    private readonly reports: readonly Buffer[],
  ) {
    this.#underWay = pages.map(() => []);
    for (const [index, page] of pages.entries()) {
      page.onRead = (messages) => this.#arrived(index, messages);
      page.onLost = (why) => this.#fail(`A page was lost: ${why}.`);
    }
    for (const backend of backends) {
      backend.onRead = (_messages, answers) => this.#answered(answers);
      backend.onLost = (why) => this.#fail(`A backend was lost: ${why}.`);
    }
  }

  /** Sends to the pages in turn, from the backends in turn; settles when all has arrived and is answered. */
  async run(pace: Pace): Promise<void> {
    this.latencies = [];
    this.#answers = 0;
    const before = this.pages.map((page) => page.messages);
    const done = this.#whenDone(pace.count);
    await this.#send(pace);
    await within(ARRIVAL_TIMEOUT, `${pace.count} reports and their answers`, done);
    await pause(EXCESS_PAUSE);
    this.#check(pace.count, before);
  }

  close(): void {
    for (const client of [...this.pages, ...this.backends]) client.close();
  }

  /** Spins from one message to the next: timers know only whole milliseconds, and a processor that slept wakes late. */
  async #send({ count, rate, delay }: Pace): Promise<void> {
    const start = performance.now() + delay;
    for (let sent = 0; sent < count; sent++) {
      const due = start + (sent * 1_000) / rate;
      while (performance.now() < due) await new Promise((resolve) => setImmediate(resolve));
      this.#sendOne(sent);
    }
  }

  #sendOne(number: number): void {
    const page = number % this.pages.length;
    const backend = this.backends[number % this.backends.length] as Client;
    (this.#underWay[page] as number[]).push(performance.now());
    backend.write(this.reports[page] as Buffer);
  }

  #arrived(page: number, messages: number): void {
    const now = performance.now();
    for (const sentAt of (this.#underWay[page] as number[]).splice(0, messages)) this.latencies.push(now - sentAt);
    this.#checkDone();
  }

  #answered(answers: number): void {
    this.#answers += answers;
    this.#checkDone();
  }

  #whenDone(count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#checkDone = () => {
        if (this.#failure) reject(this.#failure);
        else if (this.latencies.length >= count && this.#answers >= count) resolve();
      };
    });
  }

  /** @throws Error where a page got more or less than was sent to it */
  #check(count: number, before: readonly number[]): void {
    const pages = this.pages.length;
    for (const [index, page] of this.pages.entries()) {
      const got = page.messages - (before[index] as number);
      const expected = Math.floor(count / pages) + (index < count % pages ? 1 : 0);
      if (got !== expected) throw new Error(`Page ${index} got ${got} reports instead of ${expected}.`);
    }
    if (this.#answers !== count) throw new Error(`The backends got ${this.#answers} answers instead of ${count}.`);
  }

  #fail(sentence: string): void {
    this.#failure ??= new Error(sentence);
    this.#checkDone();
  }
}

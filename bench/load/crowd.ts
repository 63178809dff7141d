import type { Client } from "../wire/client.js";
import { pause, within } from "../within.js";

/** Connections made at the same time: enough to keep the server busy, too few to fill its backlog. */
const AT_ONCE = 64;
/** For all deliveries of a round to arrive, ms. */
const ARRIVAL_TIMEOUT = 30_000;
/** How long one too many is waited for, ms. */
const EXCESS_PAUSE = 50;
/** How long a server may take to hear a short word of each, ms: some ten times as long as it takes. */
const HEARING_PAUSE = 300;

/** Opens many connections, some at a time. */
export async function openMany(count: number, open: () => Promise<Client>): Promise<Client[]> {
  const clients: Client[] = [];
  while (clients.length < count) {
    const batch = Math.min(AT_ONCE, count - clients.length);
    clients.push(...(await Promise.all(Array.from({ length: batch }, open))));
  }
  return clients;
}

/** Pages that count together what they are sent, and fail together when one of them is lost. */
export class Crowd {
  #received = 0;
  #goal = Number.POSITIVE_INFINITY;
  #reached: (() => void) | undefined;
  #failed: ((error: Error) => void) | undefined;
  #failure: Error | undefined;

  constructor(readonly clients: readonly Client[]) {
    for (const client of clients) {
      client.onLost = (why) => this.#fail(new Error(`A page was lost: ${why}.`));
      client.onRead = (messages) => this.#count(messages);
    }
  }

  static async open(count: number, open: () => Promise<Client>): Promise<Crowd> {
    return new Crowd(await openMany(count, open));
  }

  /** Messages each of them has received since its greeting. */
  counts(): number[] {
    return this.clients.map((client) => client.messages);
  }

  /**
   * Settles when each page has received exactly `each` messages more than it had in `before`.
   * @throws Error (rejects) where one got fewer or more, or was lost
   */
  async whenEachReceived(each: number, before: readonly number[]): Promise<void> {
    await this.whenAllReceived(each, before);
    await pause(EXCESS_PAUSE);
    for (const [index, client] of this.clients.entries()) {
      const got = client.messages - (before[index] as number);
      if (got !== each) throw new Error(`Page ${index} got ${got} messages instead of ${each}.`);
    }
  }

  /** Settles when all pages together have received `each` times their number more than they had in `before`. */
  async whenAllReceived(each: number, before: readonly number[]): Promise<void> {
    const total = before.reduce((sum, count) => sum + count, each * before.length);
    await within(ARRIVAL_TIMEOUT, `${each} messages to each of ${before.length} pages`, this.#whenTotal(total));
  }

  /** What they would say by themselves later is said, and has been heard: it belongs to what they were told. */
  async settle(): Promise<void> {
    for (const client of this.clients) client.settle();
    await pause(HEARING_PAUSE);
  }

  close(): void {
    for (const client of this.clients) client.close();
  }

  #whenTotal(total: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#reached = resolve;
      this.#failed = reject;
      this.#goal = total;
      if (this.#failure) reject(this.#failure);
      this.#count(0);
    });
  }

  #count(messages: number): void {
    this.#received += messages;
    if (this.#received < this.#goal) return;
    this.#goal = Number.POSITIVE_INFINITY;
    this.#reached?.();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#failed?.(error);
  }
}

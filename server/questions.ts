import type { Packet } from "../protocol/index.js";
import { quoted, Refusal } from "../protocol/index.js";
import type { Clock } from "./clock.js";

interface Open {
  settle(reply: Packet): void;
  abandon(error: Error): void;
}

/** The questions of apps that one peer has not answered yet [ASK-1]. */
export class Questions {
  readonly #open = new Map<number, Open>();
  #last = 0;

  constructor(private readonly clock: Clock) {}

  /** Opens a question; `say` is called with its number, to be put into the packet as `ask`. */
  ask(timeout: number, say: (ask: number) => void): Promise<unknown> {
    const ask = ++this.#last;
    return new Promise((resolve, reject) => {
      const cancel = this.clock.after(timeout, () => this.#close(ask)?.abandon(new Error(`The peer did not answer within ${timeout} ms.`)));
      this.#open.set(ask, {
        settle(reply) {
          cancel();
          if (typeof reply.error === "string") reject(new Error(reply.error));
          else resolve(reply.result);
        },
        abandon(error) {
          cancel();
          reject(error);
        },
      });
      try {
        say(ask);
      } catch (error) {
        this.#close(ask)?.abandon(error as Error);
      }
    });
  }

  /** @throws Refusal `not-asked` */
  reply(packet: Packet): void {
    const open = typeof packet.ask === "number" ? this.#close(packet.ask) : undefined;
    if (open === undefined)
      throw new Refusal("not-asked", `Expected \`ask\` to be the number of an open question, got ${quoted(packet.ask)}.`);
    open.settle(packet);
  }

  abandon(): void {
    for (const ask of [...this.#open.keys()]) this.#close(ask)?.abandon(new Error("The peer left without an answer."));
  }

  #close(ask: number): Open | undefined {
    const open = this.#open.get(ask);
    this.#open.delete(ask);
    return open;
  }
}

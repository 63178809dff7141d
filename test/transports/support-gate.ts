import type { Packet } from "../../protocol/index.js";
import type { App, Peer } from "../../server/app.js";
import { TestInbox } from "../support/inbox.js";

/** One handler that has started, and is finished by the test. */
export interface Held {
  readonly packet: Packet;
  readonly peer: Peer;
  finish(result?: unknown): void;
  fail(error: unknown): void;
}

/** An app whose handlers finish when the test says so. */
export class Gate {
  /** The handlers of `hold`, in the order in which the hub started them. */
  readonly started = new TestInbox<Held>();
  /** The packets of `cancel`, as they were served. */
  readonly cancelled = new TestInbox<Packet>();
  /** Handlers of `hold` that are under way. */
  underWay = 0;
  /** The most that were under way at the same time. */
  most = 0;
  /** Handlers of `hold` started so far. */
  count = 0;

  readonly app: App = {
    name: "gate",
    opcodes: {
      hold: (packet, peer) => this.#hold(packet, peer),
      cancel: (packet) => this.cancelled.push(packet),
    },
    words: { hold: (name) => ({ opcode: "hold", name }) },
  };

  #hold(packet: Packet, peer: Peer): Promise<unknown> {
    this.count++;
    this.most = Math.max(this.most, ++this.underWay);
    return new Promise((resolve, reject) => {
      const over = (): void => void this.underWay--;
      this.started.push({
        packet,
        peer,
        finish(result) {
          over();
          resolve(result);
        },
        fail(error) {
          over();
          reject(error);
        },
      });
    });
  }
}

import { CHUNK_SIZE, CLOSE, type Close, type Next, type Packet, parsePacket, type Ready, SendWindow } from "../protocol/index.js";
import { ClosedError, RefusedError } from "./errors.js";

/** One connection, as the dialog sees it. */
export interface Wire {
  send(text: string): void;
  /** Ends it, open or not; only for one on which there is nothing left to be said. */
  close(): void;
}

/** What a wire tells the dialog. */
export interface WireEvents {
  open(): void;
  text(text: string): void;
  /** Once, also where it never opened. */
  closed(code: number, reason: string): void;
}

/** What became of a message that was not refused. */
export type Outcome = Omit<Next, "opcode" | "fyi" | "ref" | "error">;

/** Whom the dialog tells. */
export interface DialogEvents {
  ready(ready: Ready): void;
  push(packet: Packet): void;
  /** The hub says why it is about to close. */
  farewell(close: Close): void;
}

/** The client's half of the dialog on one connection: `hello`, the window, `next`, pushes. Knows no socket and no clock. */
export class ClientDialog {
  #ready = false;
  #leaving = false;
  readonly #window: SendWindow;
  /** What needs no credit but must not fall between the pieces of a message [CHUNK-2]. */
  #creditFree: string[] = [];

  constructor(
    private readonly wire: Wire,
    private readonly events: DialogEvents,
    chunkSize: number = CHUNK_SIZE,
  ) {
    this.#window = new SendWindow(chunkSize);
  }

  hello(fields: object): void {
    this.wire.send(JSON.stringify({ opcode: "hello", ...fields }));
  }

  receive(text: string): void {
    const packet = packetOf(text);
    if (packet === undefined) this.#noHub();
    else this.#hear(packet);
  }

  #hear(packet: Packet): void {
    if (packet.opcode === "next") {
      this.#window.answered(packet as unknown as Next);
      this.#pump();
    } else if (packet.opcode === "ready") this.#begin(packet as unknown as Ready);
    else if (packet.opcode === "close") this.events.farewell(packet as unknown as Close);
    else this.events.push(packet);
  }

  /** @returns what became of it; rejects with {@link RefusedError} or {@link ClosedError}, and never hangs once the connection has ended */
  send(packet: Packet): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const settle = ({ opcode: _, fyi: __, ref: ___, error, ...outcome }: Next): void => {
        if (error) reject(new RefusedError(error.code, error.message));
        else resolve(outcome);
      };
      this.#window.push(JSON.stringify(packet), settle, reject);
      this.#pump();
    });
  }

  /** Says what needs no credit and has no answer [NEXT-6]. */
  say(packet: Packet): void {
    this.#creditFree.push(JSON.stringify(packet));
    this.#pump();
  }

  /** Says `quit` once all that was sent has been answered [END-1]: the hub serves nothing behind it. */
  quit(): void {
    this.#leaving = true;
    this.#pump();
  }

  /** The connection ended: everybody who waits is told. */
  closed(code: number, reason: string): void {
    this.#ready = false;
    this.#window.failAll(new ClosedError(code, reason));
  }

  /** Whatever answers there, a web server say: what else it says is of no interest. */
  #noHub(): void {
    this.closed(CLOSE.protocol.code, NO_HUB);
    this.events.farewell({ opcode: "close", code: CLOSE.protocol.code, error: NO_HUB });
    this.wire.close();
  }

  #begin(ready: Ready): void {
    this.#ready = true;
    this.#window.credit = ready.window;
    this.events.ready(ready);
    this.#pump();
  }

  #pump(): void {
    if (!this.#ready) return;
    this.#sayCreditFree();
    for (let text = this.#window.take(); text !== undefined; text = this.#window.take()) {
      this.wire.send(text);
      this.#sayCreditFree();
    }
    if (!this.#leaving || this.#window.unanswered > 0) return;
    this.#leaving = false;
    this.wire.send(JSON.stringify({ opcode: "quit" }));
  }

  #sayCreditFree(): void {
    if (this.#creditFree.length === 0 || this.#window.insideBuffer) return;
    const texts = this.#creditFree;
    this.#creditFree = [];
    for (const text of texts) this.wire.send(text);
  }
}

const NO_HUB = "What answers there is no hub.";

function packetOf(text: string): Packet | undefined {
  try {
    return parsePacket(text, Number.POSITIVE_INFINITY);
  } catch {
    return undefined;
  }
}

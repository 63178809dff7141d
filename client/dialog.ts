import {
  CHUNK_OVERHEAD,
  CHUNK_SIZE,
  CLOSE,
  type Close,
  type Next,
  type Packet,
  parsePacket,
  Queue,
  type Ready,
  SendWindow,
  utf8Length,
} from "../protocol/index.js";
import { ClosedError, RefusedError } from "./errors.js";
import { type After, after as afterTimeout, SeenReporter } from "./seen.js";
import { SentTexts } from "./sent.js";

/** One connection, as the dialog sees it. */
export interface Wire {
  send(text: string): void;
  /** Ends it, open or not; only for one on which there is nothing left to be said. @param code default: all is well, 1000 */
  close(code?: number): void;
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
  /** @returns what settles when the page's code has finished with it, where that is later */
  push(packet: Packet): Promise<unknown> | undefined;
  /** The hub says why it is about to close. */
  farewell(close: Close): void;
}

/** What a page needs to be taken up again [RES-4]. */
export interface Snapshot {
  /** The secret: whoever has it may be this page. */
  readonly resume: string;
  readonly seen: number;
  /** How many connections this page's clients have opened [RES-7]. */
  readonly attempt: number;
}

/**
 * The client's half of the dialog, over one wire after another: `hello`, the window, `next`, pushes, and the counts with
 * which both ends find out after a drop what the other has not got. Knows no socket.
 */
export class ClientDialog {
  #wire: Wire | undefined;
  #ready = false;
  #resume: string | undefined;
  #attempt = 0;
  /** What was sent before is gone, after a reload say: there is nothing to send again [RES-9]. */
  #forgotten = false;
  #leaving = false;
  /** What the hub takes at the most, in bytes. */
  #maxMessage = Number.POSITIVE_INFINITY;
  readonly #chunkSize: number;
  readonly #window: SendWindow;
  readonly #sent = new SentTexts();
  /** Where the texts under way stand among all that were sent: an answer shows that the hub has counted them. */
  readonly #positions = new Queue<number>();
  readonly #seen: SeenReporter;
  /** What the last hello said was finished with; what has come beyond that comes once more. */
  #toldFinished = 0;
  /** Packets that come once more, and are not for anybody. */
  #repeated = 0;
  /** What needs no credit but must not fall between the pieces of a message [CHUNK-2]. */
  #creditFree: string[] = [];
  /** The newest count, while it cannot be said for the same reason. */
  #seenDue: number | undefined;

  constructor(
    private readonly events: DialogEvents,
    { chunkSize = CHUNK_SIZE, after = afterTimeout }: { chunkSize?: number; after?: After } = {},
  ) {
    this.#chunkSize = chunkSize;
    this.#window = new SendWindow(chunkSize);
    this.#seen = new SeenReporter((n) => this.#saySeen(n), after);
  }

  /** Answers that came, over all connections. */
  answers = 0;

  /** Messages without an answer. */
  get unanswered(): number {
    return this.#window.unanswered;
  }

  /** What would take this page up again now, if anything does. */
  get snapshot(): Snapshot | undefined {
    if (this.#resume === undefined) return undefined;
    return { resume: this.#resume, seen: this.#seen.finished, attempt: this.#attempt };
  }

  /** A page that was loaded anew goes on where the one before it was. */
  restore({ resume, seen, attempt }: Snapshot): void {
    this.#resume = resume;
    this.#attempt = attempt;
    this.#seen.reset(seen);
    this.#forgotten = true;
  }

  /** A new wire is open: says who this is, and where it was. */
  open(wire: Wire, hello: object): void {
    this.#wire = wire;
    this.#attempt++;
    this.#toldFinished = this.#seen.finished;
    const reload = this.#forgotten ? { reload: true } : undefined;
    wire.send(JSON.stringify({ opcode: "hello", ...hello, ...this.snapshot, ...reload }));
  }

  receive(text: string): void {
    const packet = packetOf(text);
    if (packet === undefined) this.#noHub();
    else this.#hear(packet, text.length);
  }

  #hear(packet: Packet, length: number): void {
    if (packet.opcode === "seen") this.#sent.release(Number(packet.n));
    else if (packet.opcode === "ready") this.#begin(packet as unknown as Ready);
    else if (packet.opcode === "close") this.events.farewell(packet as unknown as Close);
    else if (this.#repeated > 0) this.#repeated--;
    else this.#take(packet, length);
  }

  #take(packet: Packet, length: number): void {
    const until = packet.opcode === "next" ? this.#answered(packet as unknown as Next) : this.events.push(packet);
    if (this.#resume !== undefined) this.#seen.add(length, packet.wait === "page", until);
    this.#pump();
  }

  /** @returns what became of it; rejects with {@link RefusedError} or {@link ClosedError} */
  send(packet: Packet): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const settle = ({ opcode: _, fyi: __, ref: ___, error, ...outcome }: Next): void => {
        if (error) reject(new RefusedError(error.code, error.message, outcome.result));
        else resolve(outcome);
      };
      const text = JSON.stringify(packet);
      const bytes = utf8Length(text);
      if (bytes > this.#maxMessage) {
        reject(new RefusedError("too-big", `Expected a message of at most \`maxMessage\` ${this.#maxMessage} bytes, got ${bytes}.`));
        return;
      }
      // Each piece costs something beside its bytes: at the very limit a message only fits in one.
      const overhead = (Math.ceil(text.length / this.#chunkSize) + 1) * CHUNK_OVERHEAD;
      this.#window.push(text, settle, reject, bytes + overhead > this.#maxMessage);
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

  /** The wire is gone. Where the page can be taken up again everything waits; otherwise everybody is told. */
  closed(code: number, reason: string): void {
    this.#ready = false;
    this.#wire = undefined;
    this.#repeated = 0;
    this.#seenDue = undefined;
    this.#seen.pause();
    if (this.#resume === undefined) this.abandon(code, reason);
  }

  /** The page cannot be taken up again: everybody who waits is told. */
  abandon(code: number, reason: string): void {
    this.#resume = undefined;
    this.#seen.reset();
    this.#forget(code, reason);
    this.#forgotten = false;
  }

  /**
   * It hardly can, but the hub shall say so: everybody who waits is told, and nothing is sent again. Not while a hello is
   * out, for the answer decides.
   */
  giveUp(code: number, reason: string): void {
    this.#forget(code, reason);
  }

  #forget(code: number, reason: string): void {
    this.#forgotten = true;
    this.#creditFree = [];
    this.#positions.clear();
    this.#sent.reset();
    this.#window.failAll(new ClosedError(code, reason));
  }

  /** Whatever answers there, a web server say: what else it says is of no interest. */
  #noHub(): void {
    this.abandon(CLOSE.protocol.code, NO_HUB);
    this.events.farewell({ opcode: "close", code: CLOSE.protocol.code, error: NO_HUB });
    this.#wire?.close();
  }

  #begin(ready: Ready): void {
    const before = this.#resume;
    if (ready.resumed && before !== undefined) this.#takeUp(ready);
    else if (before !== undefined) this.abandon(CLOSE.lost.code, `The hub has a new page for this one: ${ready.reason}. Say it again.`);
    this.#forgotten = false;
    this.#resume = ready.resume;
    this.#maxMessage = ready.limits?.maxMessage ?? Number.POSITIVE_INFINITY;
    this.#window.credit = ready.window;
    this.#ready = true;
    this.events.ready(ready);
    if (ready.resumed) this.#seen.confirm();
    this.#pump();
  }

  /** Sends again what the hub has not counted, before anything new [RES-4]. */
  #takeUp({ got = 0, owed = 0 }: Ready): void {
    if (this.#forgotten) {
      this.#window.owed = owed;
      this.#sent.reset(got);
    }
    this.#repeated = this.#seen.count - this.#toldFinished;
    this.#sent.release(got);
    this.#sent.forEach((text) => void this.#wire?.send(text));
  }

  #answered(next: Next): undefined {
    this.answers++;
    const position = this.#window.owed > 0 ? undefined : this.#positions.shift();
    if (position !== undefined) this.#sent.release(position);
    this.#window.answered(next);
  }

  #pump(): void {
    if (!this.#ready) return;
    this.#sayCreditFree();
    for (let text = this.#window.take(); text !== undefined; text = this.#window.take()) {
      this.#send(text);
      this.#positions.push(this.#sent.count);
      this.#sayCreditFree();
    }
    if (!this.#leaving || this.#window.unanswered > 0) return;
    this.#leaving = false;
    this.#send(JSON.stringify({ opcode: "quit" }));
  }

  #saySeen(n: number): void {
    // Before `ready` it would tell the hub that this client has the new secret [RES-6]; it is said right after it.
    if (!this.#ready) return;
    this.#seenDue = n;
    this.#sayCreditFree();
  }

  #sayCreditFree(): void {
    if (this.#window.insideBuffer) return;
    if (this.#seenDue !== undefined) this.#wire?.send(JSON.stringify({ opcode: "seen", n: this.#seenDue }));
    this.#seenDue = undefined;
    if (this.#creditFree.length === 0) return;
    const texts = this.#creditFree;
    this.#creditFree = [];
    for (const text of texts) this.#send(text);
  }

  /** Sends what counts; kept until the hub is known to have it, where that is of use. */
  #send(text: string): void {
    this.#wire?.send(text);
    if (this.#resume === undefined) this.#sent.count++;
    else this.#sent.add(text);
  }
}

const NO_HUB = "What answers there is no hub.";

function packetOf(text: string): Packet | undefined {
  try {
    return parsePacket(text);
  } catch {
    return undefined;
  }
}

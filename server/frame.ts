import { type Packet, quoted, RESERVED } from "../protocol/index.js";
import type { Budget } from "./budget.js";
import type { Receipt } from "./receipt.js";

/** How a transport writes a text: a WebSocket frame, a line, … */
export interface Encoding {
  readonly name: string;
  encode(text: string): Buffer;
  /** The text again. */
  decode(bytes: Buffer): string;
}

/** What kind of message a frame is (PROTOCOL.md, chapter 14); all absent: an event, kept in order. */
export interface Kind {
  /** State: of the frames with the same key that wait for a page only the newest is kept [KIND-2]. */
  readonly key?: string | undefined;
  /** Now or never [KIND-3]. */
  readonly volatile?: boolean | undefined;
  /** Told when each page's own code has finished with it [KIND-4]. */
  readonly receipt?: Receipt | undefined;
  /** It is the answer to a message. */
  readonly answers?: boolean | undefined;
}

const EVENT: Kind = Object.freeze({});

/**
 * Below so many bytes those of a frame live only for a turn of the event loop, and its text stays: Node cuts buffers of less than
 * half of `Buffer.poolSize` (8 KiB) out of slabs, and a frame of 100 bytes that is kept would keep its whole slab.
 */
const SMALL = 4_096;

/**
 * One packet for any number of peers. It is encoded once for each kind of wire, and the same bytes go to everybody
 * who gets it.
 */
export class Frame {
  /** Once there are bytes that stay, the text is not kept beside them: it would double what a slow page costs. */
  #text: string | undefined;
  /** UTF-8 bytes of the text, once known. */
  #length = 0;
  #encoding: Encoding | undefined;
  #bytes: Buffer | undefined;
  #others: Map<Encoding, Buffer> | undefined;
  /** How often it is held in the one budget that is usually the only, and in others: hubs of one process share frames. */
  #holders = 0;
  #budget: Budget | undefined;
  #otherHolders: Map<Budget, number> | undefined;
  #lasts = false;

  constructor(
    text: string,
    readonly kind: Kind = EVENT,
  ) {
    this.#text = text;
  }

  static of(packet: object, kind?: Kind): Frame {
    return new Frame(JSON.stringify(packet), kind);
  }

  /** One that is used again and again: its bytes stay. */
  static constant(text: string, kind: Kind): Frame {
    const frame = new Frame(text, kind);
    frame.#lasts = true;
    return frame;
  }

  /** Its text in UTF-8, bytes. */
  get length(): number {
    if (this.#length === 0) this.#length = Buffer.byteLength(this.text);
    return this.#length;
  }

  get text(): string {
    return this.#text ?? (this.#encoding as Encoding).decode(this.#bytes as Buffer);
  }

  /**
   * What an app sends without being asked.
   * @throws TypeError where the packet has no opcode, or one that belongs to the dialog: clients would take it for that
   */
  static push(packet: Packet, kind?: Kind): Frame {
    if (typeof packet.opcode !== "string" || packet.opcode === "" || RESERVED.has(packet.opcode)) {
      throw new TypeError(`Expected a packet with an opcode that does not belong to the dialog, got ${quoted(packet.opcode)}.`);
    }
    // Values of one key and one opcode replace each other [KIND-2].
    return Frame.of(packet, kind?.key === undefined ? kind : { ...kind, key: `${packet.opcode}\n${kind.key}` });
  }

  bytes(encoding: Encoding): Buffer {
    if (this.#encoding === encoding) return this.#bytes as Buffer;
    if (this.#encoding === undefined) {
      this.#bytes = encoding.encode(this.text);
      this.#encoding = encoding;
      if (this.#lasting) this.#text = undefined;
      return this.#bytes;
    }
    return this.#bytesForAnother(encoding);
  }

  get #lasting(): boolean {
    return this.#lasts || this.length >= SMALL;
  }

  /** The turn that needed its bytes is over. */
  rest(): void {
    if (this.#text === undefined) return;
    this.#encoding = undefined;
    this.#bytes = undefined;
    this.#others = undefined;
  }

  /** Somebody keeps it waiting, or to send it again. */
  hold(budget: Budget, size: number): void {
    if (this.#holders === 0) this.#budget = budget;
    if (this.#budget !== budget) this.#holdElsewhere(budget, size, 1);
    else if (this.#holders++ === 0) budget.used += size;
  }

  /** As often as it was held. */
  release(budget: Budget, size: number): void {
    if (this.#otherHolders?.has(budget)) this.#holdElsewhere(budget, size, -1);
    else if (--this.#holders === 0) budget.used -= size;
  }

  #holdElsewhere(budget: Budget, size: number, change: 1 | -1): void {
    this.#otherHolders ??= new Map();
    const before = this.#otherHolders.get(budget) ?? 0;
    const after = before + change;
    if (before === 0) budget.used += size;
    if (after === 0) budget.used -= size;
    if (after === 0) this.#otherHolders.delete(budget);
    else this.#otherHolders.set(budget, after);
  }

  #bytesForAnother(encoding: Encoding): Buffer {
    this.#others ??= new Map();
    let bytes = this.#others.get(encoding);
    if (bytes === undefined) {
      bytes = encoding.encode(this.text);
      this.#others.set(encoding, bytes);
    }
    return bytes;
  }
}

/** What a waiting frame costs beside its bytes, so that many small ones are bounded too. */
const FRAME_OVERHEAD = 256;

/** What a frame costs while it waits for a peer, in bytes. A long one waits as bytes: as a text it may take twice as much. */
export function sizeOf(frame: Frame, encoding: Encoding): number {
  if (frame.length >= SMALL) frame.bytes(encoding);
  return frame.length + FRAME_OVERHEAD;
}

/**
 * Joins what one peer is to be sent into one write. After a broadcast many peers in a row have the very same frames
 * waiting: the bytes joined for the one before are then used again.
 */
export class Batch {
  #frames: readonly Frame[] = [];
  #encoding: Encoding | undefined;
  #bytes: Buffer | undefined;
  readonly #used: Frame[] = [];

  join(frames: readonly Frame[], encoding: Encoding): Buffer {
    if (frames.length === 1) return this.#one(frames[0] as Frame).bytes(encoding);
    if (this.#encoding !== encoding || !sameFrames(this.#frames, frames)) {
      this.#frames = frames;
      this.#encoding = encoding;
      this.#bytes = Buffer.concat(frames.map((frame) => this.#one(frame).bytes(encoding)));
    }
    return this.#bytes as Buffer;
  }

  /** Notes it once in a row: many peers have the same. */
  #one(frame: Frame): Frame {
    if (this.#used.at(-1) !== frame) this.#used.push(frame);
    return frame;
  }

  /** Lets go of the bytes: nothing must live longer than the turn that needed it. */
  clear(): void {
    for (const frame of this.#used) frame.rest();
    this.#used.length = 0;
    this.#frames = [];
    this.#encoding = undefined;
    this.#bytes = undefined;
  }
}

function sameFrames(a: readonly Frame[], b: readonly Frame[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** How a transport writes a text: a WebSocket frame, a line, … */
export interface Encoding {
  readonly name: string;
  encode(text: string): Buffer;
  /** The text again. */
  decode(bytes: Buffer): string;
}

/**
 * One packet for any number of peers. It is encoded once for each kind of wire, and the same bytes go to everybody
 * who gets it.
 */
export class Frame {
  /** Once there are bytes the text is not kept beside them: it would double what a slow page costs. */
  #text: string | undefined;
  #encoding: Encoding | undefined;
  #bytes: Buffer | undefined;
  #others: Map<Encoding, Buffer> | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  static of(packet: object): Frame {
    return new Frame(JSON.stringify(packet));
  }

  get text(): string {
    return this.#text ?? (this.#encoding as Encoding).decode(this.#bytes as Buffer);
  }

  bytes(encoding: Encoding): Buffer {
    if (this.#encoding === encoding) return this.#bytes as Buffer;
    if (this.#encoding === undefined) {
      this.#bytes = encoding.encode(this.text);
      this.#encoding = encoding;
      this.#text = undefined;
      return this.#bytes;
    }
    return this.#bytesForAnother(encoding);
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

/**
 * Joins what one peer is to be sent into one write. After a broadcast many peers in a row have the very same frames
 * waiting: the bytes joined for the one before are then used again.
 */
export class Batch {
  #frames: readonly Frame[] = [];
  #encoding: Encoding | undefined;
  #bytes: Buffer | undefined;

  join(frames: readonly Frame[], encoding: Encoding): Buffer {
    if (frames.length === 1) return (frames[0] as Frame).bytes(encoding);
    if (this.#encoding !== encoding || !sameFrames(this.#frames, frames)) {
      this.#frames = frames;
      this.#encoding = encoding;
      this.#bytes = Buffer.concat(frames.map((frame) => frame.bytes(encoding)));
    }
    return this.#bytes as Buffer;
  }

  /** Lets go of the bytes: nothing must live longer than the turn that needed it. */
  clear(): void {
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

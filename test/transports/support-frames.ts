import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";

/** Opcodes of WebSocket frames (RFC 6455, 5.2). */
export const OP = { continuation: 0x0, text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const;

/** What a frame says of itself, right or wrong. */
export interface FrameParts {
  opcode?: number;
  fin?: boolean;
  /** The three reserved bits, 0 to 7. */
  rsv?: number;
  masked?: boolean;
  /** The length said in the header; default: the payload's. */
  declared?: bigint;
}

const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

/** A frame as a client writes it, made by hand: also those that no library would write. */
export function clientFrame(payload: string | Uint8Array, parts: FrameParts = {}): Buffer {
  const { opcode = OP.text, fin = true, rsv = 0, masked = true } = parts;
  const body = Buffer.from(payload as Uint8Array);
  const length = lengthBytes(parts.declared ?? BigInt(body.length));
  length[0] = (length[0] as number) | (masked ? 0x80 : 0);
  const first = Buffer.from([(fin ? 0x80 : 0) | (rsv << 4) | opcode]);
  if (!masked) return Buffer.concat([first, length, body]);
  for (let i = 0; i < body.length; i++) body[i] = (body[i] as number) ^ (MASK[i % 4] as number);
  return Buffer.concat([first, length, MASK, body]);
}

/** One message in as many frames as there are parts. */
export function fragments(parts: readonly (string | Uint8Array)[]): Buffer[] {
  return parts.map((part, i) => clientFrame(part, { opcode: i === 0 ? OP.text : OP.continuation, fin: i === parts.length - 1 }));
}

function lengthBytes(length: bigint): Buffer {
  if (length < 126n) return Buffer.from([Number(length)]);
  const bytes = Buffer.alloc(length < 65_536n ? 3 : 9);
  if (bytes.length === 3) bytes.writeUInt16BE(Number(length), 1);
  else bytes.writeBigUInt64BE(length, 1);
  bytes[0] = bytes.length === 3 ? 126 : 127;
  return bytes;
}

/** A frame of the hub, checked. */
export interface HubFrame {
  readonly opcode: number;
  readonly payload: Buffer;
}

const KNOWN: ReadonlySet<number> = new Set([OP.text, OP.close, OP.ping, OP.pong]);
const LONGEST_CONTROL = 125;

/** Reads the hub's frames from a stream of bytes and forgives nothing: one byte out of place fails. */
export class FrameReader {
  #pending: Buffer = Buffer.alloc(0);

  /** @throws AssertionError where a frame is not what a server without extensions may write */
  read(bytes: Buffer): HubFrame[] {
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    const frames: HubFrame[] = [];
    for (let frame = this.#take(); frame; frame = this.#take()) frames.push(frame);
    return frames;
  }

  /** Bytes of the frame begun and not ended. */
  get pending(): number {
    return this.#pending.length;
  }

  #take(): HubFrame | undefined {
    if (this.#pending.length < 2) return undefined;
    const first = this.#pending[0] as number;
    const short = this.#pending[1] as number;
    const opcode = first & 0x0f;
    assert.equal(first & 0xf0, 0x80, `FIN and no reserved bit, got ${first.toString(16)}`);
    assert.ok(KNOWN.has(opcode), `a known opcode, got ${opcode}`);
    assert.ok(short < 0x80, "no mask");
    if (opcode >= OP.close) assert.ok(short <= LONGEST_CONTROL, "a short control frame");
    const header = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (this.#pending.length < header) return undefined;
    const length = this.#length(short);
    if (this.#pending.length < header + length) return undefined;
    const payload = this.#pending.subarray(header, header + length);
    if (opcode === OP.text) assert.ok(isUtf8(payload), "UTF-8");
    this.#pending = this.#pending.subarray(header + length);
    return { opcode, payload };
  }

  /** Of the three ways to write a length, the shortest must have been taken. */
  #length(short: number): number {
    if (short < 126) return short;
    const length = short === 126 ? this.#pending.readUInt16BE(2) : Number(this.#pending.readBigUInt64BE(2));
    assert.ok(length >= (short === 126 ? 126 : 65_536), "the shortest length");
    return length;
  }
}

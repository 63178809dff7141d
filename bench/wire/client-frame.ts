/** Opcodes of RFC 6455, 5.2, as far as they are met here. */
export const TEXT = 0x1;
export const CLOSE = 0x8;
export const PING = 0x9;
export const PONG = 0xa;

const FIN = 0x80;
const MASKED = 0x80;
/** The key of the examples in RFC 6455, 5.7. Any key but zero will do: `ws` spares itself the unmasking where it is zero. */
const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

/** A whole frame of a client, masked as RFC 6455, 5.3 demands, to be built once and written many times. */
export function clientFrame(opcode: number, text: string): Buffer {
  const payload = Buffer.from(text);
  for (let i = 0; i < payload.length; i++) payload[i] = (payload[i] as number) ^ (MASK[i % 4] as number);
  return Buffer.concat([header(opcode, payload.length), MASK, payload]);
}

function header(opcode: number, length: number): Buffer {
  if (length < 126) return Buffer.from([FIN | opcode, MASKED | length]);
  if (length > 0xffff) throw new RangeError(`Expected at most 65,535 bytes, got ${length}.`);
  return Buffer.from([FIN | opcode, MASKED | 126, length >> 8, length & 0xff]);
}

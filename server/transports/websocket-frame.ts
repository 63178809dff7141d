import type { Encoding } from "../frame.js";

/** FIN and the text opcode (RFC 6455, 5.2): the server's frames are whole, unmasked and uncompressed. */
const TEXT = 0x81;

/**
 * A text as a WebSocket frame of the server, made once and written to any number of sockets beside `ws`. That is
 * right as long as `ws` writes each of its own frames (pong, close) in one piece and holds none back, which it does
 * without compression; a test holds it to that.
 */
export const webSocketEncoding: Encoding = {
  name: "websocket",
  encode(text) {
    const length = Buffer.byteLength(text);
    const header = length < 126 ? 2 : length < 65_536 ? 4 : 10;
    const frame = Buffer.allocUnsafe(header + length);
    frame[0] = TEXT;
    if (header === 2) frame[1] = length;
    else if (header === 4) {
      frame[1] = 126;
      frame.writeUInt16BE(length, 2);
    } else {
      frame[1] = 127;
      frame.writeUInt32BE(0, 2);
      frame.writeUInt32BE(length, 6);
    }
    frame.write(text, header);
    return frame;
  },
  decode(frame) {
    const length = frame[1] as number;
    return frame.toString("utf8", length < 126 ? 2 : length === 126 ? 4 : 10);
  },
};

import { createHash } from "node:crypto";
import { nextCookie } from "../login.js";

/** The key of the example in RFC 6455, 1.3: it protects nothing between two processes that trust each other. */
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT = createHash("sha1").update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
const END = "\r\n\r\n";

/** The request of a client's opening handshake (RFC 6455, 4.1). */
export function handshakeRequest(port: number, path: string, subprotocol: string | undefined): string {
  const lines = [
    `GET ${path} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${KEY}`,
    `Cookie: ${nextCookie()}`,
  ];
  if (subprotocol !== undefined) lines.push(`Sec-WebSocket-Protocol: ${subprotocol}`);
  return lines.join("\r\n") + END;
}

/**
 * Looks for the end of the server's answer in all that has come so far.
 * @returns its length in bytes, or undefined while it is not complete
 * @throws Error where the server did not accept
 */
export function handshakeEnd(answer: string): number | undefined {
  const end = answer.indexOf(END);
  if (end < 0) return undefined;
  if (!answer.startsWith("HTTP/1.1 101 ") || !answer.includes(ACCEPT))
    throw new Error(`Expected the server to accept the handshake, got: ${answer.slice(0, 200)}`);
  return end + END.length;
}

/** All close codes in one table (PROTOCOL.md, chapter 10): the number, its name, and may the client reconnect by itself? */
export const CLOSE = {
  normal: { code: 1000, reconnect: false },
  /** A page says it when it is left, and connects no more; a server or proxy, when it goes down (RFC 6455, 7.4.1). */
  "going-away": { code: 1001, reconnect: true },
  protocol: { code: 1002, reconnect: false },
  binary: { code: 1003, reconnect: false },
  /** Never on the wire: what an end sees when the connection broke without a close frame (RFC 6455, 7.1.5). */
  lost: { code: 1006, reconnect: true },
  "bad-utf8": { code: 1007, reconnect: false },
  policy: { code: 1008, reconnect: true },
  "too-big": { code: 1009, reconnect: true },
  fault: { code: 1011, reconnect: true },
  restart: { code: 1012, reconnect: true },
  "try-later": { code: 1013, reconnect: true },
  /** A client says it to a hub it hears nothing of, and tries again. */
  "given-up": { code: 4000, reconnect: true },
  replaced: { code: 4001, reconnect: false },
  forbidden: { code: 4003, reconnect: false },
  "no-hello": { code: 4008, reconnect: true },
  /** Log in again. Not by itself: it would be closed again. */
  unauthorized: { code: 4401, reconnect: false },
  "no-resource": { code: 4404, reconnect: false },
} as const;

export type CloseName = keyof typeof CLOSE;

const RECONNECT = new Map<number, boolean>(Object.values(CLOSE).map((row) => [row.code, row.reconnect]));

/** May a client that was closed with this code connect again by itself? Unknown codes: yes, the pause grows anyway. */
export function mayReconnect(code: number): boolean {
  return RECONNECT.get(code) ?? true;
}

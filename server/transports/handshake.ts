import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { Fault, quoted, REFUSALS, SUBPROTOCOL } from "../../protocol/index.js";

const MAX_PATH = 1_024;

/** A handshake that is answered by HTTP [OPEN-6]. */
export class HttpRefusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}

/**
 * The path of a request, without the query, decoded once [OPEN-5].
 * @throws HttpRefusal 400 where it is malformed
 */
export function decodePath(url: string): string {
  const raw = url.split("?", 1)[0] as string;
  try {
    if (raw.startsWith("/") && raw.length <= MAX_PATH) {
      const path = decodeURIComponent(raw);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
      if (!/[\u0000-\u001f\u007f]/.test(path)) return path;
    }
  } catch {
    // Not percent-encoded UTF-8: refused like the rest.
  }
  throw new HttpRefusal(400, `Expected a path of at most ${MAX_PATH} characters, got ${quoted(raw)}.`);
}

export const STOPPING = new HttpRefusal(503, "The hub is stopping.", { "retry-after": "2" });

/** Whether a page comes back, and needs no new place, is known when it has said hello. */
export const mayComeBack = ({ headers }: IncomingMessage): boolean => protocolsOf(headers["sec-websocket-protocol"]).includes(SUBPROTOCOL);

export const protocolsOf = (header = ""): readonly string[] => header.split(",").map((each) => each.trim());

/** Is whoever it is to be told what a status cannot tell a page [AUTH-9]? */
export function hearsRefusals({ headers }: IncomingMessage): boolean {
  const protocols = protocolsOf(headers["sec-websocket-protocol"]);
  return protocols.includes(SUBPROTOCOL) && protocols.includes(REFUSALS);
}

/** Before the upgrade it is HTTP that says it [OPEN-6]; what is nobody's refusal is thrown on. */
export function asRefusal(error: unknown): HttpRefusal {
  if (error instanceof HttpRefusal) return error;
  if (!(error instanceof Fault)) throw error;
  const { kind, message } = error;
  return kind === "unauthorized"
    ? new HttpRefusal(401, message, { "www-authenticate": "Bearer" })
    : new HttpRefusal(503, message, { "retry-after": "5" });
}

export function writeHttp(socket: Duplex, { status, message, headers }: HttpRefusal): void {
  const body = `${message}\n`;
  const all = {
    connection: "close",
    "content-type": "text/plain; charset=utf-8",
    "content-length": String(Buffer.byteLength(body)),
    ...headers,
  };
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head.join("")}\r\n${body}`);
  socket.once("finish", () => socket.destroy());
}

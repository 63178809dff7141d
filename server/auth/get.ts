import { isUtf8 } from "node:buffer";
import { once } from "node:events";
import { type ClientRequest, Agent as HttpAgent, get as httpGet, type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import { Agent as HttpsAgent, get as httpsGet } from "node:https";
import { shownUrl } from "./settings.js";

/** Bytes of a body at most: it says who somebody is. */
const MAX_BODY = 65_536;
/** Connections to one application: a hub that starts has all its pages at the door at once, and the application is not to be overrun. */
const MAX_CONNECTIONS = 64;
/** Questions that wait for one of these: as many as handshakes may be unfinished by default. Who floods the door must not fill the memory. */
const MAX_WAITING = 1_000;
/** ms that one waits for a connection: the default of `authTimeout`, after which nobody wants to know any more. */
const MAX_WAIT = 5_000;

export interface Got {
  readonly status: number;
  /** Of a 200; "" otherwise. */
  readonly body: string;
}

export type Get = (headers: OutgoingHttpHeaders) => Promise<Got>;

/**
 * Asks one URL, over connections that are used again; idle ones do not keep the process alive. Redirects are not followed.
 * @param timeout ms until the whole answer must be there
 * @returns a function that rejects with an Error where there is no answer in time, too many wait for one, or its body is above 64 KiB or no UTF-8; the
 *   message shows neither headers nor the query of the URL
 */
export function getter(url: URL, timeout: number): Get {
  const secure = url.protocol === "https:";
  const agent = new (secure ? HttpsAgent : HttpAgent)({ keepAlive: true, maxSockets: MAX_CONNECTIONS });
  let open = 0;
  return async (headers) => {
    if (open >= MAX_CONNECTIONS + MAX_WAITING) throw new Error(`${shownUrl(url)} cannot be asked: ${MAX_WAITING} questions wait already.`);
    const limit = new AbortController();
    const { signal } = limit;
    let allowed = MAX_WAIT;
    let timer = setTimeout(() => limit.abort(), allowed);
    open++;
    try {
      const response = await responseTo(() =>
        (secure ? httpsGet : httpGet)(url, { agent, headers, signal }).once("socket", () => {
          // From now on: who waits for a connection does not wait for the application.
          clearTimeout(timer);
          allowed = timeout;
          timer = setTimeout(() => limit.abort(), allowed);
        }),
      );
      const body = bodyOf(response);
      // Of another answer only the status counts; it is read none the less, for then its connection can be used again.
      return { status: response.statusCode ?? 0, body: response.statusCode === 200 ? await body : await body.then(nothing, nothing) };
    } catch (error) {
      const reason = signal.aborted
        ? `no answer within ${allowed} ms`
        : ((error as NodeJS.ErrnoException).code ?? (error as Error).message);
      throw new Error(`${shownUrl(url)} cannot be asked: ${reason}.`);
    } finally {
      clearTimeout(timer);
      open--;
    }
  };
}

async function responseTo(send: () => ClientRequest): Promise<IncomingMessage> {
  for (;;) {
    // A connection that breaks once the answer has begun is told here too, where nobody waits any more: its body tells it.
    const request = send().on("error", () => {});
    try {
      return (await once(request, "response"))[0] as IncomingMessage;
    } catch (error) {
      // An idle connection that the application closed while the question was on its way; to ask once more changes nothing there.
      const stale = request.reusedSocket && ["ECONNRESET", "EPIPE"].includes(String((error as NodeJS.ErrnoException).code));
      if (!stale) throw error;
    }
  }
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY) throw new Error(`the body has more than ${MAX_BODY} bytes`);
    chunks.push(chunk);
  }
  const bytes = Buffer.concat(chunks);
  if (isUtf8(bytes)) return bytes.toString();
  throw new Error("the body is not UTF-8");
}

const nothing = (): string => "";

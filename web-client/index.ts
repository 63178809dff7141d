import { type ClientOptions, helloOf, untilReady, type Wire, type WireEvents } from "../client/index.js";
import { REFUSALS, SUBPROTOCOL } from "../protocol/index.js";
import { followPage, placeOf, takeLeftBehind } from "./lifecycle.js";
import { PageClient } from "./page-client.js";

export type { ClientOptions, MessageFields, Outcome } from "../client/index.js";
export { ClosedError, CloseEvent, HubClient, PushEvent, ReadyEvent, RefusedError } from "../client/index.js";
export { type EndState, Job, JobEvent, type JobState } from "./job.js";
export { type Holding, LockEvent, type LockInfo } from "./lock-event.js";
export { type Holdings, type Id, type Ids, Locks } from "./locks.js";
export { PageClient } from "./page-client.js";
export { type Presence, type SetOptions, SharedState } from "./shared-state.js";
export { type StateChange, StateEvent, type StateValue } from "./state-change.js";

export interface PageOptions extends ClientOptions {
  /** The WebSocket to use, where there is no global one (Node 20). */
  WebSocket?: WebSocketConstructor;
}

/** As much of a WebSocket as is used. */
export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

interface WebSocketLike {
  readonly readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

/**
 * Connects a page to the hub; settles when the hub says `ready`, with the UUID to hand to your backend.
 * @param url `ws://host:port/resource`; a path alone means the host that served the page
 */
export async function connect(url: string, options: PageOptions = {}): Promise<PageClient> {
  const Socket = options.WebSocket ?? (globalThis.WebSocket as unknown as WebSocketConstructor | undefined);
  if (Socket === undefined) throw new TypeError("There is no WebSocket here: give one as the option `WebSocket`.");
  const address = absolute(url);
  const place = placeOf(address);
  const open = (events: WireEvents): Wire => openWebSocket(new Socket(address, [SUBPROTOCOL, REFUSALS]), events);
  const client = new PageClient(open, helloOf(options), takeLeftBehind(place));
  followPage(client, place);
  return untilReady(client, options);
}

function absolute(text: string): string {
  const url = parseUrl(text);
  if (url === undefined || !/^(ws|http)s?:$/.test(url.protocol)) {
    throw new TypeError(`Expected a hub's address to be ws://HOST:PORT/RESOURCE, wss://…, or a path on the page's host, got \`${text}\`.`);
  }
  url.protocol = url.protocol.replace("http", "ws");
  url.hash = "";
  return url.href;
}

function parseUrl(text: string): URL | undefined {
  try {
    // Not every runtime has a page.
    return new URL(text, (globalThis as { location?: Location }).location?.href);
  } catch {
    return undefined;
  }
}

const OPEN = 1;

function openWebSocket(socket: WebSocketLike, events: WireEvents): Wire {
  socket.onopen = () => events.open();
  socket.onmessage = ({ data }: { data: string }) => events.text(data);
  socket.onclose = ({ code, reason }: { code: number; reason: string }) => events.closed(code, reason);
  // What went wrong follows as a close; the event itself says nothing.
  socket.onerror = () => {};
  // On one that is closing a browser complains, and drops it.
  return { send: (text) => void (socket.readyState === OPEN && socket.send(text)), close: (code = 1000) => socket.close(code) };
}

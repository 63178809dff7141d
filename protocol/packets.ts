/**
 * The words of both ends (PROTOCOL.md, chapters 2 to 7). An arrow says who speaks:
 * `C→H` a client to the hub, `H→C` the hub to a client.
 */

/** The WebSocket subprotocol in which a client says `hello` first. */
export const SUBPROTOCOL = "signalbox.1";
/** Offered beside it by who cannot read the status of a handshake that is refused, as a page in a browser [AUTH-9]. */
export const REFUSALS = "signalbox.refusals";

/** The control words around the pieces of a long message. Compared whole, never as part of a text [CHUNK-2]. */
export const BUFFER_ON = "bufferON";
export const BUFFER_OFF = "bufferOFF";

/** Any packet: an object with a string `opcode`; unknown fields are ignored [PKT-1]. */
export interface Packet {
  opcode: string;
  [field: string]: unknown;
}

/** Properties by which peers can be addressed [STD-3]. */
export type Tags = Readonly<Record<string, string | number | boolean>>;

/** C→H, the first packet where one is due (chapter 3). */
export interface Hello {
  opcode: "hello";
  window?: number;
  ident?: string;
  tags?: Tags;
  resource?: string;
  token?: string;
  /** Of which a proof can be shown. */
  key?: string;
  resume?: string;
  seen?: number;
  reload?: boolean;
}

/** H→C, instead of `ready`: what a proof is to be made of [AUTH-6]. */
export interface Challenge {
  opcode: "challenge";
  nonce: string;
}

/** C→H, the answer to a challenge: HMAC-SHA256 in hexadecimal digits. */
export interface Proof {
  opcode: "proof";
  mac: string;
}

/** What is signed by a proof [AUTH-6]. */
export const proofText = (key: string, nonce: string): string => `signalbox.1\n${key}\n${nonce}`;

/** H→C, who this peer is believed to be is not known for longer than `in` ms: a `token` says it anew [AUTH-5]. */
export interface Expiring {
  opcode: "expiring";
  in: number;
}

/** C→H, the answer: a new token. */
export interface Token {
  opcode: "token";
  token: string;
}

/** The limits a client must keep (chapter 11). */
export interface ReadyLimits {
  /** Bytes of one message, or of the pieces of one. */
  maxMessage: number;
  /** Levels of nested JSON. */
  maxDepth: number;
  /** Bytes that may wait for it to read. */
  maxQueued: number;
  /** ms between two pieces of a message, and for an app to answer one. */
  bufferTimeout: number;
  appTimeout: number;
  /** Messages and bytes of them a second, above which they wait for their turn; of a backend of the hub's host there is none. */
  maxRate?: number;
  maxByteRate?: number;
  /** Jobs of a page, ids that it and all pages of its user list or lock, patterns that it watches. */
  maxJobs: number;
  maxLocks: number;
  maxLocksPerUser: number;
  maxWatches: number;
}

/** H→C, the peer is reachable from now on [OPEN-1]. */
export interface Ready {
  opcode: "ready";
  uuid: string;
  window: number;
  limits: ReadyLimits;
  /** The hub's clock, ms since 1970. */
  time: number;
  /** Who this peer is, where an authenticator knows [AUTH-4]. */
  user?: { id: string; name: string; roles: readonly string[] };
  /** To a page that said hello (chapter 14): the secret that takes it up again, and how long the hub holds it, in ms. */
  resume?: string;
  grace?: number;
  /** How often it hears of the hub at least, in ms [RES-12]. */
  heartbeat?: number;
  resumed?: boolean;
  /** Why it is a new page, where it asked to be taken up again. */
  reason?: string;
  /** Packets of the client that the hub has counted, and answers to them still to come. */
  got?: number;
  owed?: number;
}

/** What became of a message [NEXT-3]. */
export type Status = "done" | "sent" | "held" | "delivered" | "merged" | "gone" | "dropped" | "refused" | "cancel";

/** A message's own name for itself, echoed in its `next` [NEXT-2]. */
export type Ref = string | number;

/** Why something was refused: a stable code and a sentence for people. */
export interface ErrorInfo {
  code: string;
  message: string;
}

/** H→C, the answer to one message [NEXT-1]. */
export interface Next {
  opcode: "next";
  fyi: "";
  ref?: Ref;
  status: Status;
  n?: number;
  held?: number;
  result?: unknown;
  error?: ErrorInfo;
  reason?: string;
}

/** H→C, the connection ends because of a fault [END-3]. */
export interface Close {
  opcode: "close";
  error: string;
  code: number;
}

/** C→H, ends the dialog [END-1]. */
export interface Quit {
  opcode: "quit";
}

/** C→H, the answer to a question of an app [ASK-1]. */
export interface Reply {
  opcode: "reply";
  ask: number;
  result?: unknown;
  error?: string;
}

/** Whom a `feedback` is for: exactly one of the three [STD-3]. */
export type Target = { uuid: string } | { ident: string } | { tags: Tags };

/** C→H, to the peers meant. H→C with `fromUUID`. */
export type Feedback = { opcode: "feedback"; message?: unknown; key?: string } & Partial<Record<"uuid" | "ident", string>> & {
    tags?: Tags;
  };

/** C→H, to all pages but the sender [STD-5]. */
export interface Broadcast {
  opcode: "broadcast";
  message?: unknown;
  resource?: string;
  tags?: Tags;
  key?: string;
}

/** Said by a client without credit and never answered with `next` [NEXT-6]. */
export const CREDIT_FREE: ReadonlySet<string> = new Set(["cancel", "seen", "quit", "reply"]);

/** Said by the dialog itself: an app can neither declare nor push them. */
export const RESERVED: ReadonlySet<string> = new Set(["hello", "ready", "next", "close", "seen", "reply", "token", "expiring"]);

/** Fields of a forwarded message that are meant for the hub alone [STD-1]. */
export const NOT_FORWARDED: ReadonlySet<string> = new Set(["uuid", "ident", "tags", "resource", "ref", "wait", "volatile", "fromUUID"]);

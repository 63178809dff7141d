import type { Answer, MaybePromise, Packet, Tags, Target } from "../protocol/index.js";
import type { Clock } from "./clock.js";
import type { Change, Done, Entry, Query, Step } from "./cluster/table.js";

export type { MaybePromise } from "../protocol/index.js";
export type { Change, Done, Entry, Query, Step } from "./cluster/table.js";

/** Who somebody is, as the application knows it. */
export interface User {
  /** Names it for the application: unique, and always the same. Its pages can be addressed by it (`ident`). At most 256 characters. */
  readonly id: string;
  /** For people. */
  readonly name: string;
  readonly roles: readonly string[];
}

/** Whoever is connected, as an app sees it. */
export interface Peer {
  /** Names it in the log. */
  readonly id: number;
  /** Its address: whoever knows it may send to this peer. */
  readonly uuid: string;
  /** A page came over WebSocket, a backend over TCP or a unix socket. */
  readonly kind: "page" | "backend";
  /** The path it asked for, decoded, without the query. */
  readonly path: string;
  /** Who it is, where an authenticator knows [AUTH-4]. */
  readonly user: User | undefined;
  /** A name by which it can be addressed: its user's id, or, where nobody asks who it is, the name it gave itself in `hello`. */
  readonly ident: string | undefined;
  readonly tags: Tags;
  /** Where its socket comes from: an IP address, or `unix`. */
  readonly address: string;
  /** Its socket comes from this host. */
  readonly local: boolean;
  /** False for plain words and original backends: they would take a push for an answer [STD-4]. */
  readonly takesPushes: boolean;
  /** True while its connection is gone and it may return [RES-2]. */
  readonly away: boolean;
  /** False while it does not take what it is sent: it is away, or reads too slowly. What it is sent waits. */
  readonly writable: boolean;
  /** Calls back once, when it is writable (again). Never where it leaves before. */
  onceWritable(callback: () => void): void;
  /**
   * Sends it a packet without being asked.
   * @returns false where it takes no pushes or is on its way out
   * @throws TypeError where the packet has no opcode, or one that belongs to the dialog
   */
  send(packet: Packet, kind?: MessageKind): boolean;
  /**
   * Asks it a question; resolves with the `result` of its `reply` [ASK-1].
   * @param timeout ms, default 30,000
   * @throws Error (rejects) where it answers with an error, leaves, or does not answer in time
   */
  ask(packet: Packet, timeout?: number): Promise<unknown>;
  /** Closes its connection, with a sentence for people. */
  close(reason?: string): void;
}

/**
 * Handles one message. What it returns, or its promise resolves to, becomes `result` of the `next`; an {@link Answer}
 * becomes the whole answer. Throw a `Refusal` to refuse with a code of your own; anything else thrown is answered
 * `app-error` and logged with its stack [NEXT-7].
 */
export type Handler = (packet: Packet, peer: Peer, hub: AppHub) => unknown;

/**
 * Whoever may say something: `anyone`, `nobody`, `page`, `backend`, `local` (a backend of the hub's own host), `user` (anybody who is known), `user:ID`,
 * `role:NAME`.
 */
export type Who = "anyone" | "nobody" | "page" | "backend" | "local" | "user" | `user:${string}` | `role:${string}`;

/** May this peer say this? False refuses; a text refuses with that as the reason. */
export type AllowFunction = (packet: Packet, peer: Peer) => MaybePromise<boolean | string>;

/** Who may say one opcode: one of these, or whom the function lets. */
export type AllowRule = Who | readonly Who[] | AllowFunction;

/** An app is a value: the opcodes it handles and, if it wants them, what it does at the turns of life. */
export interface App {
  /** For the log; default: the paths it is mounted on. */
  name?: string;
  opcodes: Record<string, Handler>;
  /** Plain words on TCP: turns the arguments behind the word into a packet of one of the opcodes; throws a `Refusal` otherwise. */
  words?: Record<string, (args: string) => Packet>;
  /** Who alone may say an opcode, where it is not everybody's: `{ release: "backend" }`. `allow` of a resource can name others [ALLOW-2]. */
  allow?: Readonly<Record<string, AllowRule>>;
  /** Opcodes that change nothing: pages that may only listen may say them [ALLOW-3]. */
  reads?: readonly string[];
  /** Awaited before the first listener stands. */
  start?(hub: AppHub): MaybePromise<void>;
  open?(peer: Peer, hub: AppHub): void;
  /** @param why as in the log: `quit`, `lost`, `slow`, … */
  close?(peer: Peer, why: string, hub: AppHub): void;
  /** A handler or hook of this app threw something that is no `Refusal`. It has been logged. */
  error?(error: unknown, peer: Peer | undefined, hub: AppHub): void;
  /** Its connection is gone, and it may return; until it is back it is `away`. */
  away?(peer: Peer, hub: AppHub): void;
  /** @param reloaded it was loaded anew and knows nothing; said also where its connection had not been seen to end */
  back?(peer: Peer, hub: AppHub, reloaded: boolean): void;
  /** Something has happened in this app's table ({@link AppHub.table}), through this hub or another, and in the same order on all. */
  changed?(changes: readonly Change[], hub: AppHub): void;
  /**
   * This app called itself, from this hub or another, where a peer with a certain UUID is ({@link AppHub.call}); what it
   * returns goes back, a thrown `Refusal` too.
   */
  called?(peer: Peer, message: unknown, hub: AppHub): unknown;
  /** The first peer came, after none; before its `open`. */
  firstOpen?(hub: AppHub): void;
  /** The last peer left; after its `close`. */
  lastClose?(hub: AppHub): void;
  /** Figures for whoever runs the hub, by name: what it holds, not what has happened. They stand in `/status` and `/metrics`. */
  status?(hub: AppHub): Readonly<Record<string, number>>;
  /** Awaited at shutdown, when all peers are gone, for at most `stopTimeout`. */
  stop?(hub: AppHub): MaybePromise<void>;
}

/** What kind of message it is; without any of these an event, kept in order (PROTOCOL.md, chapter 14). */
export interface MessageKind {
  /** State: of one key (and opcode) only the newest waits for a page [KIND-2]. */
  key?: string;
  /** Now or never [KIND-3]. */
  volatile?: boolean;
}

export interface FeedbackOptions extends MessageKind {
  /** Settle when the page's own code has it: `delivered`, `merged` or `gone` [KIND-4]. */
  wait?: boolean;
}

export interface BroadcastOptions extends MessageKind {
  /** Only pages on this path, or below a registered prefix such as `/orders/*`. */
  resource?: string;
  /** Only pages that have every one of these. */
  tags?: Tags;
  /** Not to this peer: usually the sender. */
  except?: Peer;
}

/**
 * Keys with a current value, shared by all hubs of a cluster; every change is told to `changed` of the app on each of them. What a peer owns
 * is freed when its hub is not heard of any more; when the peer itself has ended is for the app to say. The guarantees: `Cluster`.
 * Both reject with a `Refusal` of code `unavailable` where the other hubs cannot be reached.
 */
export interface AppTable {
  /** @param all nothing happens unless every step can */
  change(steps: readonly Step[], all?: boolean): MaybePromise<readonly Done[]>;
  read(query: Query): MaybePromise<ReadonlyMap<string, Entry>>;
}

/** What the hub does for an app. The built-in apps have nothing more. */
export interface AppHub {
  /** The peers on the resources that carry this app, on this hub. */
  readonly peers: Iterable<Peer>;
  /** The URLs the hub listens on, with their real ports; empty during `start`. */
  readonly listeners: readonly string[];
  readonly log: Log;
  /** The time by which the hub itself lives; a test may own it. */
  readonly clock: Clock;
  /**
   * Calls `called` of this app on the hub where the peer with this UUID is. What belongs to one peer is kept there, and
   * every hub can get at it. Message and result must be such that JSON keeps them.
   * @returns what it returned; `undefined` where nobody has that UUID, or its resource does not carry this app
   * @throws Refusal (or rejects) where it throws one; `unavailable` where the other hubs cannot be reached
   */
  call(uuid: string, message: unknown): MaybePromise<unknown>;
  /** What this app shares with itself on all hubs. */
  readonly table: AppTable;
  /** Sends one packet to these peers of this hub; it is made into bytes once. Like `peer.send` to each of them. */
  multicast(peers: Iterable<Peer>, packet: Packet, kind?: MessageKind): void;
  /** Sends a packet to the peers meant, on whichever hub they are: `sent`, `held`, `gone`, … [NEXT-3]. */
  feedback(to: Target, packet: Packet, options?: FeedbackOptions): MaybePromise<Answer>;
  /** Sends a packet to pages, on all hubs: always `sent` [STD-5]. */
  broadcast(packet: Packet, options?: BroadcastOptions): MaybePromise<Answer>;
}

/** One line per event that an operator wants; never payloads or secrets. */
export interface Log {
  error(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  debug(event: string, fields?: LogFields): void;
}

export type LogFields = Readonly<Record<string, unknown>>;

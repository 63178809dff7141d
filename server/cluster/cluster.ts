import type { Tags, Target } from "../../protocol/index.js";
import type { MaybePromise } from "../app.js";
import type { Frame } from "../frame.js";
import type { Change, Done, Entry, Query, Step } from "./table.js";

/** All pages, narrowed by path and tags, but for one peer [STD-5]. */
export interface Pages {
  readonly pages: true;
  readonly resource?: string | undefined;
  readonly tags?: Tags | undefined;
  /** UUID of the peer that is left out. */
  readonly except?: string | undefined;
}

export type Address = Target | Pages;

/** Whom a frame reached. */
export interface Reach {
  /** Connected peers whose queue took it. */
  readonly sent: number;
  /** Peers that are away, for whom it waits. */
  readonly held: number;
  /** Peers that are meant and had no room or no connection for something volatile. */
  readonly dropped: number;
  /** Peers that are meant but take no pushes, or cannot say that they have one [STD-4, KIND-4]. */
  readonly deaf: number;
}

export const NOBODY: Reach = Object.freeze({ sent: 0, held: 0, dropped: 0, deaf: 0 });

/** Whom two frames, or one on two hubs, reached together. */
export function sum(a: Reach, b: Reach): Reach {
  return { sent: a.sent + b.sent, held: a.held + b.held, dropped: a.dropped + b.dropped, deaf: a.deaf + b.deaf };
}

/** Was anybody meant at all? */
export const anybody = ({ sent, held, dropped, deaf }: Reach): boolean => sent + held + dropped + deaf > 0;

/** A hub, as the others see it. */
export interface Member {
  /** Unique for each start of a hub. */
  readonly id: string;
  /** Gives the frame to those of its own peers who are meant. Does not throw. */
  deliver(to: Address, frame: Frame): Reach;
  /**
   * Calls an app where the peer with this UUID is.
   * @returns `undefined` where that is not here; otherwise what the app returned
   * @throws Refusal (or rejects) what the app throws
   */
  call(uuid: string, app: string, message: unknown): MaybePromise<Called> | undefined;
  /** ms without a sign of life after which what its peers own is free. */
  readonly lease: number;
  /** Something has happened in a table, through whichever member. Does not throw. */
  changed(table: string, changes: readonly Change[]): void;
}

/** What a call came back with. */
export interface Called {
  readonly value: unknown;
}

/**
 * What holds hubs together. Guarantees, the same for every implementation:
 *
 * - **Delivery**: each member that has joined when `send` is called gets the frame once, the sender's own peers
 *   included; a member that joins later does not. Nothing is kept or repeated.
 * - **Order**: frames sent by one member arrive at each other member in the order of the calls.
 * - **Answer**: the sum over all members. For a UUID it is known to be complete, for it has one owner.
 * - **Failure**: where other members cannot be reached `send` rejects with a `Refusal` of code `unavailable`; own
 *   peers have been served by then. It settles within 1 s.
 * - **Receipts**: where the frame has one, it is settled once for each page counted in `sent` and `held`, whichever hub it is on.
 * - **Call**: the member that has the UUID is called once, with a message such that JSON keeps it; what it returns comes back, and what
 *   it throws, a `Refusal` with its code and message. `undefined`: nobody has it. Calls of one member for one UUID arrive in their order.
 * - A value is returned instead of a promise where the answer is known at once.
 *
 * And for the tables, of which each app has one that all its hubs share; a table holds a value for each key:
 *
 * - **Atomic**: the steps of one `change` happen together, in their order; nobody sees anything in between, and nobody gets in between.
 *   With `all` nothing happens unless every step can.
 * - **Order**: every member is told of all changes of a table, its own included, in one and the same order, and of its own before `change`
 *   settles. What `change` and `read` return includes every change that was told before they settled, and none that is told later.
 * - **Versions** only grow, over all keys and tables and over restarts.
 * - **Lease**: what the peers of a member own is theirs while the member shows a sign of life (`renew`, `change` or `read`) at least every
 *   `lease` ms. Where it has not, all of that is freed and told as `taken`. This is judged before anything else is served, and the member that
 *   comes back is told before any of its own calls settles. The same happens when it leaves.
 */
export interface Cluster {
  join(member: Member): MaybePromise<void>;
  leave(member: Member): MaybePromise<void>;
  send(from: Member, to: Address, frame: Frame): MaybePromise<Reach>;
  call(from: Member, uuid: string, app: string, message: unknown): MaybePromise<Called | undefined>;
  renew(member: Member): MaybePromise<void>;
  change(from: Member, table: string, steps: readonly Step[], all?: boolean): MaybePromise<readonly Done[]>;
  read(from: Member, table: string, query: Query): MaybePromise<ReadonlyMap<string, Entry>>;
}

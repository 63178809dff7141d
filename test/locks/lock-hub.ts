import { locks } from "../../apps/locks/locks.js";
import type { LockLimits } from "../../apps/locks/packets.js";
import type { Packet } from "../../protocol/index.js";
import { wordsDialect } from "../../server/dialect.js";
import { OPTIONS } from "../../server/options.js";
import { LoopbackHub, type LoopbackOptions, type LoopbackPeer } from "../support/loopback.js";

/** As the hub has them if nobody says otherwise. */
export const DEFAULTS: LockLimits = {
  maxLocks: OPTIONS.maxLocks.default,
  maxLocksPerUser: OPTIONS.maxLocksPerUser.default,
  maxLocksInAll: OPTIONS.maxLocksInAll.default,
  maxQueued: OPTIONS.maxQueued.default,
};

/** What a page has and what others have, as an answer says it. */
export interface Holdings {
  mine: Record<string, number>;
  held: Record<string, { by: string; since: number; state: string }>;
  more?: true;
}

/** A hub with locks, no socket anywhere. */
export class LockHub extends LoopbackHub {
  constructor(limits: Partial<LockLimits> = {}, options: LoopbackOptions = {}) {
    super({ ...options, apps: [locks({ ...DEFAULTS, ...limits })] });
  }

  page(ident: string): LockPage {
    return new LockPage(this.peer({ hello: { window: 8, ident } }));
  }

  /** A page of somebody who is known. */
  pageOf(id: string): LockPage {
    return new LockPage(this.peer({ hello: { window: 8 }, identity: { user: { id, name: id, roles: [] } } }));
  }

  /** A script on the hub's own host. */
  script(address = "127.0.0.1"): LoopbackPeer {
    return this.peer({ kind: "backend", dialect: wordsDialect, address });
  }
}

/** A page that lists and locks in the space `books`, if nothing else is said. */
export class LockPage {
  /** What it was told without asking, since it was last looked at. */
  #pushes: Packet[] = [];

  constructor(readonly peer: LoopbackPeer) {
    this.#pushes.push(...peer.rest);
  }

  view(...ids: unknown[]): Holdings {
    return this.ask({ opcode: "view", space: "books", ids }).result as Holdings;
  }

  lock(...ids: unknown[]): Packet {
    return this.ask({ opcode: "lock", space: "books", ids });
  }

  unlock(...ids: unknown[]): Packet {
    return this.ask({ opcode: "unlock", space: "books", ids });
  }

  /** @returns the answer */
  ask(packet: object): Packet {
    const packets = this.peer.ask(packet);
    this.#pushes.push(...packets.filter(({ opcode }) => opcode !== "next"));
    return packets.findLast(({ opcode }) => opcode === "next") as Packet;
  }

  /** The pushes since the last look: who changed, and to what. */
  told(): string[] {
    return this.pushes().map(({ id, ids, state, by }) =>
      [id ?? (ids as string[]).join("+"), state, ...(by === undefined ? [] : [by])].join(" "),
    );
  }

  pushes(): Packet[] {
    this.#pushes.push(...this.peer.read());
    return this.#pushes.splice(0).filter(({ opcode }) => opcode === "lock");
  }

  drop(): void {
    this.peer.connection.lost("lost");
  }

  quit(): void {
    this.peer.say({ opcode: "quit" });
  }
}

/** The code with which something was refused. */
export function codeOf(packet: object | undefined): string | undefined {
  return (packet as { error?: { code: string } } | undefined)?.error?.code;
}

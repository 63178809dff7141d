import { type StateLimits, state } from "../../apps/state/state.js";
import type { Packet } from "../../protocol/index.js";
import { wordsDialect } from "../../server/dialect.js";
import { OPTIONS } from "../../server/options.js";
import { LoopbackHub, type LoopbackOptions, type LoopbackPeer } from "../support/loopback.js";

/** As the hub has them if nobody says otherwise. */
export const DEFAULTS: StateLimits = {
  maxKeys: OPTIONS.maxKeys.default,
  maxStateBytes: OPTIONS.maxStateBytes.default,
  maxWatches: OPTIONS.maxWatches.default,
};

/** What an answer says of keys. */
export type Values = Record<string, { value: unknown; version: number; by?: string }>;

/** A hub with shared state, no socket anywhere. */
export class StateHub extends LoopbackHub {
  constructor(limits: Partial<StateLimits> = {}, options: LoopbackOptions = {}) {
    super({ ...options, apps: [state({ ...DEFAULTS, ...limits })] });
  }

  client(ident?: string): StateClient {
    return new StateClient(this.peer({ hello: { window: 8, ...(ident === undefined ? undefined : { ident }) } }));
  }

  /** @returns what a script is answered */
  words(line: string): string {
    const script = this.peer({ kind: "backend", dialect: wordsDialect });
    script.say(line);
    return script.texts()[0] as string;
  }
}

/** Somebody who sets and watches. */
export class StateClient {
  #pushes: Packet[] = [];

  constructor(readonly peer: LoopbackPeer) {
    this.#pushes.push(...peer.rest);
  }

  set(key: string, value: unknown, fields: object = {}): Packet {
    return this.ask({ opcode: "set", key, value, ...fields });
  }

  delete(key: string, fields: object = {}): Packet {
    return this.ask({ opcode: "delete", key, ...fields });
  }

  /** The values, without their versions. */
  watch(...keys: string[]): Record<string, unknown> {
    const result = this.ask({ opcode: "watch", keys }).result as Values;
    return Object.fromEntries(Object.entries(result).map(([key, { value }]) => [key, value]));
  }

  ask(packet: object): Packet {
    const packets = this.peer.ask(packet);
    this.#pushes.push(...packets.filter(({ opcode }) => opcode !== "next"));
    return packets.findLast(({ opcode }) => opcode === "next") as Packet;
  }

  /** What it was told since the last look: key and value, or `-` for a deletion. */
  told(): string[] {
    return this.pushes().map(({ key, value, deleted }) => `${key} ${deleted ? "-" : JSON.stringify(value)}`);
  }

  pushes(): Packet[] {
    this.#pushes.push(...this.peer.read());
    return this.#pushes.splice(0).filter(({ opcode }) => opcode === "state");
  }
}

/** The version that an answer says. */
export const versionOf = ({ result }: Packet): number => (result as { version: number }).version;

/** The code with which something was refused. */
export function codeOf(packet: object | undefined): string | undefined {
  return (packet as { error?: { code: string } } | undefined)?.error?.code;
}

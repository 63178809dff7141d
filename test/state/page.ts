import assert from "node:assert/strict";
import type { Packet } from "../../protocol/index.js";
import { OPTIONS } from "../../server/options.js";
import type { LoopbackHub, LoopbackPeer } from "../support/loopback.js";
import type { History } from "./history.js";

/** What it has said and was not yet answered. */
interface Asked {
  readonly packet: Packet;
  /** Patterns that this `watch` added. */
  readonly added: readonly string[];
  /** Its code was loaded anew since then. */
  forgotten: boolean;
}

interface Known {
  readonly version: number;
  /** As JSON; `undefined`: it was deleted, which is remembered while a watch is unanswered. */
  readonly value: string | undefined;
}

/** Not counted [RES-1]. */
const UNCOUNTED: ReadonlySet<string> = new Set(["ready", "seen", "close"]);
const REFUSALS = ["conflict", "not-yours", "unavailable"];

/** A page that watches and sets; it knows of the keys what it was told, in the order of the wire. */
export class StatePage {
  peer: LoopbackPeer;
  connected = true;
  /** It quit, was closed, or will never come back. */
  over = false;
  /** It was told everything at once, always: then it is told of every change. */
  swift = true;
  /** When its connection was lost, and how long it is waited for. */
  #gone: { readonly at: number; readonly grace: number } | undefined;
  readonly #patterns = new Set<string>();
  readonly #known = new Map<string, Known>();
  /** The last version of each key that it was told by itself, since it watches it. */
  readonly #pushed = new Map<string, number>();
  readonly #asked: Asked[] = [];
  /** What its code from before has watched may come again. */
  #reloaded = false;
  #seen = 0;

  constructor(
    readonly loop: LoopbackHub,
    private readonly history: History,
    private readonly ident: string | undefined,
  ) {
    this.peer = loop.peer({ hello: this.#hello() });
  }

  get uuid(): string {
    return this.peer.uuid;
  }

  /** May it say something more? Of watches one at a time: the answer tells what holds from then on. */
  mayAsk(opcode: string): boolean {
    const watching = (each: string): boolean => each === "watch" || each === "unwatch";
    if (!this.connected || this.#asked.length > 5) return false;
    return !watching(opcode) || !this.#asked.some(({ packet, forgotten }) => watching(packet.opcode) && !forgotten);
  }

  /** It has read and been answered all there is. */
  get upToDate(): boolean {
    return this.connected && !this.over && !this.peer.stuck && this.#asked.length === 0;
  }

  /** What goes with it may go: it said goodbye or was closed, or its grace is over. */
  get mayGo(): boolean {
    return this.#gone === undefined ? this.over : this.loop.clock.now() - this.#gone.at >= this.#gone.grace;
  }

  // ── What it does ───────────────────────────────────────────────────────────────────────────────────────────────

  ask(packet: Packet): void {
    const keys = (packet.keys ?? []) as readonly string[];
    const added = packet.opcode === "watch" ? keys.filter((each) => !this.#patterns.has(each)) : [];
    for (const each of added) this.#patterns.add(each);
    if (packet.opcode === "unwatch") this.#stop(keys);
    this.#asked.push({ packet, added, forgotten: false });
    this.peer.say(packet);
  }

  quit(): void {
    this.over = true;
    this.peer.say({ opcode: "quit" });
  }

  /** Somebody on the hub closes it, whatever it has under way. */
  closed(): void {
    this.over = true;
    this.peer.connection.close("Enough.");
  }

  /** Its connection is gone; what stands in the wire is lost. */
  vanish(why: "lost" | "going-away"): void {
    this.connected = false;
    this.swift = false;
    this.#gone = { at: this.loop.clock.now(), grace: OPTIONS[why === "lost" ? "grace" : "reloadGrace"].default };
    this.peer.connection.lost(why);
  }

  /** @returns false where it is told to be a new page */
  comeBack(reload: boolean): boolean {
    this.swift = false;
    const again = this.loop.peer({ hello: { ...this.#hello(), resume: this.peer.ready?.resume, seen: this.#seen, reload } });
    if (again.ready?.resumed !== true) {
      assert.ok(this.mayGo, "who is within its grace is taken up again");
      again.say({ opcode: "quit" });
      this.over = true;
      return false;
    }
    if (reload) this.#loadAnew();
    this.peer = again;
    this.connected = true;
    this.#gone = undefined;
    for (const packet of again.rest) this.#hear(packet);
    return true;
  }

  stick(): void {
    this.swift = false;
    this.peer.stuck = true;
  }

  read(): void {
    if (!this.connected || this.over || this.peer.stuck) return;
    for (const packet of this.peer.read()) this.#hear(packet);
  }

  /** What it knows is what there is. */
  check(): void {
    const patterns = [...this.#patterns];
    for (const [key, { version, value, owner }] of this.history.table) {
      if (!matches(patterns, key)) continue;
      const { json, by } = value as { json: string; by?: string };
      assert.equal(this.#known.get(key)?.version, version, "who watches a key knows its newest version");
      assert.equal(this.#known.get(key)?.value, JSON.stringify({ value: JSON.parse(json), by }), "who watches a key knows its value");
      assert.equal(by !== undefined, owner !== undefined, "what goes with its owner is told with its name");
    }
    for (const key of this.#known.keys()) assert.ok(this.history.table.has(key), "who watches a key is told that it was deleted");
  }

  // ── What it hears ──────────────────────────────────────────────────────────────────────────────────────────────

  /** New code watches nothing and knows nothing. */
  #loadAnew(): void {
    this.#reloaded = true;
    this.#stop([...this.#patterns]);
    for (const asked of this.#asked) asked.forgotten = true;
  }

  #stop(patterns: readonly string[]): void {
    for (const each of patterns) this.#patterns.delete(each);
    const left = [...this.#patterns];
    for (const known of [this.#known, this.#pushed]) for (const key of known.keys()) if (!matches(left, key)) known.delete(key);
  }

  #hear(packet: Packet): void {
    if (UNCOUNTED.has(packet.opcode)) return;
    this.#seen++;
    if (packet.opcode === "next") this.#answered(packet);
    else this.#told(packet);
  }

  #told({ key, version, deleted, value, by }: Packet): void {
    if (!matches([...this.#patterns], key as string)) {
      assert.ok(
        this.#reloaded || this.#asked.some((each) => each.packet.opcode === "unwatch"),
        "who does not watch a key hears nothing of it",
      );
      return;
    }
    this.#checkPush(key as string, version as number, deleted === true);
    this.#learn(key as string, version as number, deleted ? undefined : JSON.stringify({ value, by }));
  }

  /** Who takes everything at once misses no version, from the one that it knew on. */
  #checkPush(key: string, version: number, deleted: boolean): void {
    const before = this.#pushed.get(key);
    this.#pushed.set(key, version);
    if (!this.swift) return;
    assert.equal(this.history.versions.get(version)?.deleted, deleted);
    assert.ok(version > (this.#known.get(key)?.version ?? 0), "what is pushed to who is swift is newer than what it knew");
    const versions = this.history.ofKey.get(key) as number[];
    if (before !== undefined) assert.equal(versions.indexOf(version), versions.indexOf(before) + 1, "no version is passed over");
  }

  #learn(key: string, version: number, value: string | undefined): void {
    if (version <= (this.#known.get(key)?.version ?? 0)) return;
    this.#known.set(key, { version, value });
    if (value === undefined && !this.#watchIsOpen) this.#known.delete(key);
  }

  get #watchIsOpen(): boolean {
    return this.#asked.some(({ packet, forgotten }) => packet.opcode === "watch" && !forgotten);
  }

  #answered({ status, result, error }: Packet): void {
    const { packet, added, forgotten } = this.#asked[0] as Asked;
    if (status === "refused") assert.ok(REFUSALS.includes((error as { code: string }).code), JSON.stringify(error));
    if (packet.opcode === "set" && status === "done") this.#checkSet(packet, result as { key: string; version: number });
    if (packet.opcode === "watch" && !forgotten) {
      if (status === "refused") this.#stop(added);
      else for (const [key, { version, value, by }] of entriesOf(result)) this.#learn(key, version, JSON.stringify({ value, by }));
    }
    this.#asked.shift();
    if (!this.#watchIsOpen) for (const [key, { value }] of this.#known) if (value === undefined) this.#known.delete(key);
  }

  /** It was set from the version that was meant. */
  #checkSet(packet: Packet, { key, version }: { key: string; version: number }): void {
    const was = this.history.versions.get(version);
    assert.equal(was?.key, key);
    if (packet.if !== undefined) assert.equal(was?.before, packet.if, "`if` compares and sets in one");
  }

  #hello(): object {
    return { window: 8, ...(this.ident === undefined ? undefined : { ident: this.ident }) };
  }
}

type Shown = { readonly version: number; readonly value: unknown; readonly by?: string };
const entriesOf = (result: unknown): [string, Shown][] => Object.entries(result as Record<string, Shown>);

/** Does one of these patterns fit? */
function matches(patterns: readonly string[], key: string): boolean {
  return patterns.some((each) => (each.endsWith("*") ? key.startsWith(each.slice(0, -1)) : each === key));
}

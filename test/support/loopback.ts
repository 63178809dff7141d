import { standard } from "../../apps/standard.js";
import type { Packet } from "../../protocol/index.js";
import type { App } from "../../server/app.js";
import type { Identity } from "../../server/auth/authenticator.js";
import type { Cluster } from "../../server/cluster/cluster.js";
import { MemoryCluster } from "../../server/cluster/memory.js";
import type { Connection, Opening } from "../../server/connection.js";
import { type Dialect, jsonDialect } from "../../server/dialect.js";
import type { Encoding } from "../../server/frame.js";
import { parseHello } from "../../server/hello.js";
import { Hub } from "../../server/hub.js";
import { type Options, resolveOptions } from "../../server/options.js";
import type { Access } from "../../server/resource.js";
import type { Sink } from "../../server/sink.js";
import { TestClock } from "./clock.js";
import { TestLog } from "./hub.js";

export interface LoopbackOptions {
  apps?: readonly App[];
  path?: string;
  cluster?: Cluster;
  clock?: TestClock;
  limits?: Partial<Options>;
  /** Who may come in, and who may say what. */
  access?: Access;
}

/** A hub with no socket anywhere: its own clock, and peers that are objects. */
export class LoopbackHub {
  readonly clock: TestClock;
  readonly log = new TestLog();
  readonly hub: Hub;

  constructor({
    apps = [],
    path = "/",
    clock = new TestClock(),
    cluster = new MemoryCluster(clock),
    limits = {},
    access,
  }: LoopbackOptions = {}) {
    this.clock = clock;
    // Its clock stands still: nobody is too fast, unless a test says how fast that is.
    const rates = { maxRate: Number.MAX_SAFE_INTEGER, maxByteRate: Number.MAX_SAFE_INTEGER };
    this.hub = new Hub({ limits: resolveOptions({ ...rates, ...limits }), clock, cluster, log: this.log });
    this.hub.mount(path, [...apps, standard()], access);
    // The memory cluster joins at once; nothing to wait for but the apps' `start`.
    void this.hub.start();
  }

  /** A page or backend; with `hello` it speaks first. */
  peer({
    hello,
    dialect = jsonDialect,
    kind = "page",
    path = "/",
    address = "loop-back",
    identity,
    origin,
  }: PeerOptions = {}): LoopbackPeer {
    const opening = { kind, dialect, path, resource: this.hub.resources.resolve(path), address, identity, origin };
    return new LoopbackPeer(this, opening, hello);
  }
}

interface PeerOptions {
  hello?: object;
  dialect?: Dialect;
  kind?: Opening["kind"];
  path?: string;
  /** Who it is, as if an authenticator had said so. */
  identity?: Identity;
  origin?: string;
  /** Where its socket comes from; default: from nowhere. */
  address?: string;
}

const encoding: Encoding = { name: "loop-back", encode: (text) => Buffer.from(`${text}\n`), decode: (line) => String(line).slice(0, -1) };

/** A peer whose wire is two arrays. Read it after `hub.clock.endTurn()`, or with `read`, which does that. */
export class LoopbackPeer implements Sink {
  readonly encoding = encoding;
  readonly connection: Connection;
  /** True while the hub reads from it. */
  reading = true;
  #closedWith: { code: number; reason: string } | undefined;
  writes = 0;
  /** What it was greeted with. */
  ready: Packet | undefined;
  /** What came right behind it. */
  rest: Packet[] = [];
  /** A reader that takes nothing: what is sent stays in its wire. */
  stuck = false;
  #arrived: Buffer[] = [];
  #inWire = 0;

  constructor(
    private readonly loop: LoopbackHub,
    opening: Omit<Opening, "uuid">,
    hello: object | undefined,
  ) {
    const fields = hello && parseHello(JSON.stringify({ opcode: "hello", ...hello }), loop.hub.limits.maxDepth);
    this.connection = loop.hub.connect(this, opening, fields);
    if (opening.dialect.greeted) [this.ready, ...this.rest] = this.read();
  }

  /** How the hub ended it, or `undefined` while it has not. */
  closedWith(): { code: number; reason: string } | undefined {
    return this.#closedWith;
  }

  get uuid(): string {
    return String(this.ready?.uuid);
  }

  get bufferedAmount(): number {
    return this.#inWire;
  }

  send(bytes: Buffer): void {
    this.writes++;
    this.#arrived.push(bytes);
    if (this.stuck) this.#inWire += bytes.length;
    else this.loop.clock.turn(() => this.connection.drained());
  }

  /** It reads again, all there is. */
  unstick(): void {
    this.stuck = false;
    this.#inWire = 0;
    this.connection.drained();
  }

  close(code: number, reason: string): void {
    this.#closedWith ??= { code, reason };
  }

  read(on: boolean): void;
  read(): Packet[];
  read(on?: boolean): Packet[] | undefined {
    if (on !== undefined) {
      this.reading = on;
      return undefined;
    }
    return this.texts().map((text) => JSON.parse(text) as Packet);
  }

  /** All lines that have come since the last look. */
  texts(): string[] {
    this.loop.clock.endTurn();
    const text = Buffer.concat(this.#arrived.splice(0)).toString();
    return text === "" ? [] : text.slice(0, -1).split("\n");
  }

  say(packet: object | string): void {
    const text = typeof packet === "string" ? packet : JSON.stringify(packet);
    this.connection.receive(text, Buffer.byteLength(text));
  }

  ask(packet: object | string): Packet[] {
    this.say(packet);
    return this.read();
  }
}

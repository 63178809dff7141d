import { v4 as uuid } from "uuid";
import { type Answer, GONE, type Packet, refused, sent, type Target } from "../protocol/index.js";
import type { App, AppHub, BroadcastOptions, Log, MaybePromise } from "./app.js";
import { AppHost } from "./app-host.js";
import type { Clock } from "./clock.js";
import type { Address, Cluster, Member, Pages, Reach } from "./cluster/cluster.js";
import { NOBODY } from "./cluster/cluster.js";
import { Connection, type Host, type Opening } from "./connection.js";
import { Directory } from "./directory.js";
import { Flusher } from "./flusher.js";
import { Frame } from "./frame.js";
import type { Speaker } from "./messages.js";
import type { Limits } from "./options.js";
import { checkApp, checkPattern, Resource, Resources } from "./resource.js";
import { shownError } from "./shown-error.js";
import type { Sink } from "./sink.js";

/** How often what could take too long is looked at, in ms. */
const TICK = 1_000;

export interface HubParts {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly cluster: Cluster;
  readonly log: Log;
}

/** The hub itself: apps by path, connections by UUID. Opens no socket; transports hand it connections. */
export class Hub implements Host, Member {
  readonly id = uuid();
  readonly limits: Limits;
  readonly clock: Clock;
  readonly flusher: Flusher;
  readonly log: Log;
  readonly resources = new Resources();
  /** The URLs of the listeners, once they stand. */
  listeners: readonly string[] = [];
  readonly #cluster: Cluster;
  readonly #hosts = new Map<App, AppHost>();
  readonly #directory = new Directory();
  readonly #connections = new Set<Connection>();
  readonly #watched = new Set<Speaker>();
  #cancelTick: (() => void) | undefined;
  #whenEmpty: (() => void) | undefined;

  constructor({ limits, clock, cluster, log }: HubParts) {
    this.limits = limits;
    this.clock = clock;
    this.#cluster = cluster;
    this.log = log;
    this.flusher = new Flusher(clock);
  }

  // ── Life ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Registers a resource: its apps in their order, the first that declares a message's opcode gets it.
   * @throws TypeError where the path or an app is not right
   */
  mount(pattern: string, apps: readonly App[]): void {
    checkPattern(pattern);
    for (const app of apps) checkApp(pattern, app);
    this.resources.add(
      new Resource(
        pattern,
        [...new Set(apps)].map((app) => this.#hostFor(app, pattern)),
      ),
    );
  }

  /** Starts the apps and joins the cluster; listeners come after. */
  async start(): Promise<void> {
    this.#cancelTick = this.clock.every(TICK, () => this.#tick());
    for (const host of this.#hosts.values()) await host.start();
    await this.#cluster.join(this);
  }

  /** Lets handlers finish, says `close` to everybody, stops the apps [END-6]. Settles within about twice `stopTimeout`. */
  async stop(reason = "The hub is being restarted."): Promise<void> {
    for (const peer of this.#connections) peer.stop(reason);
    await this.#within(this.limits.stopTimeout, this.#empty());
    for (const peer of this.#connections) peer.fault("restart", reason, "stop");
    await this.#within(this.limits.stopTimeout, Promise.all([...this.#hosts.values()].map((host) => host.stop())));
    this.#cancelTick?.();
    await this.#cluster.leave(this);
  }

  // ── For transports ─────────────────────────────────────────────────────────────────────────────────────────────

  get size(): number {
    return this.#connections.size;
  }

  connect(sink: Sink, opening: Omit<Opening, "uuid">): Connection {
    const peer = new Connection(this, sink, { ...opening, uuid: uuid() });
    this.#connections.add(peer);
    return peer;
  }

  // ── For connections ────────────────────────────────────────────────────────────────────────────────────────────

  enter(peer: Connection): void {
    this.#directory.add(peer);
  }

  leave(peer: Connection): void {
    this.#directory.remove(peer);
  }

  opened(peer: Connection): void {
    const { id: conn, kind, path, ident, address, dialect } = peer;
    // The UUID is the permission to send to it; eight characters name it as well, and permit nothing.
    this.log.info("peer.opened", { conn, kind, path, uuid: peer.uuid.slice(0, 8), ident, ip: address, dialect: dialect.name });
    for (const host of peer.resource.hosts) host.opened(peer);
  }

  closed(peer: Connection, why: string, opened: boolean): void {
    this.#connections.delete(peer);
    this.#watched.delete(peer);
    const { id: conn, kind, path, ident, address: ip, received, sent: out, refused: no } = peer;
    this.log.info("peer.closed", { conn, kind, path, ident, ip, why, received, sent: out, refused: no });
    if (opened) for (const host of peer.resource.hosts) host.closed(peer, why);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }

  watch(peer: Speaker): void {
    this.#watched.add(peer);
  }

  appFailed(peer: Speaker, opcode: string, error: unknown): void {
    const host = peer.resource.hostOf(opcode);
    if (host) host.failed(error, peer, opcode);
    else this.log.error("hub.failed", { conn: peer.id, during: opcode, ...shownError(error) });
  }

  // ── Delivery ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** The cluster hands in a frame, from this hub or another. */
  deliver(to: Address, frame: Frame): Reach {
    if ("uuid" in to) {
      const peer = this.#directory.withUuid(to.uuid);
      return peer === undefined ? NOBODY : pushOne(peer, frame);
    }
    if ("pages" in to) return push(this.#pages(to), frame, true);
    return push("ident" in to ? this.#directory.withIdent(to.ident) : this.#directory.withTags(to.tags), frame, false);
  }

  feedback(to: Target, packet: Packet): MaybePromise<Answer> {
    return then(this.#cluster.send(this, to, Frame.of(packet)), feedbackAnswer);
  }

  broadcast(packet: Packet, { resource, tags, except }: BroadcastOptions = {}): MaybePromise<Answer> {
    const to: Pages = { pages: true, resource, tags, except: except?.uuid };
    return then(this.#cluster.send(this, to, Frame.of(packet)), (reach) => sent(reach.sent));
  }

  /** The pages meant, one by one; a broadcast to everybody needs no lists. */
  *#pages({ resource, tags, except }: Pages): Iterable<Connection> {
    const registered = resource === undefined ? undefined : this.resources.get(resource);
    const candidates = tags ? this.#directory.withTags(tags) : registered ? this.#directory.on(registered) : this.#directory.pages;
    for (const peer of candidates) {
      if (peer.uuid === except || peer.kind !== "page") continue;
      if (resource !== undefined && peer.resource !== registered && peer.path !== resource) continue;
      yield peer;
    }
  }

  // ── Inside ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #hostFor(app: App, pattern: string): AppHost {
    let host = this.#hosts.get(app);
    if (host === undefined) {
      const name = app.name ?? pattern;
      host = new AppHost(app, name, this.#hubFor(app), this.log);
      this.#hosts.set(app, host);
    }
    return host;
  }

  #hubFor(app: App): AppHub {
    const hub = this;
    return {
      log: this.log,
      get listeners() {
        return hub.listeners;
      },
      get peers() {
        return hub.#peersOf(app);
      },
      feedback: (to, packet) => hub.feedback(to, packet),
      broadcast: (packet, options) => hub.broadcast(packet, options),
    };
  }

  *#peersOf(app: App): Iterable<Connection> {
    for (const resource of this.resources.all()) {
      if (resource.hosts.some((host) => host.app === app)) yield* this.#directory.on(resource);
    }
  }

  #tick(): void {
    const now = this.clock.now();
    for (const peer of this.#watched) if (!peer.tick(now)) this.#watched.delete(peer);
  }

  #empty(): Promise<void> {
    if (this.#connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenEmpty = resolve;
    });
  }

  #within(ms: number, promise: Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.clock.after(ms, resolve);
      promise.finally(() => {
        cancel();
        resolve();
      });
    });
  }
}

function pushOne(peer: Connection, frame: Frame): Reach {
  if (peer.push(frame, false)) return ONE;
  return peer.takesPushes ? NOBODY : ONE_DEAF;
}

function push(peers: Iterable<Connection>, frame: Frame, bulk: boolean): Reach {
  let taken = 0;
  let deaf = 0;
  for (const peer of peers) {
    if (peer.push(frame, bulk)) taken++;
    else if (!peer.takesPushes) deaf++;
  }
  return { sent: taken, deaf };
}

const ONE: Reach = Object.freeze({ sent: 1, deaf: 0 });
const ONE_DEAF: Reach = Object.freeze({ sent: 0, deaf: 1 });

function feedbackAnswer({ sent: n, deaf }: Reach): Answer {
  if (n > 0) return sent(n);
  if (deaf > 0) return refused("not-a-page", "Who was meant speaks plain words or the original dialect and takes no pushes.");
  return GONE;
}

/** Goes on with a value at once, with a promise when it has settled. */
function then<T, R>(value: MaybePromise<T>, go: (value: T) => R): MaybePromise<R> {
  return value instanceof Promise ? value.then(go) : go(value);
}

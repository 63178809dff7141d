import { v4 as uuid } from "uuid";
import { Answer, Fault, GONE, type Packet, quoted, Refusal, refused, type Target, whenKnown } from "../protocol/index.js";
import type { App, AppHub, BroadcastOptions, FeedbackOptions, Log, MaybePromise, MessageKind } from "./app.js";
import { AppHost } from "./app-host.js";
import type { Identity } from "./auth/authenticator.js";
import { Calendar } from "./auth/expiry.js";
import { Gate } from "./auth/gate.js";
import { Budget } from "./budget.js";
import { type Clock, within } from "./clock.js";
import type { Address, Called, Cluster, Member, Pages, Reach } from "./cluster/cluster.js";
import { NOBODY } from "./cluster/cluster.js";
import type { Change } from "./cluster/table.js";
import { Connection, type Host, type Opening, type Pushed } from "./connection.js";
import { Counters } from "./counters.js";
import { Directory } from "./directory.js";
import { Flusher } from "./flusher.js";
import { Frame, type Kind } from "./frame.js";
import type { HelloFields } from "./hello.js";
import type { Speaker } from "./messages.js";
import type { Limits } from "./options.js";
import { Receipt, untilPage } from "./receipt.js";
import { type Access, checkApp, checkPattern, Resource, Resources } from "./resource.js";
import { type FreshReason, Sessions } from "./sessions.js";
import { shownError } from "./shown-error.js";
import type { Sink } from "./sink.js";
import { Strikes } from "./strikes.js";
import { Tally } from "./tally.js";

/** How often what could take too long is looked at, in ms. */
const TICK = 1_000;
/** UUIDs that were nobody's, addressed from one address: more than a page has that reports to others who leave. */
const MISSES_MAX = 100;
const MISSES_SPAN = 10_000;
/** Addresses for which they are counted, at the most; then the oldest is forgotten. */
const MAX_GUESSERS = 10_000;

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
  readonly budget: Budget;
  readonly log: Log;
  readonly resources = new Resources();
  readonly counters = new Counters();
  /** Knows who somebody is, or whom to ask. */
  readonly gate: Gate;
  readonly calendar: Calendar;
  /** Pages by user. */
  readonly #users: Tally;
  /** `starting`, `ready` or `stopping`. */
  state = "starting";
  readonly #startedAt: number;
  /** The URLs of the listeners, once they stand. */
  listeners: readonly string[] = [];
  readonly #cluster: Cluster;
  readonly #hosts = new Map<App, AppHost>();
  readonly #directory = new Directory();
  readonly #connections = new Set<Connection>();
  readonly #watched = new Set<Speaker>();
  /** Pages that are away, the longest first. */
  readonly #held = new Set<Connection>();
  readonly #sessions = new Sessions<Connection>();
  readonly #guesses = new Map<string, Strikes>();
  #cancelTick: (() => void) | undefined;
  #whenEmpty: (() => void) | undefined;

  constructor({ limits, clock, cluster, log }: HubParts) {
    this.limits = limits;
    this.clock = clock;
    this.#cluster = cluster;
    this.log = log;
    this.flusher = new Flusher(clock);
    this.budget = new Budget(limits.maxBuffered);
    this.gate = new Gate({ clock, log, counters: this.counters, authTimeout: limits.authTimeout });
    this.calendar = new Calendar(clock, limits.expiryWarning);
    this.#users = new Tally(limits.maxPerUser);
    this.#startedAt = clock.now();
  }

  // ── Life ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Registers a resource: its apps in their order, the first that declares a message's opcode gets it.
   * @throws TypeError where the path, an app or a rule is not right
   */
  mount(pattern: string, apps: readonly App[], access?: Access): void {
    checkPattern(pattern);
    for (const app of apps) checkApp(pattern, app);
    this.resources.add(
      new Resource(
        pattern,
        [...new Set(apps)].map((app) => this.#hostFor(app, pattern)),
        access,
      ),
    );
  }

  /** Joins the cluster and starts the apps, which may look at what they share at once; listeners come after. */
  async start(): Promise<void> {
    this.#cancelTick = this.clock.every(TICK, () => this.#tick());
    const joined = this.#cluster.join(this);
    if (joined instanceof Promise) await joined;
    for (const host of this.#hosts.values()) await host.start();
    this.state = "ready";
  }

  /** Lets handlers finish, says `close` to everybody, stops the apps [END-6]. Settles within about twice `stopTimeout`. */
  async stop(reason = "The hub is being restarted."): Promise<void> {
    this.state = "stopping";
    for (const peer of this.#connections) peer.stop(reason);
    await within(this.clock, this.limits.stopTimeout, this.#empty());
    for (const peer of this.#connections) peer.fault("restart", reason, "stop");
    await within(this.clock, this.limits.stopTimeout, Promise.all([...this.#hosts.values()].map((host) => host.stop())));
    this.#cancelTick?.();
    await this.#cluster.leave(this);
  }

  /** ms since it was made. */
  get uptime(): number {
    return this.clock.now() - this.#startedAt;
  }

  /** What each app says of itself. */
  *appStatus(): Iterable<[name: string, figures: Readonly<Record<string, number>>]> {
    for (const host of this.#hosts.values()) {
      const figures = host.status();
      if (figures) yield [host.name, figures];
    }
  }

  // ── For transports ─────────────────────────────────────────────────────────────────────────────────────────────

  /** All peers of this hub, also those that are away. */
  get peers(): Iterable<Connection> {
    return this.#connections;
  }

  get size(): number {
    return this.#connections.size;
  }

  /** No more peers are taken, but for those that come back: who is away has no connection, and counts as nobody. */
  get full(): boolean {
    return this.#connections.size - this.#held.size >= this.limits.maxConnections;
  }

  /**
   * A peer on a new wire, greeted and reachable: a new one, or a page that is taken up again [RES-4].
   * @param hello what it said of itself, where it speaks first
   */
  connect(sink: Sink, opening: Omit<Opening, "uuid">, hello?: HelloFields): Connection {
    const found = opening.kind === "page" && hello?.resume !== undefined ? this.#resume(sink, opening, hello, hello.resume) : undefined;
    if (found instanceof Connection) return found;
    // Somebody whom it took long to identify: the apps have been stopped.
    if (this.state === "stopping") throw new Fault("restart", "The hub is being restarted.");
    if (this.full) throw new Fault("try-later", `\`maxConnections\` ${this.limits.maxConnections} reached.`);
    const user = opening.kind === "page" ? opening.identity?.user : undefined;
    if (user && !this.#users.enter(user.id)) throw new Fault("try-later", `\`maxPerUser\` ${this.limits.maxPerUser} reached.`);
    const peer = new Connection(this, sink, { ...opening, uuid: uuid() });
    this.#connections.add(peer);
    peer.open(opening.identity, hello, found);
    return peer;
  }

  get asksPages(): boolean {
    return this.resources.asksPages;
  }

  /** Can a backend of another host say who it is, on any path? */
  get takesKeys(): boolean {
    for (const { authenticators } of this.resources.all()) if (authenticators.some(({ backends }) => backends)) return true;
    return false;
  }

  /** Has this user as many pages as it may have? */
  isFullFor({ user }: Identity): boolean {
    return this.#users.isFull(user.id);
  }

  /** The page that this secret opens, taken up again; or why that is impossible [RES-5]. */
  #resume(sink: Sink, opening: Omit<Opening, "uuid">, hello: HelloFields, secret: string): Connection | FreshReason {
    const { path, origin, identity } = opening;
    const page = this.#sessions.find(secret);
    if (!(page instanceof Connection)) {
      if (page === "taken") this.log.warn("resume_replay", { ip: opening.address });
      return page;
    }
    if (page.path !== path) return "resource";
    if (!page.isOf(identity, origin)) {
      this.log.warn("resume_foreign", { conn: page.id, ip: opening.address });
      return "identity";
    }
    if (page.isOlder(hello)) throw new Fault("replaced", "A newer connection of the same client has this page.");
    this.#sessions.open(page, secret);
    const reason = page.resume(sink, hello, identity);
    if (reason === undefined) return page;
    // Its client has lost count, or the hub has lost what it needs: nobody can ever take it up again.
    this.#sessions.end(page, reason);
    page.fault("replaced", `The page could not be taken up again: ${reason}.`, reason);
    return reason;
  }

  // ── For connections ────────────────────────────────────────────────────────────────────────────────────────────

  identify({ kind, path, address, resource }: Connection, token: string): MaybePromise<Identity> {
    return this.gate.identify(resource.authenticators, { kind, path, address, headers: {}, protocols: [], token });
  }

  renew(ask: NonNullable<Identity["renew"]>): MaybePromise<Identity | undefined> {
    return this.gate.renew(ask);
  }

  enter(peer: Connection): void {
    this.#directory.add(peer);
  }

  readdress(peer: Connection, change: () => void): void {
    this.#directory.remove(peer);
    change();
    this.#directory.add(peer);
  }

  leave(peer: Connection): void {
    this.#held.delete(peer);
    this.#directory.remove(peer);
  }

  opened(peer: Connection): void {
    const { id: conn, kind, path, ident, address, dialect } = peer;
    // The UUID is the permission to send to it; eight characters name it as well, and permit nothing.
    this.log.info("peer.opened", { conn, kind, path, uuid: peer.uuid.slice(0, 8), ident, ip: address, dialect: dialect.name });
    for (const host of peer.resource.hosts) {
      // One of them may have closed it: the rest never hears of it.
      if (peer.state === "closed") return;
      peer.appsTold++;
      host.opened(peer);
    }
  }

  away(peer: Connection, why: string): void {
    this.log.info("peer.away", { conn: peer.id, why });
    this.#held.add(peer);
    const [longest] = this.#held;
    if (this.#held.size > this.limits.maxHeld) longest?.abandon("maxHeld");
    for (const host of peer.resource.hosts) host.away(peer);
  }

  back(peer: Connection, reload: boolean): void {
    this.log.info("peer.back", { conn: peer.id });
    // One that was loaded anew knows nothing, also where its old connection had not been seen to end.
    if (this.#held.delete(peer) || reload) for (const host of peer.resource.hosts) host.back(peer, reload);
  }

  newSecret(peer: Connection): string {
    return this.#sessions.issue(peer);
  }

  confirmed(peer: Connection): void {
    this.#sessions.confirm(peer);
  }

  closed(peer: Connection, why: string): void {
    this.#held.delete(peer);
    this.#sessions.end(peer, why === "slow" ? "overflow" : "expired");
    this.#connections.delete(peer);
    this.#watched.delete(peer);
    if (peer.user && peer.kind === "page") this.#users.leave(peer.user.id);
    const { id: conn, kind, path, ident, address: ip, received, sent: out, refused: no } = peer;
    this.counters.count("connections_closed", why);
    this.log.info("peer.closed", { conn, kind, path, ident, ip, why, received, sent: out, refused: no });
    for (const host of peer.resource.hosts.slice(0, peer.appsTold)) host.closed(peer, why);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }

  /** Whoever comes back over another connection is no other. */
  guessed(address: string): boolean {
    let strikes = this.#guesses.get(address);
    if (strikes === undefined) {
      if (this.#guesses.size >= MAX_GUESSERS) this.#guesses.delete(this.#guesses.keys().next().value as string);
      strikes = new Strikes(MISSES_MAX, MISSES_SPAN);
      this.#guesses.set(address, strikes);
    }
    const tooMany = strikes.add(this.clock.now());
    if (strikes.count === MISSES_MAX) this.log.warn("peer.guesses", { ip: address });
    return tooMany;
  }

  watch(peer: Speaker): void {
    this.#watched.add(peer);
  }

  appFailed(peer: Speaker, opcode: string, error: unknown): void {
    const host = peer.resource.hostOf(opcode);
    if (host) host.failed(error, peer, opcode);
    else this.log.error("hub.failed", { conn: peer.id, during: opcode, ...shownError(error) });
  }

  /** The cluster hands in a call of an app, from this hub or another. */
  call(uuid: string, app: string, message: unknown): MaybePromise<Called> | undefined {
    const peer = this.#directory.withUuid(uuid);
    const host = peer?.resource.hosts.find(({ name }) => name === app);
    if (peer === undefined || host === undefined) return undefined;
    return whenKnown(host.called(peer, message), (value) => ({ value }));
  }

  get lease(): number {
    return this.limits.lease;
  }

  /** The cluster tells of changes in an app's table. */
  changed(table: string, changes: readonly Change[]): void {
    for (const host of this.#hosts.values()) if (host.name === table) host.changed(changes);
  }

  // ── Delivery ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** The cluster hands in a frame, from this hub or another. */
  deliver(to: Address, frame: Frame): Reach {
    if ("uuid" in to) {
      const peer = this.#directory.withUuid(to.uuid);
      return peer === undefined ? NOBODY : REACHED[peer.push(frame, false)];
    }
    if ("pages" in to) return push(this.#pages(to), frame, true);
    return push("ident" in to ? this.#directory.withIdent(to.ident) : this.#directory.withTags(to.tags), frame, false);
  }

  feedback(to: Target, packet: Packet, options: FeedbackOptions = {}): MaybePromise<Answer> {
    this.#checkBudget();
    if (!options.wait) return whenKnown(this.#cluster.send(this, to, Frame.push(packet, kindOf(options))), feedbackAnswer);
    const receipt = new Receipt();
    const frame = Frame.push({ ...packet, wait: "page" }, kindOf(options, receipt));
    const answer = whenKnown(this.#cluster.send(this, to, frame), (reach) => receiptAnswer(reach, receipt));
    return answer instanceof Promise ? untilPage(answer) : answer;
  }

  broadcast(packet: Packet, options: BroadcastOptions = {}): MaybePromise<Answer> {
    this.#checkBudget();
    const { resource, tags, except } = options;
    const to: Pages = { pages: true, resource, tags, except: except?.uuid };
    return whenKnown(this.#cluster.send(this, to, Frame.push(packet, kindOf(options))), sentAnswer);
  }

  /** @throws Refusal `over-budget`: more would end in out-of-memory for all */
  #checkBudget(): void {
    if (!this.budget.exceeded) return;
    throw new Refusal("over-budget", `More than \`maxBuffered\` ${this.budget.max} bytes are waiting to be read by all peers together.`);
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
      const name = app.name ?? this.#unusedName(pattern);
      for (const other of this.#hosts.values())
        if (other.name === name && (shares(app) || shares(other.app)))
          throw new TypeError(`Expected the name of an app to be its own, got ${quoted(name)} twice: what they share would be mixed.`);
      host = new AppHost(app, name, this.#hubFor(app, name), this.log);
      this.#hosts.set(app, host);
    }
    return host;
  }

  /** For an app that says none. */
  #unusedName(pattern: string): string {
    const names = new Set(Array.from(this.#hosts.values(), ({ name }) => name));
    let name = pattern;
    for (let n = 2; names.has(name); n++) name = `${pattern} ${n}`;
    return name;
  }

  #hubFor(app: App, name: string): AppHub {
    const hub = this;
    return {
      log: this.log,
      clock: this.clock,
      get listeners() {
        return hub.listeners;
      },
      get peers() {
        return hub.#peersOf(app);
      },
      call: (uuid, message) => whenKnown(this.#cluster.call(this, uuid, name, message), (called) => called?.value),
      table: {
        change: (steps, all) => this.#cluster.change(this, name, steps, all),
        read: (query) => this.#cluster.read(this, name, query),
      },
      multicast: (peers, packet, kind) => void push(peers as Iterable<Connection>, Frame.push(packet, kind), true),
      feedback: (to, packet, options) => hub.feedback(to, packet, options),
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
    this.#renew();
    this.calendar.tick();
    for (const peer of this.#watched) if (!peer.tick(now)) this.#watched.delete(peer);
  }

  /** A sign of life with each tick. */
  #renew(): void {
    const renewed = this.#cluster.renew(this);
    if (renewed instanceof Promise) renewed.catch((error) => this.log.error("cluster.failed", shownError(error)));
  }

  #empty(): Promise<void> {
    if (this.#connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenEmpty = resolve;
    });
  }
}

/** Has it something in common with itself on other hubs? */
const shares = ({ changed, called }: App): boolean => changed !== undefined || called !== undefined;

function push(peers: Iterable<Connection>, frame: Frame, bulk: boolean): Reach {
  const counts = { sent: 0, held: 0, dropped: 0, deaf: 0, closed: 0 };
  for (const peer of peers) counts[peer.push(frame, bulk)]++;
  return counts;
}

/** What it means to have reached one peer so; made once, for most feedback goes to one. */
const REACHED: Readonly<Record<Pushed, Reach>> = {
  sent: Object.freeze({ ...NOBODY, sent: 1 }),
  held: Object.freeze({ ...NOBODY, held: 1 }),
  dropped: Object.freeze({ ...NOBODY, dropped: 1 }),
  deaf: Object.freeze({ ...NOBODY, deaf: 1 }),
  closed: NOBODY,
};

function kindOf({ key, volatile }: MessageKind, receipt?: Receipt): Kind | undefined {
  return key === undefined && volatile === undefined && receipt === undefined ? undefined : { key, volatile, receipt };
}

function sentAnswer({ sent: n, held }: Reach): Answer {
  return new Answer("sent", held > 0 ? { n, held } : { n });
}

function feedbackAnswer(reach: Reach): Answer {
  if (reach.sent > 0) return sentAnswer(reach);
  if (reach.held > 0) return new Answer("held", { held: reach.held });
  if (reach.dropped > 0) return new Answer("dropped");
  if (reach.deaf > 0) return refused("not-a-page", "Who was meant speaks plain words or the original dialect and takes no pushes.");
  return GONE;
}

function receiptAnswer({ sent: n, held, dropped, deaf }: Reach, receipt: Receipt): MaybePromise<Answer> {
  if (n + held === 0 && dropped > 0) return new Answer("dropped");
  if (n + held > 0) return receipt.when(n + held).then(() => settledAnswer(receipt));
  return deaf > 0 ? refused("no-receipt", "Who was meant cannot say that its code has a message: it is no page that said hello.") : GONE;
}

function settledAnswer({ counts: { delivered, merged } }: Receipt): Answer {
  if (delivered > 0) return new Answer("delivered", { n: delivered });
  return merged > 0 ? new Answer("merged") : GONE;
}

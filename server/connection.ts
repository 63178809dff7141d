import {
  type Answer,
  BUFFER_OFF,
  BUFFER_ON,
  CLOSE,
  type CloseName,
  done,
  Fault,
  type Packet,
  parseSeen,
  type ReadyLimits,
  Refusal,
  type Tags,
  whenKnown,
} from "../protocol/index.js";
import { isLocal } from "./address.js";
import type { Log, MaybePromise, User } from "./app.js";
import type { Identity } from "./auth/authenticator.js";
import { type Calendar, type Expiring, Expiry } from "./auth/expiry.js";
import type { Budget } from "./budget.js";
import type { Dialect } from "./dialect.js";
import type { Flushable, Flusher } from "./flusher.js";
import { type Batch, Frame, type Kind } from "./frame.js";
import { type HelloFields, NO_TAGS } from "./hello.js";
import { Inbox, type Waiting } from "./inbox.js";
import type { Kept } from "./kept.js";
import { type MessageHost, Messages, type Speaker } from "./messages.js";
import { Output } from "./output.js";
import { Questions } from "./questions.js";
import type { Resource } from "./resource.js";
import type { FreshReason } from "./sessions.js";
import type { Sink } from "./sink.js";
import { Throttle, type Throttled } from "./throttle.js";

/** What the hub does for a connection. */
export interface Host extends MessageHost {
  readonly flusher: Flusher;
  /** The bytes that wait for all peers together. */
  readonly budget: Budget;
  readonly log: Log;
  /** Pages are asked who they are, on some path at least. */
  readonly asksPages: boolean;
  /** The logins that end. */
  readonly calendar: Calendar;
  /** Who somebody is that shows this token on the resource of this peer. @throws Refusal, or rejects */
  identify(peer: Connection, token: string): MaybePromise<Identity>;
  /** Does an identity still hold? @throws Fault, or rejects */
  renew(ask: NonNullable<Identity["renew"]>): MaybePromise<Identity | undefined>;
  /** It has addressed what is nobody's. @returns true where from there that was tried too often */
  guessed(address: string): boolean;
  /** Makes the peer reachable by UUID, ident and tags. */
  enter(peer: Connection): MaybePromise<void>;
  /** Nobody finds it any more. */
  leave(peer: Connection): void;
  /** The apps are told that it came; that it is away, and why; that it is back; that it went, and why. */
  opened(peer: Connection): void;
  away(peer: Connection, why: string): void;
  /** Changes by what it can be addressed. */
  readdress(peer: Connection, change: () => void): void;
  back(peer: Connection, reload: boolean): void;
  /** Those apps are told that had been told that it came. */
  closed(peer: Connection, why: string): void;
  /** A new secret with which this page can be taken up again; and: something came from the page that was given the last one. */
  newSecret(peer: Connection): string;
  confirmed(peer: Connection): void;
}

/** How a peer came in. */
export interface Opening {
  readonly uuid: string;
  readonly kind: "page" | "backend";
  readonly dialect: Dialect;
  readonly path: string;
  readonly resource: Resource;
  readonly address: string;
  /** Of a page: the origin of its document, as its browser says. */
  readonly origin?: string | undefined;
  /** Who it is, where an authenticator knows. */
  readonly identity?: Identity | undefined;
}

export type State = "opening" | "open" | "held" | "ending" | "closed";
export type Input = "reachable" | "lost" | "resume" | "end" | "fault" | "answered";

/** The dialog as a table: PROTOCOL.md, chapter 12. An input without an entry changes nothing. */
export const TRANSITIONS: Readonly<Record<State, Readonly<Partial<Record<Input, State>>>>> = {
  opening: { reachable: "open", fault: "closed" },
  open: { lost: "held", resume: "open", end: "ending", fault: "closed" },
  held: { resume: "open", end: "ending", fault: "closed" },
  ending: { fault: "closed", answered: "closed" },
  closed: {},
};

/** What became of a frame that was pushed to a peer. */
export type Pushed = "sent" | "held" | "dropped" | "deaf" | "closed";

/** Why a peer ends, with which close code, and with what sentence if it is to know why. */
interface Ending {
  readonly why: string;
  readonly kind: CloseName;
  readonly sentence?: string;
}

const LOST: Ending = { why: "lost", kind: "lost" };
const ASK_TIMEOUT = 30_000;
/** Of several warnings only the newest is of any use. */
const EXPIRING: Kind = { key: "expiring" };
/** Counted bytes after which a page is told of them at the latest: as much as it may leave unsaid itself [RES-8]. */
const TELL_AFTER = 65_536;

let lastId = 0;

/** The life of one peer: opening, the window, ending, resuming (chapters 3, 5, 10 and 14 of PROTOCOL.md), over one wire after another. */
export class Connection implements Speaker, Flushable, Expiring, Throttled {
  readonly id = ++lastId;
  readonly uuid: string;
  readonly kind: "page" | "backend";
  readonly path: string;
  readonly address: string;
  readonly origin: string | undefined;
  readonly dialect: Dialect;
  readonly resource: Resource;
  ident: string | undefined = undefined;
  tags: Tags = NO_TAGS;
  /** Texts that came in, for the log. */
  received = 0;
  /** How many apps of its resource have been told that it came; the hub's own count. */
  appsTold = 0;

  #state: State = "opening";
  #window = 1;
  /** Counted packets that came, where the peer can resume [RES-1], and how many bytes of them it has not been told of. */
  #got = 0;
  #untold = 0;
  #resumable = false;
  /** The newest connection its client has opened, by the client's count [RES-7]. */
  #attempt = 0;
  #unconfirmed = false;
  /** The texts that have arrived so far end inside a buffer, so that a `seen` would be a piece [CHUNK-2]. */
  #arrivesInBuffer = false;
  #cancelGrace: (() => void) | undefined;
  /** Decided once. */
  #ending: Ending = LOST;
  /** An end that came while it was becoming reachable. */
  #earlyEnd: (() => void) | undefined;
  #reading = true;
  readonly #inbox: Inbox;
  /** Apps that wait until it takes what it is sent. */
  #onWritable: (() => void)[] | undefined;
  #writableDue = false;
  readonly #messages: Messages;
  readonly #output: Output;
  #questions: Questions | undefined;
  readonly #throttle: Throttle | undefined;
  #identity: Identity | undefined;
  #expiry: Expiry | undefined;

  constructor(
    private readonly host: Host,
    private sink: Sink,
    opening: Opening,
  ) {
    this.uuid = opening.uuid;
    this.kind = opening.kind;
    this.path = opening.path;
    this.address = opening.address;
    this.origin = opening.origin;
    this.dialect = opening.dialect;
    this.resource = opening.resource;
    this.#inbox = new Inbox(host.budget);
    this.#output = new Output(this, sink, host.flusher, host.limits, host.budget);
    this.#messages = new Messages(this, host, this.#output);
    // Backends of this host are the application's own, and as fast as it needs them.
    if (this.kind === "page" || !this.local) this.#throttle = new Throttle(host.clock, host.limits, this);
  }

  get user(): User | undefined {
    return this.#identity?.user;
  }

  get state(): State {
    return this.#state;
  }

  get takesPushes(): boolean {
    return this.dialect.pushes;
  }

  /** Frames handed to the wire, for the log. */
  get sent(): number {
    return this.#output.frames;
  }

  /** Messages of it that were refused, for the log. */
  get refused(): number {
    return this.#messages.refused;
  }

  /** True while its connection is gone and its page may return. */
  get away(): boolean {
    return this.#state === "held";
  }

  get local(): boolean {
    return isLocal(this.address);
  }

  get writable(): boolean {
    return this.#state === "open" && !this.#output.busy;
  }

  // ── Opening (chapter 3) ────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Makes it reachable and greets it [OPEN-1].
   * @param identity who it is, where an authenticator knows
   * @param hello what the client said of itself, if it speaks first
   * @param reason why it is a new page, where it asked to be taken up again
   */
  open(identity: Identity | undefined, hello?: HelloFields, reason?: string): void {
    this.#introduce(identity, hello);
    if (hello) {
      this.#attempt = hello.attempt ?? 0;
      this.#resumable = this.kind === "page";
    }
    if (this.#resumable) {
      this.#output.keep(this.sink);
      this.#output.greet(this.#greeting({ resumed: false, ...(reason === undefined ? undefined : { reason }), got: 0, owed: 0 }));
    } else if (this.dialect.greeted) this.#output.greet(this.#greeting());
    const entered = this.host.enter(this);
    if (entered instanceof Promise)
      entered.then(
        () => this.#ready(),
        (error) => this.fault("fault", (error as Error).message),
      );
    else this.#ready();
  }

  /**
   * What a client says of itself counts from its newest hello on. Where pages are asked who they are, none has a say in its name and its tags, not
   * even where it is not asked [AUTH-4].
   */
  #introduce(identity: Identity | undefined, hello?: HelloFields): void {
    this.#window = Math.min(hello?.window ?? 1, this.host.limits.maxWindow);
    const said = this.kind === "page" && this.host.asksPages ? undefined : hello;
    this.ident = said?.ident ?? identity?.user.id;
    this.tags = identity?.tags ?? said?.tags ?? NO_TAGS;
    this.#follow(identity);
  }

  /** Whoever it is, that is known until a certain time. */
  #follow(identity: Identity | undefined): void {
    this.#identity = identity;
    if (identity?.expires === undefined && this.#expiry === undefined) return;
    this.#expiry ??= new Expiry(this.host.calendar, this);
    this.#expiry.follow(identity);
  }

  warn(ms: number): void {
    this.push(Frame.of({ opcode: "expiring", in: ms }, EXPIRING), false);
  }

  renew(ask: NonNullable<Identity["renew"]>): MaybePromise<Identity | undefined> {
    return this.host.renew(ask);
  }

  expire({ kind, message }: Fault): void {
    this.fault(kind, message, "expired");
  }

  /** It shows another token in time [AUTH-5]. @throws Refusal (or rejects) where that is not the same user's */
  refresh(token: string): MaybePromise<Answer> {
    const before = this.#identity;
    return whenKnown(this.host.identify(this, token), (identity) => {
      if (this.#identity !== before) throw new Refusal("unauthorized", "A newer login has taken its place.");
      if (identity.user.id !== this.user?.id) throw new Refusal("unauthorized", "The token is another user's: connect anew.");
      this.renewed(identity);
      return done(identity.expires === undefined ? undefined : { expires: identity.expires });
    });
  }

  /** The same user, for longer; what can be said of it may have changed. */
  renewed(identity: Identity): void {
    // Nobody finds it any more, and nobody may find it again.
    if (this.#state !== "open" && this.#state !== "held") return;
    if (identity.user.id !== this.user?.id) this.fault("unauthorized", "Somebody else is logged in now.", "expired");
    else if (identity.tags === undefined) this.#follow(identity);
    else
      this.host.readdress(this, () => {
        this.tags = identity.tags ?? this.tags;
        this.#follow(identity);
      });
  }

  #ready(): void {
    if (!this.#to("reachable")) return;
    this.host.flusher.urgent(this);
    this.host.opened(this);
    this.#pump();
    this.#earlyEnd?.();
  }

  #greeting(more?: object): Frame {
    const { grace, pingInterval } = this.host.limits;
    const { uuid, user } = this;
    const ready = { opcode: "ready", uuid, window: this.#window, limits: this.#limits(), time: Date.now(), user };
    if (more === undefined) return Frame.of(ready);
    this.#unconfirmed = true;
    return Frame.of({ ...ready, resume: this.host.newSecret(this), grace, heartbeat: pingInterval, ...more });
  }

  /** Those that it can meet. */
  #limits(): ReadyLimits {
    const { maxMessage, maxDepth, maxQueued, bufferTimeout, appTimeout, maxRate, maxByteRate } = this.host.limits;
    const { maxJobs, maxLocks, maxLocksPerUser, maxWatches } = this.host.limits;
    const rates = this.#throttle && { maxRate, maxByteRate };
    return { maxMessage, maxDepth, maxQueued, bufferTimeout, appTimeout, ...rates, maxJobs, maxLocks, maxLocksPerUser, maxWatches };
  }

  // ── Resuming (chapter 14) ──────────────────────────────────────────────────────────────────────────────────────

  /**
   * The page is back, on another wire [RES-4].
   * @returns why that is impossible, and then nothing has changed
   */
  resume(sink: Sink, hello: HelloFields, identity: Identity | undefined): FreshReason | undefined {
    const { seen = Number.NaN, attempt = 0, reload } = hello;
    const kept = this.#output.kept;
    if (!kept?.plausible(seen)) return "gap";
    if (!kept.covers(seen)) return "overflow";
    if (!this.#to("resume")) return "expired";
    kept.release(seen);
    this.#attempt = attempt;
    this.#replace(this.#output.detach());
    this.#cancelGrace?.();
    if (reload) this.#forgetBuffer();
    this.host.readdress(this, () => this.#introduce(identity, hello));
    this.sink = sink;
    this.#reading = true;
    this.#output.attach(sink, this.#greeting({ resumed: true, got: this.#got, owed: this.#owed(kept) }));
    this.host.back(this, reload);
    this.#pump();
    return undefined;
  }

  /** A secret that was stolen opens nothing elsewhere, nor for somebody else [RES-6]. */
  isOf(identity: Identity | undefined, origin: string | undefined): boolean {
    return this.origin === origin && this.user?.id === identity?.user?.id;
  }

  /** A hello that was overtaken by a later one of the same client must not take the page back [RES-7]. */
  isOlder({ attempt }: HelloFields): boolean {
    return attempt !== undefined && attempt <= this.#attempt;
  }

  /** The older of two wires hears that it was replaced [RES-7]. */
  #replace(older: Sink | undefined): void {
    if (older === undefined) return;
    const fault = new Fault("replaced", "Another connection has taken this page over.");
    older.send(new Frame(this.dialect.close(fault)).bytes(older.encoding));
    older.close(fault.code, fault.message);
  }

  /** Answers that are still to come for what was received [RES-9]. */
  #owed({ answers }: Kept): number {
    const waiting = this.#inbox.count((text) => this.#messages.needsCredit(text));
    return this.#messages.answered + this.#messages.underWay + waiting - answers;
  }

  /** The page was loaded anew: the rest of a message in pieces will not come [RES-9]. */
  #forgetBuffer(): void {
    this.#arrivesInBuffer = false;
    if (this.#inbox.forgetOpenBuffer(this.#messages.buffering)) this.#messages.dropBuffer();
  }

  // ── The window (chapter 5) ─────────────────────────────────────────────────────────────────────────────────────

  /**
   * The transport hands in one text.
   * @param text or the reason why what came is none
   * @param bytes its size on the wire
   */
  receive(text: string | Refusal, bytes: number): void {
    if (this.#state === "ending" || this.#state === "closed") return;
    this.received++;
    if (this.#unconfirmed) {
      this.#unconfirmed = false;
      this.host.confirmed(this);
    }
    try {
      if (this.#takeSeen(text)) return;
      this.#got++;
      this.#untold += bytes;
      if (this.#untold >= TELL_AFTER) this.tellSeen();
      if (this.#inbox.empty && this.#mayStart()) this.#start({ text, bytes });
      else this.#beyondWindow({ text, bytes });
    } catch (error) {
      this.#endBy(error);
    }
  }

  /** Tells a page how far the hub has counted: it need not keep that, and knows that somebody is there [RES-12]. */
  tellSeen(): void {
    this.#untold = 0;
    if (this.#resumable && this.#state === "open") this.#output.greet(Frame.of({ opcode: "seen", n: this.#got }));
  }

  /** `seen` is neither counted nor queued, unless it is a piece of a message, for then it is none [RES-1]. */
  #takeSeen(text: string | Refusal): boolean {
    if (typeof text !== "string" || !this.dialect.chunks) return false;
    if (text === BUFFER_ON) this.#arrivesInBuffer = true;
    else if (text === BUFFER_OFF) this.#arrivesInBuffer = false;
    if (this.#arrivesInBuffer) return false;
    const n = parseSeen(text);
    if (n === undefined) return false;
    this.#throttle?.countUrgent(text.length);
    const { kept } = this.#output;
    if (kept && !kept.plausible(n))
      throw new Fault("protocol", `Expected \`n\` of seen to be a count of packets the hub has sent, got \`${n}\`.`);
    kept?.release(n);
    return true;
  }

  /** A control frame of its wire came: no message, but work all the same [WIN-7]. */
  beat(bytes: number): void {
    if (this.#state === "closed") return;
    try {
      this.#throttle?.countUrgent(bytes);
    } catch (error) {
      this.#endBy(error);
    }
  }

  /** The wire has taken all that was written. */
  drained(): void {
    if (this.#state === "closed") return;
    if (this.#output.waiting) this.host.flusher.urgent(this);
    this.#pump();
    this.#tellWritable();
  }

  flush(batch: Batch): void {
    // What is sent to it while it becomes reachable waits behind `ready` until then [OPEN-1].
    if (this.#state === "opening") return;
    const { maxQueued } = this.host.limits;
    if (this.#output.overflowed) this.fault("policy", `Slow: more than \`maxQueued\` ${maxQueued} bytes were waiting to be read.`, "slow");
    else {
      this.#output.write(batch);
      // What it had not read may have been all that stood in the way of its next message [WIN-4].
      if (!this.#inbox.empty) this.#pump();
      this.#tellWritable();
    }
  }

  /** A UUID cannot be guessed, and who tries is slowed down; a job may report for long to a page that has left. */
  missed(): void {
    if (this.#throttle && this.host.guessed(this.address)) this.#throttle.penalize();
  }

  /** Answers were written: credit may be free. */
  settled(): void {
    if (this.#state !== "closed") this.#pump();
  }

  goOn(): void {
    this.#pump();
  }

  #mayStart(): boolean {
    if (this.#state === "opening" || this.#state === "closed") return false;
    return (
      this.#underWay < this.#window &&
      this.#output.unread <= this.host.limits.maxQueued / 2 &&
      !this.#messages.permitting &&
      !this.#throttle?.waits
    );
  }

  #start({ text, bytes }: Waiting): void {
    this.#throttle?.count(bytes);
    this.#messages.start(text, bytes);
  }

  /** Serves what needs no credit; who speaks too fast waits with that too. */
  #startCreditFree({ text, bytes }: Waiting): boolean {
    if (this.#state !== "open" || this.#throttle?.waits || !this.#messages.startCreditFree(text)) return false;
    this.#throttle?.count(bytes);
    return true;
  }

  /** Whoever cannot be answered any more does not wait for pages either, which take as long as they like. */
  get #underWay(): number {
    return this.#output.over ? this.#messages.atWork : this.#messages.underWay;
  }

  #beyondWindow(waiting: Waiting): void {
    if (this.#inbox.empty && this.#startCreditFree(waiting)) return;
    this.#inbox.add(waiting);
    this.#read(false);
  }

  /** Starts what waits, as far as the window allows, and reads on when nothing waits any more. */
  #pump(): void {
    try {
      // `fresh`: what stands first has just come to stand there, and may be one that needs no credit [WIN-5].
      for (let fresh = false; !this.#inbox.empty; fresh = true) {
        const waiting = this.#inbox.peek() as Waiting;
        if (this.#mayStart()) {
          this.#inbox.take();
          this.#start(waiting);
        } else if (fresh && this.#startCreditFree(waiting)) this.#inbox.take();
        else break;
      }
    } catch (error) {
      this.#endBy(error);
    }
    if (!this.#inbox.empty) return;
    if (this.#state === "open") this.#read(true);
    else if (this.#state === "ending" && this.#underWay === 0) this.#answered();
  }

  #read(on: boolean): void {
    if (this.#reading === on) return;
    this.#reading = on;
    this.sink.read(on);
  }

  // ── For apps ───────────────────────────────────────────────────────────────────────────────────────────────────

  send(packet: Packet, kind?: Kind): boolean {
    const pushed = this.push(Frame.push(packet, kind), false);
    return pushed === "sent" || pushed === "held";
  }

  onceWritable(callback: () => void): void {
    if (this.#state === "closed") return;
    this.#onWritable ??= [];
    this.#onWritable.push(callback);
    this.#tellWritable();
  }

  /** In a turn of its own, so that what it is sent then does not get into a write that is being made up. */
  #tellWritable(): void {
    if (this.#onWritable === undefined || this.#writableDue || !this.writable) return;
    this.#writableDue = true;
    this.host.clock.turn(() => {
      this.#writableDue = false;
      if (!this.writable) return;
      const callbacks = this.#onWritable ?? [];
      this.#onWritable = undefined;
      for (const callback of callbacks) this.#guarded(callback);
    });
  }

  /** What an app throws hurts nobody. */
  #guarded(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.host.appFailed(this, "", error);
    }
  }

  /** Queues a frame it did not ask for. `bulk`: many get it, and it may wait for the next round of writes. */
  push(frame: Frame, bulk: boolean): Pushed {
    if (!this.dialect.pushes || (frame.kind.receipt && !this.#resumable)) return "deaf";
    if (this.#state === "ending" || this.#state === "closed") return "closed";
    // Now or never: not behind anything that waits [KIND-3].
    if (frame.kind.volatile && (this.#output.busy || this.away)) return "dropped";
    if (!this.#output.push(frame, bulk)) return "closed";
    return this.away ? "held" : "sent";
  }

  ask(packet: Packet, timeout: number = ASK_TIMEOUT): Promise<unknown> {
    this.#questions ??= new Questions(this.host.clock);
    return this.#questions.ask(timeout, (ask) => {
      if (!this.send({ ...packet, ask })) throw new Error("The peer takes no questions.");
    });
  }

  /** The peer answers a question [ASK-1]. */
  reply(packet: Packet): void {
    this.#questions ??= new Questions(this.host.clock);
    this.#questions.reply(packet);
  }

  close(reason = "The hub closed the connection."): void {
    this.fault("normal", reason, "app");
  }

  // ── Ending (chapter 10) ────────────────────────────────────────────────────────────────────────────────────────

  quit(): void {
    this.#inbox.clear();
    this.end("quit", "normal");
  }

  /** No more is read from it; what is here is served and answered, then it is closed, with a sentence where it is to know why. */
  end(why: string, kind: CloseName, sentence = ""): void {
    if (this.#state === "opening") this.#earlyEnd = () => this.end(why, kind, sentence);
    if (!this.#to("end")) return;
    this.#ending = { why, kind, sentence };
    this.#leave();
  }

  /** The hub stops: what waits for its turn is not started any more [END-6]. */
  stop(reason: string): void {
    this.#inbox.clear();
    this.#messages.dropBuffer();
    if (this.#messages.underWay === 0) this.fault("restart", reason, "stop");
    else this.end("stop", "restart", reason);
  }

  /**
   * The wire is gone. A page that can resume is held, at least for a moment, unless it said goodbye [RES-2]; all others
   * end. What was read before is valid all the same [END-4].
   */
  lost(why: string): void {
    this.#output.detach();
    const grace = why === "going-away" ? this.host.limits.reloadGrace : this.host.limits.grace;
    if (this.#state === "opening") this.#earlyEnd = () => this.lost(why);
    else if (!this.#resumable || why === "left" || grace === 0) this.abandon(why);
    else if (this.#to("lost")) {
      this.#cancelGrace = this.host.clock.after(grace, () => this.abandon(why));
      this.host.away(this, why);
    } else this.abandon(why);
    this.#pump();
  }

  /** There is no wire and will be none: what waits for it is let go of, what it said is still served. */
  abandon(why: string): void {
    this.#output.drop();
    this.end(why, "lost");
    this.#pump();
  }

  /** Ends it now: said in a `close` packet, then in the close code [END-3]. */
  fault(kind: CloseName, message: string, why: string = kind): void {
    if (!this.#to("fault")) return;
    const fault = new Fault(kind, message);
    this.#output.close(fault.code, message, new Frame(this.dialect.close(fault)));
    this.host.leave(this);
    this.#closed(why);
  }

  /** About once a second while something could take too long. @returns false where nothing does any more */
  tick(now: number): boolean {
    if (this.#state === "closed") return false;
    try {
      return this.#messages.tick(now);
    } catch (error) {
      this.#endBy(error);
      return false;
    }
  }

  /** Nobody finds it any more, but what it said is still served and answered. */
  #leave(): void {
    this.#cancelGrace?.();
    this.host.leave(this);
    this.#pump();
  }

  #answered(): void {
    if (!this.#to("answered")) return;
    const { why, kind, sentence = "" } = this.#ending;
    const farewell = sentence === "" ? undefined : new Frame(this.dialect.close(new Fault(kind, sentence)));
    this.#output.close(CLOSE[kind].code, sentence, farewell);
    this.#closed(why);
  }

  #closed(why: string): void {
    this.#cancelGrace?.();
    this.#messages.dropBuffer();
    this.#inbox.clear();
    this.#questions?.abandon();
    this.#onWritable = undefined;
    this.#throttle?.stop();
    this.#expiry?.stop();
    this.host.closed(this, why);
  }

  #endBy(error: unknown): void {
    if (error instanceof Fault) this.fault(error.kind, error.message);
    else {
      this.host.appFailed(this, "", error);
      this.fault("fault", "The hub failed; its log says why.");
    }
  }

  #to(input: Input): boolean {
    const next = TRANSITIONS[this.#state][input];
    if (next === undefined) return false;
    this.#state = next;
    return true;
  }
}

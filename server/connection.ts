import {
  Answer,
  BUFFER_OFF,
  BUFFER_ON,
  ChunkJoiner,
  CLOSE,
  type CloseName,
  CREDIT_FREE,
  DONE,
  done,
  Fault,
  NEXT_DONE,
  type Packet,
  Queue,
  quoted,
  RESERVED,
  Refusal,
  refOf,
  refused,
  type Tags,
} from "../protocol/index.js";
import type { MaybePromise, Peer } from "./app.js";
import type { Clock } from "./clock.js";
import type { Dialect, Spoken } from "./dialect.js";
import type { Flushable, Flusher } from "./flusher.js";
import { Batch, Frame } from "./frame.js";
import { type HelloFields, NO_TAGS, parseHello } from "./hello.js";
import type { Limits } from "./options.js";
import { Output } from "./output.js";
import { Questions } from "./questions.js";
import type { Resource } from "./resource.js";
import type { Sink } from "./sink.js";
import { Strikes } from "./strikes.js";
import { type Message, UnderWay } from "./under-way.js";

/** What the hub does for a connection. */
export interface Host {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly flusher: Flusher;
  /** Makes the peer reachable by UUID, ident and tags. */
  enter(peer: Connection): MaybePromise<void>;
  /** Nobody finds it any more. */
  leave(peer: Connection): void;
  /** The apps are told that it came; that it went, and why. */
  opened(peer: Connection): void;
  /** @param opened whether the apps had been told that it came */
  closed(peer: Connection, why: string, opened: boolean): void;
  /** Calls {@link Connection.tick} about once a second until that returns false. */
  watch(peer: Connection): void;
  /** Something that is not the peer's fault, for the log and the app; `opcode` is what was being handled, if anything. */
  appFailed(peer: Connection, opcode: string, error: unknown): void;
}

/** How a peer came in. */
export interface Opening {
  readonly uuid: string;
  readonly kind: "page" | "backend";
  readonly dialect: Dialect;
  readonly path: string;
  readonly resource: Resource;
  readonly address: string;
}

export type State = "new" | "opening" | "open" | "ending" | "closed";
export type Input = "hello" | "reachable" | "end" | "fault" | "answered" | "lost";

/** The dialog as a table: PROTOCOL.md, chapter 12. An input without an entry changes nothing. */
export const TRANSITIONS: Readonly<Record<State, Readonly<Partial<Record<Input, State>>>>> = {
  new: { hello: "opening", end: "ending", fault: "closed", lost: "ending" },
  opening: { reachable: "open", fault: "closed" },
  open: { end: "ending", fault: "closed", lost: "ending" },
  ending: { fault: "closed", answered: "closed" },
  closed: {},
};

/** A text that waits for its turn, or what is wrong with it. */
interface Waiting {
  readonly text: string | Refusal;
  readonly bytes: number;
}

const MALFORMED: ReadonlySet<string> = new Set(["bad-json", "bad-message", "bad-utf8", "too-deep"]);
const MALFORMED_MAX = 20;
const MALFORMED_SPAN = 10_000;
const ASK_TIMEOUT = 30_000;
const NEXT_DONE_FRAME = new Frame(NEXT_DONE);

let lastId = 0;

/** The dialog of one peer: chapters 3 to 6 and 10 of PROTOCOL.md, whatever the wire. */
export class Connection implements Peer, Flushable {
  /** Names it in the log. */
  readonly id = ++lastId;
  readonly uuid: string;
  readonly kind: "page" | "backend";
  readonly path: string;
  readonly address: string;
  readonly dialect: Dialect;
  readonly resource: Resource;
  ident: string | undefined = undefined;
  tags: Tags = NO_TAGS;
  /** Texts that came in, for the log. */
  received = 0;

  #state: State = "new";
  #window = 1;
  /** Why it ends, and how: decided once. */
  #ending: { why: string; kind: CloseName } = { why: "lost", kind: "lost" };
  #reading = true;
  /** Not started yet: beyond the window, or here before `ready`. */
  readonly #inbox = new Queue<Waiting>();
  readonly #underWay = new UnderWay();
  readonly #output: Output;
  readonly #malformed: Strikes;
  #joiner: ChunkJoiner | undefined;
  #pieceAt = 0;
  #questions: Questions | undefined;
  #opened = false;
  /** An end that came while it was becoming reachable. */
  #earlyEnd: (() => void) | undefined;

  constructor(
    private readonly host: Host,
    private readonly sink: Sink,
    opening: Opening,
  ) {
    this.uuid = opening.uuid;
    this.kind = opening.kind;
    this.path = opening.path;
    this.address = opening.address;
    this.dialect = opening.dialect;
    this.resource = opening.resource;
    this.#output = new Output(this, sink, host.flusher, host.limits.maxQueued);
    this.#malformed = new Strikes(MALFORMED_MAX, MALFORMED_SPAN);
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

  // ── Opening (chapter 3) ────────────────────────────────────────────────────────────────────────────────────────

  /** Makes it reachable and greets it [OPEN-1]. `hello` is what the client said of itself, if it speaks first. */
  open(hello?: HelloFields): void {
    if (!this.#to("hello")) return;
    if (hello) {
      this.#window = Math.min(hello.window, this.host.limits.maxWindow);
      this.ident = hello.ident;
      this.tags = hello.tags;
    }
    if (this.dialect.greeted) this.#output.push(this.#greeting(), false);
    const entered = this.host.enter(this);
    if (entered instanceof Promise) entered.then(this.#ready, (error) => this.fault("fault", (error as Error).message));
    else this.#ready();
  }

  readonly #ready = (): void => {
    if (!this.#to("reachable")) return;
    this.#opened = true;
    this.host.flusher.urgent(this);
    this.host.opened(this);
    this.#pump();
    this.#earlyEnd?.();
  };

  #greeting(): Frame {
    const { maxMessage, maxDepth } = this.host.limits;
    return Frame.of({ opcode: "ready", uuid: this.uuid, window: this.#window, limits: { maxMessage, maxDepth }, time: Date.now() });
  }

  // ── Receiving (chapter 5) ──────────────────────────────────────────────────────────────────────────────────────

  /**
   * The transport hands in one text.
   * @param text or the reason why what came is none
   * @param bytes its size on the wire
   */
  receive(text: string | Refusal, bytes: number): void {
    if (this.#state === "ending" || this.#state === "closed") return;
    this.received++;
    try {
      if (this.#state === "new") this.#firstPacket(text);
      else if (this.#inbox.length === 0 && this.#mayStart()) this.#start(text, bytes);
      else this.#beyondWindow({ text, bytes });
    } catch (error) {
      this.#endBy(error);
    }
  }

  /** The wire has taken all that was written. */
  drained(): void {
    if (this.#state === "closed") return;
    if (this.#output.waiting) this.host.flusher.urgent(this);
    this.#pump();
  }

  flush(batch: Batch): void {
    // What is sent to it while it becomes reachable waits behind `ready` until then [OPEN-1].
    if (this.#state === "opening") return;
    if (this.#output.overflowed)
      this.fault("policy", `Slow: more than \`maxQueued\` ${this.host.limits.maxQueued} bytes were waiting to be read.`, "slow");
    else this.#output.write(batch);
  }

  #firstPacket(text: string | Refusal): void {
    if (text instanceof Refusal) throw new Fault("protocol", text.message);
    this.open(parseHello(text, this.host.limits.maxDepth));
  }

  #mayStart(): boolean {
    if (this.#state !== "open" && this.#state !== "ending") return false;
    return this.#underWay.size < this.#window && this.#output.unread <= this.host.limits.maxQueued / 2;
  }

  #beyondWindow(waiting: Waiting): void {
    if (this.#inbox.length === 0 && this.#state === "open" && this.#serveCreditFree(waiting.text)) return;
    this.#inbox.push(waiting);
    this.#read(false);
  }

  /** Starts what waits, as far as the window allows, and reads on when nothing waits any more. */
  #pump(): void {
    try {
      while (this.#inbox.length > 0 && this.#mayStart()) {
        const { text, bytes } = this.#inbox.shift() as Waiting;
        this.#start(text, bytes);
      }
    } catch (error) {
      this.#endBy(error);
    }
    if (this.#inbox.length > 0) return;
    if (this.#state === "open") this.#read(true);
    else if (this.#state === "ending" && this.#underWay.size === 0) this.#answered();
  }

  #read(on: boolean): void {
    if (this.#reading === on) return;
    this.#reading = on;
    this.sink.read(on);
  }

  // ── One message: joined, parsed, handled (chapters 4 and 6) ────────────────────────────────────────────────────

  #start(text: string | Refusal, bytes: number): void {
    if (text instanceof Refusal) this.#refuse(text, undefined, this.dialect.name === "words");
    else if (this.#joiner) this.#piece(this.#joiner, text, bytes);
    else if (this.dialect.chunks && text === BUFFER_ON) this.#bufferOn();
    else if (this.dialect.chunks && text === BUFFER_OFF)
      this.#refuse(new Refusal("not-buffering", "`bufferOFF` without `bufferON`."), undefined, false);
    else this.#handle(text);
  }

  #bufferOn(): void {
    this.#joiner = new ChunkJoiner(this.host.limits.maxMessage);
    this.#pieceAt = this.host.clock.now();
    this.host.watch(this);
    this.#answer(DONE, undefined, false);
  }

  #piece(joiner: ChunkJoiner, text: string, bytes: number): void {
    if (text === BUFFER_OFF) {
      this.#joiner = undefined;
      this.#handle(joiner.join());
      return;
    }
    if (text === BUFFER_ON) {
      this.#refuse(new Refusal("already-buffering", "`bufferON` while a buffer is on; the buffer stays."), undefined, false);
      return;
    }
    this.#pieceAt = this.host.clock.now();
    joiner.add(text, bytes);
    this.#answer(DONE, undefined, false);
  }

  #handle(text: string): void {
    let plain = this.dialect.name === "words" && !text.startsWith("{");
    let ref: Message["ref"];
    try {
      const spoken = this.#parse(text);
      plain = spoken.plain;
      if (CREDIT_FREE.has(spoken.packet.opcode)) this.#creditFree(spoken);
      else {
        ref = refOf(spoken.packet);
        this.#dispatch(spoken.packet, ref, plain);
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#refuse(error, ref, plain);
    }
  }

  #parse(text: string): Spoken {
    return this.dialect.parse(text, this.resource.words, this.host.limits.maxDepth);
  }

  #dispatch(packet: Packet, ref: Message["ref"], plain: boolean): void {
    if (packet.opcode === "hello") throw new Refusal("late-hello", "`hello` is the first packet of a connection, or none.");
    let value: unknown;
    try {
      value = this.resource.handle(packet, this);
    } catch (error) {
      this.#answer(this.#failure(packet.opcode, error), ref, plain);
      return;
    }
    if (!isThenable(value)) {
      this.#answer(answerOf(value), ref, plain);
      return;
    }
    const message: Message = { opcode: packet.opcode, ref, plain, since: this.host.clock.now(), answer: undefined };
    this.#underWay.add(message);
    this.host.watch(this);
    value.then(
      (result) => this.#settle(message, answerOf(result)),
      (error) => this.#settle(message, this.#failure(packet.opcode, error)),
    );
  }

  #settle(message: Message, answer: Answer): void {
    if (message.answer !== undefined || this.#state === "closed") return;
    message.answer = answer;
    this.#writeAnswers();
  }

  #writeAnswers(): void {
    for (let message = this.#underWay.takeAnswered(); message; message = this.#underWay.takeAnswered()) {
      this.#write(message.answer, message.ref, message.plain);
    }
    this.#pump();
  }

  /** A thrown refusal is an answer; everything else is the app's fault and its text stays in the log. */
  #failure(opcode: string, error: unknown): Answer {
    if (error instanceof Refusal) return refused(error.code, error.message);
    this.host.appFailed(this, opcode, error);
    return refused("app-error", `The app that handles ${quoted(opcode)} failed; the hub's log says why.`);
  }

  #refuse(refusal: Refusal, ref: Message["ref"], plain: boolean): void {
    this.#answer(refused(refusal.code, refusal.message), ref, plain);
    if (MALFORMED.has(refusal.code) && this.#malformed.add(this.host.clock.now())) {
      throw new Fault("policy", `${MALFORMED_MAX} malformed packets within ${MALFORMED_SPAN / 1000} s. The last: ${refusal.message}`);
    }
  }

  /** Answers behind the messages that are still under way [NEXT-1]. */
  #answer(answer: Answer, ref: Message["ref"], plain: boolean): void {
    if (this.#underWay.size === 0) this.#write(answer, ref, plain);
    else this.#underWay.add({ opcode: "", ref, plain, since: 0, answer });
  }

  #write(answer: Answer, ref: Message["ref"], plain: boolean): void {
    if (answer === DONE && ref === undefined && !plain) {
      this.#output.push(NEXT_DONE_FRAME, false);
      return;
    }
    let text: string;
    try {
      text = this.dialect.answer(answer, ref, plain);
    } catch (error) {
      this.host.appFailed(this, "next", error);
      text = this.dialect.answer(refused("app-error", "The app's result cannot be written as JSON; the hub's log says why."), ref, plain);
    }
    this.#output.push(new Frame(text), false);
  }

  // ── Without credit (NEXT-6) ────────────────────────────────────────────────────────────────────────────────────

  /** Serves what came beyond the window, if it is of the kind that needs no credit. */
  #serveCreditFree(text: string | Refusal): boolean {
    if (text instanceof Refusal || this.#joiner !== undefined) return false;
    let spoken: Spoken;
    try {
      spoken = this.#parse(text);
    } catch {
      return false; // Malformed: that is said when its turn comes.
    }
    if (!CREDIT_FREE.has(spoken.packet.opcode)) return false;
    this.#creditFree(spoken);
    return true;
  }

  #creditFree({ packet, plain }: Spoken): void {
    try {
      if (packet.opcode === "quit") this.#quit(plain);
      else if (packet.opcode === "reply") this.#questionsOfPeer().reply(packet);
      else if (packet.opcode !== "seen") this.#creditFreeByApp(packet);
    } catch (error) {
      const { code, message } = (this.#failure(packet.opcode, error).detail.error ?? {}) as { code: string; message: string };
      this.#output.push(Frame.of({ opcode: packet.opcode, status: "refused", error: { code, message } }), false);
    }
  }

  #creditFreeByApp(packet: Packet): void {
    const value = this.resource.handle(packet, this);
    if (isThenable(value)) value.then(undefined, (error) => this.#failure(packet.opcode, error));
  }

  #quit(plain: boolean): void {
    if (this.dialect.quitAnswered) this.#answer(DONE, undefined, plain);
    this.#inbox.clear();
    this.end("quit", "normal");
  }

  // ── For apps ───────────────────────────────────────────────────────────────────────────────────────────────────

  send(packet: Packet): boolean {
    if (typeof packet.opcode !== "string" || packet.opcode === "" || RESERVED.has(packet.opcode)) {
      throw new TypeError(`Expected a packet with an opcode that does not belong to the dialog, got ${quoted(packet.opcode)}.`);
    }
    return this.push(Frame.of(packet), false);
  }

  /** Queues a frame it did not ask for. `bulk`: many get it, and it may wait for the next round of writes. */
  push(frame: Frame, bulk: boolean): boolean {
    return this.dialect.pushes && (this.#state === "open" || this.#state === "opening") && this.#output.push(frame, bulk);
  }

  ask(packet: Packet, timeout: number = ASK_TIMEOUT): Promise<unknown> {
    return this.#questionsOfPeer().ask(timeout, (ask) => {
      if (!this.send({ ...packet, ask })) throw new Error("The peer takes no questions.");
    });
  }

  close(reason = "The hub closed the connection."): void {
    this.fault("normal", reason, "app");
  }

  #questionsOfPeer(): Questions {
    this.#questions ??= new Questions(this.host.clock);
    return this.#questions;
  }

  // ── Ending (chapter 10) ────────────────────────────────────────────────────────────────────────────────────────

  /** No more is read from it; what is here is served and answered, then it is closed. */
  end(why: string, kind: CloseName): void {
    if (this.#state === "opening") this.#earlyEnd = () => this.end(why, kind);
    if (!this.#to("end")) return;
    this.#ending = { why, kind };
    this.#leave();
  }

  /** The hub stops: what waits for its turn is not started any more [END-6]. */
  stop(reason: string): void {
    this.#inbox.clear();
    this.#joiner = undefined;
    if (this.#underWay.size === 0) this.fault("restart", reason, "stop");
    else this.end("stop", "restart");
  }

  /** The wire is gone. What was read before is valid all the same [END-4]. */
  lost(why: string): void {
    this.#output.drop();
    if (this.#state === "opening") this.#earlyEnd = () => this.lost(why);
    if (this.#to("lost")) {
      this.#ending = { why, kind: "lost" };
      this.#leave();
    } else this.#pump();
  }

  /** Ends it now: said in a `close` packet, then in the close code [END-3]. */
  fault(kind: CloseName, message: string, why: string = kind): void {
    if (!this.#to("fault")) return;
    const fault = new Fault(kind, message);
    this.#output.push(new Frame(this.dialect.close(fault)), false);
    this.#output.close(fault.code, message, new Batch());
    this.host.leave(this);
    this.#closed(why);
  }

  /** About once a second while something could take too long. @returns false where nothing does any more */
  tick(now: number): boolean {
    if (this.#state === "closed") return false;
    const { appTimeout, bufferTimeout } = this.host.limits;
    if (this.#joiner && now - this.#pieceAt > bufferTimeout) {
      this.fault("policy", `A buffer was left open for more than \`bufferTimeout\` ${bufferTimeout} ms.`);
      return false;
    }
    const sentence = `The app did not finish within \`appTimeout\` ${appTimeout} ms.`;
    const expired = this.#underWay.expire(now - appTimeout, refused("app-timeout", sentence));
    for (const message of expired) this.host.appFailed(this, message.opcode, new Error(sentence));
    if (expired.length > 0) this.#writeAnswers();
    return this.#joiner !== undefined || this.#underWay.size > 0;
  }

  /** What is here is still served and answered; then it is closed. */
  #leave(): void {
    this.host.leave(this);
    this.#pump();
  }

  #answered(): void {
    if (!this.#to("answered")) return;
    this.#output.close(CLOSE[this.#ending.kind].code, "", new Batch());
    this.#closed(this.#ending.why);
  }

  #closed(why: string): void {
    this.#joiner = undefined;
    this.#inbox.clear();
    this.#questions?.abandon();
    this.host.closed(this, why, this.#opened);
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

function answerOf(value: unknown): Answer {
  return value instanceof Answer ? value : done(value);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}

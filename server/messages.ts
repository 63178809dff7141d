import {
  Answer,
  BUFFER_OFF,
  BUFFER_ON,
  ChunkJoiner,
  CREDIT_FREE,
  DONE,
  done,
  Fault,
  isThenable,
  type MaybePromise,
  NEXT_DONE,
  type Packet,
  quoted,
  Refusal,
  refOf,
  refused,
  whenKnown,
} from "../protocol/index.js";
import type { Peer } from "./app.js";
import type { Budget } from "./budget.js";
import type { Clock } from "./clock.js";
import type { Counters } from "./counters.js";
import type { Dialect, Spoken } from "./dialect.js";
import { Frame } from "./frame.js";
import type { Limits } from "./options.js";
import type { Output } from "./output.js";
import { waitsForPage } from "./receipt.js";
import type { Resource, Route } from "./resource.js";
import { Strikes } from "./strikes.js";
import { type Message, PATIENT, UnderWay } from "./under-way.js";

/** The peer whose messages these are. */
export interface Speaker extends Peer {
  readonly dialect: Dialect;
  readonly resource: Resource;
  /** It said `quit`: nothing behind it counts. */
  quit(): void;
  /** It answered a question. @throws Refusal */
  reply(packet: Packet): void;
  /** It shows another token. @throws Refusal (or rejects) where it is not right */
  refresh(token: string): MaybePromise<Answer>;
  /** What it has addressed is nobody's. */
  missed(): void;
  /** Answers were written that had been waited for: there may be credit again. */
  settled(): void;
  /** About once a second while something could take too long. @returns false where nothing does any more */
  tick(now: number): boolean;
}

/** What the hub does for the messages of a peer. */
export interface MessageHost {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly budget: Budget;
  readonly counters: Counters;
  /** Has `tick` of the peer called about once a second until it returns false. */
  watch(peer: Speaker): void;
  /** Something that is not the peer's fault, for the log and the app; `opcode` is what was being handled, if anything. */
  appFailed(peer: Speaker, opcode: string, error: unknown): void;
}

const MALFORMED: ReadonlySet<string> = new Set(["bad-json", "bad-message", "bad-utf8", "too-deep"]);
const MALFORMED_MAX = 20;
const MALFORMED_SPAN = 10_000;
const ANSWER = { answers: true } as const;
const NEXT_DONE_FRAME = Frame.constant(NEXT_DONE, ANSWER);

/** How a message is to be answered. */
type Asked = Pick<Message, "opcode" | "ref" | "plain">;

const UNNAMED: Asked = { opcode: "", ref: undefined, plain: false };

/** What one peer says, message by message: joined, parsed, handled, answered (chapters 4 and 6). */
export class Messages {
  /** How many were refused, for the log. */
  refused = 0;
  readonly #underWay = new UnderWay();
  #malformed: Strikes | undefined;
  #joiner: ChunkJoiner | undefined;
  #pieceAt = 0;

  constructor(
    private readonly speaker: Speaker,
    private readonly host: MessageHost,
    private readonly output: Output,
  ) {}

  /** Answers written. */
  answered = 0;
  /** It is being found out whether it may say what it has said: nothing else is started meanwhile. */
  permitting = false;

  /** How many have been started and not answered. */
  get underWay(): number {
    return this.#underWay.size;
  }

  /** A message in pieces has begun and not ended. */
  get buffering(): boolean {
    return this.#joiner !== undefined;
  }

  /** How many of those an app has not finished with; who waits for a page [KIND-4] is not at work. */
  get atWork(): number {
    return this.#underWay.atWork;
  }

  /**
   * One text, or the reason why what came is none: the next message, or a part of it.
   * @throws Fault where the peer may not go on
   */
  start(text: string | Refusal, bytes: number): void {
    // A piece that cannot be read leaves a hole in its message.
    if (text instanceof Refusal && this.#joiner) throw new Fault("bad-utf8", text.message);
    if (text instanceof Refusal) this.#refuse(text, { ...UNNAMED, plain: this.speaker.dialect.name === "words" });
    else if (this.#joiner) this.#piece(this.#joiner, text, bytes);
    else if (this.speaker.dialect.chunks && text === BUFFER_ON) this.#bufferOn();
    else if (this.speaker.dialect.chunks && text === BUFFER_OFF)
      this.#refuse(new Refusal("not-buffering", "`bufferOFF` without `bufferON`."), UNNAMED);
    else this.#handle(text);
  }

  /** Serves a text that came without credit, if it is of the kind that needs none [NEXT-6]. */
  startCreditFree(text: string | Refusal): boolean {
    const spoken = this.#asCreditFree(text);
    if (spoken) this.#creditFree(spoken);
    return spoken !== undefined;
  }

  /** Will this text, which waits, be answered by a `next`? */
  needsCredit(text: string | Refusal): boolean {
    return this.#asCreditFree(text) === undefined;
  }

  #asCreditFree(text: string | Refusal): Spoken | undefined {
    if (text instanceof Refusal || this.#joiner !== undefined) return undefined;
    try {
      const spoken = this.#parse(text);
      return this.#needsNoCredit(spoken.packet) ? spoken : undefined;
    } catch {
      return undefined; // Malformed: that is said when its turn comes.
    }
  }

  /**
   * About once a second while something could take too long.
   * @returns false where nothing does any more
   * @throws Fault where a buffer was left open
   */
  tick(now: number): boolean {
    const { appTimeout, bufferTimeout } = this.host.limits;
    if (this.#joiner && now - this.#pieceAt > bufferTimeout) {
      throw new Fault("policy", `A buffer was left open for more than \`bufferTimeout\` ${bufferTimeout} ms.`);
    }
    const sentence = `The app did not finish within \`appTimeout\` ${appTimeout} ms.`;
    const expired = this.#underWay.expire(now - appTimeout, refused("app-timeout", sentence));
    for (const message of expired) this.host.appFailed(this.speaker, message.opcode, new Error(sentence));
    if (expired.length > 0) this.#writeAnswers();
    return this.#joiner !== undefined || this.#underWay.size > 0;
  }

  /** Forgets the pieces of a message that will not be finished. */
  dropBuffer(): void {
    this.host.budget.used -= this.#joiner?.cost ?? 0;
    this.#joiner = undefined;
  }

  // ── Chunks (chapter 6) ─────────────────────────────────────────────────────────────────────────────────────────

  #bufferOn(): void {
    this.#joiner = new ChunkJoiner(this.host.limits.maxMessage);
    this.#pieceAt = this.host.clock.now();
    this.host.watch(this.speaker);
    this.#answer(DONE, UNNAMED);
  }

  #piece(joiner: ChunkJoiner, text: string, bytes: number): void {
    if (text === BUFFER_OFF) {
      this.dropBuffer();
      this.#handle(joiner.join());
      return;
    }
    if (text === BUFFER_ON) {
      this.#refuse(new Refusal("already-buffering", "`bufferON` while a buffer is on; the buffer stays."), UNNAMED);
      return;
    }
    this.#pieceAt = this.host.clock.now();
    const before = joiner.cost;
    try {
      joiner.add(text, bytes);
    } finally {
      this.host.budget.used += joiner.cost - before;
    }
    this.host.budget.check(joiner.cost);
    this.#answer(DONE, UNNAMED);
  }

  // ── Handling ───────────────────────────────────────────────────────────────────────────────────────────────────

  #handle(text: string): void {
    let asked: Asked = { ...UNNAMED, plain: this.speaker.dialect.name === "words" && !text.startsWith("{") };
    try {
      const spoken = this.#parse(text);
      if (this.#needsNoCredit(spoken.packet)) {
        this.#creditFree(spoken);
        return;
      }
      asked = { opcode: spoken.packet.opcode, ref: refOf(spoken.packet), plain: spoken.plain };
      this.#dispatch(spoken.packet, asked);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      // What an app refuses is an answer, and no reason to end the connection for all that it carries.
      if (asked.opcode === "" && !asked.plain) this.#refuse(error, asked);
      else this.#answer(refused(error.code, error.message), asked);
    }
  }

  #parse(text: string): Spoken {
    return this.speaker.dialect.parse(text, this.speaker.resource.words, this.host.limits.maxDepth);
  }

  #dispatch(packet: Packet, asked: Asked): void {
    if (packet.opcode === "hello") throw new Refusal("late-hello", "`hello` is the first packet of a connection, or none.");
    let value: unknown;
    try {
      if (packet.opcode === "token") value = this.#refresh(packet);
      else {
        const route = this.speaker.resource.route(packet.opcode);
        const passed = route.permit?.(packet, this.speaker);
        if (passed instanceof Promise) {
          this.#whenPermitted(passed, route, packet, asked);
          return;
        }
        value = route.handle(packet, this.speaker);
      }
    } catch (error) {
      if (error instanceof Refusal) throw error;
      this.#answer(this.#failure(packet.opcode, error), asked);
      return;
    }
    if (isThenable(value)) this.#await(value, asked);
    else this.#answer(answerOf(value), asked);
  }

  /** Nothing that came later is started before it is known whether this may be: handlers start in the order of arrival [WIN-2]. */
  #whenPermitted(passed: Promise<void>, route: Route, packet: Packet, asked: Asked): void {
    const message = this.#addUnderWay(asked);
    this.permitting = true;
    const go = (): void => {
      // It was given up [NEXT-7].
      if (message.answer !== undefined) return;
      const value = route.handle(packet, this.speaker);
      if (isThenable(value)) this.#settleWith(message, value);
      else this.#settle(message, answerOf(value));
    };
    passed
      .then(go)
      .catch((error) => this.#settle(message, this.#failure(packet.opcode, error)))
      .finally(() => {
        this.permitting = false;
        this.speaker.settled();
      });
  }

  /** What is not right is refused like anything else: the peer may go on for as long as it is known [AUTH-5]. */
  #refresh({ opcode, token }: Packet): MaybePromise<Answer> {
    if (this.speaker.resource.authenticators.length === 0)
      throw new Refusal(
        "unknown-opcode",
        `Nobody asks on ${quoted(this.speaker.resource.pattern)} who a peer is: ${quoted(opcode)} is of no use.`,
      );
    if (typeof token !== "string" || token === "") throw new Refusal("bad-message", "Expected `token` to be a string that is not empty.");
    return this.speaker.refresh(token);
  }

  #await(value: PromiseLike<unknown>, asked: Asked): void {
    this.#settleWith(this.#addUnderWay(asked), value);
  }

  #addUnderWay(asked: Asked): Message {
    const message: Message = { ...asked, since: this.host.clock.now(), answer: undefined };
    this.#underWay.add(message);
    this.host.watch(this.speaker);
    return message;
  }

  #settleWith(message: Message, value: PromiseLike<unknown>): void {
    // Who waits for a page waits as long as the page lives [KIND-4].
    if (waitsForPage(value)) message.since = PATIENT;
    value.then(
      (result) => this.#settle(message, answerOf(result)),
      (error) => this.#settle(message, this.#failure(message.opcode, error)),
    );
  }

  /** A thrown refusal is an answer; everything else is the app's fault, and its text stays in the log. */
  #failure(opcode: string, error: unknown): Answer {
    if (error instanceof Refusal) return refused(error.code, error.message);
    this.host.appFailed(this.speaker, opcode, error);
    return refused("app-error", `The app that handles ${quoted(opcode)} failed; the hub's log says why.`);
  }

  #creditFree({ packet, plain }: Spoken): void {
    try {
      if (packet.opcode === "quit") this.#quit(plain);
      else if (packet.opcode === "reply") this.speaker.reply(packet);
      else this.#creditFreeByApp(packet);
    } catch (error) {
      this.#refuseCreditFree(packet.opcode, error);
    }
  }

  #refuseCreditFree(opcode: string, error: unknown): void {
    this.output.push(Frame.of({ opcode, status: "refused", ...this.#failure(opcode, error).detail }), false);
  }

  /** Who takes no pushes could not be told otherwise: to such a peer these are messages like all others [NEXT-6]. */
  #needsNoCredit({ opcode }: Packet): boolean {
    return CREDIT_FREE.has(opcode) && (this.speaker.takesPushes || opcode === "quit");
  }

  #creditFreeByApp(packet: Packet): void {
    const route = this.speaker.resource.route(packet.opcode);
    const value = whenKnown(route.permit?.(packet, this.speaker), () => route.handle(packet, this.speaker));
    if (isThenable(value)) value.then(undefined, (error) => this.#refuseCreditFree(packet.opcode, error));
  }

  #quit(plain: boolean): void {
    if (this.speaker.dialect.quitAnswered) this.#answer(DONE, { ...UNNAMED, plain });
    this.speaker.quit();
  }

  // ── Answering (chapter 4) ──────────────────────────────────────────────────────────────────────────────────────

  #refuse(refusal: Refusal, asked: Asked): void {
    this.#answer(refused(refusal.code, refusal.message), asked);
    if (!MALFORMED.has(refusal.code)) return;
    this.#malformed ??= new Strikes(MALFORMED_MAX, MALFORMED_SPAN);
    if (this.#malformed.add(this.host.clock.now())) {
      throw new Fault("policy", `${MALFORMED_MAX} malformed packets within ${MALFORMED_SPAN / 1000} s. The last: ${refusal.message}`);
    }
  }

  /** Answers at once, or behind the messages that are still under way [NEXT-1]. */
  #answer(answer: Answer, asked: Asked): void {
    if (this.#underWay.size === 0) this.#write(answer, asked);
    else this.#underWay.add({ ...asked, since: 0, answer });
  }

  #settle(message: Message, answer: Answer): void {
    if (message.answer !== undefined) return; // It was given up [NEXT-7].
    message.answer = answer;
    this.#writeAnswers();
  }

  #writeAnswers(): void {
    for (let message = this.#underWay.takeAnswered(); message; message = this.#underWay.takeAnswered())
      this.#write(message.answer, message);
    this.speaker.settled();
  }

  #write(answer: Answer, asked: Asked): void {
    this.answered++;
    this.host.counters.answered++;
    if (answer.status === "refused") this.#countRefused(answer);
    else if (answer.status === "gone") this.speaker.missed();
    if (answer === DONE && asked.ref === undefined && !asked.plain) this.output.push(NEXT_DONE_FRAME, false);
    else this.output.push(new Frame(this.#format(answer, asked), ANSWER), false);
  }

  #countRefused({ detail }: Answer): void {
    this.refused++;
    this.host.counters.count("messages_refused", detail.error?.code ?? "");
  }

  #format(answer: Answer, { opcode, ref, plain }: Asked): string {
    const { dialect } = this.speaker;
    try {
      return dialect.answer(answer, ref, plain);
    } catch (error) {
      this.host.appFailed(this.speaker, opcode, error);
      return dialect.answer(refused("app-error", "The app's result cannot be written as JSON; the hub's log says why."), ref, plain);
    }
  }
}

function answerOf(value: unknown): Answer {
  return value instanceof Answer ? value : done(value);
}

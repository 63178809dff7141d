import { CLOSE, type Close, CREDIT_FREE, mayReconnect, type Packet, type Ready, type Tags, type Target } from "../protocol/index.js";
import { Backoff } from "./backoff.js";
import { ClientDialog, type Outcome, type Snapshot, type Wire, type WireEvents } from "./dialog.js";
import { ClosedError } from "./errors.js";

/** Opens one connection; called again for each try. */
export type OpenWire = (events: WireEvents) => Wire;

export interface ClientOptions {
  /** Messages that may be under way, default 32; the hub may grant less. */
  window?: number;
  /** A name by which this peer can be addressed; several may share it. */
  ident?: string;
  /** Properties by which this peer can be addressed. */
  tags?: Tags;
  /** How long `connect` tries before it rejects, ms, default 30,000; 0: for ever. */
  connectTimeout?: number;
  /** Shows the hub who this is; a function is asked anew for each connection, and before its answer is out of date. */
  token?: string | (() => string | Promise<string>);
}

/** Fields of a forwarded message beside `message`. */
export interface MessageFields {
  /** Makes it state: of one key only the newest value counts. */
  key?: string;
  [field: string]: unknown;
}

const WINDOW = 32;
const CONNECT_TIMEOUT = 30_000;
/** For one try to become a connection, ms: as long as the hub waits for a hello. */
const HANDSHAKE = 10_000;
/** A connection that stood for so long, ms, was a good one: the next pause is short again. */
const STABLE = 10_000;
/** Heartbeats of the hub that may be missed: a late one is no lost one. */
const HEARTBEATS = 2.5;
/** It is time to give up, once the answer to the hello that is out has not come. */
const DUE = "due";
/** Between looks whether a hub that was told `quit` goes on answering, ms. */
const LAST_CALL = 35_000;

/** A packet that the hub pushed. The type of the event is the packet's opcode; `message` events bring every packet. */
export class PushEvent extends Event {
  constructor(
    type: string,
    readonly packet: Packet,
    private readonly say: (packet: Packet) => void,
    private readonly waits: Promise<unknown>[],
  ) {
    super(type);
  }

  /**
   * The page has not finished with this packet before `promise` has settled: a sender that waits for the page (`"wait":"page"`)
   * waits for that, and a reload before it brings the packet once more.
   */
  waitUntil(promise: Promise<unknown>): void {
    this.waits.push(promise);
  }

  /** Answers a question of the hub's app (a packet with `ask`). */
  reply(result: unknown): void {
    this.say({ opcode: "reply", ask: this.packet.ask, result });
  }
}

/** `ready`: there is a connection; then either `resumed`, nothing was lost, or `fresh`, this is a new page and `ready.reason` says why. */
export class ReadyEvent extends Event {
  constructor(
    type: "ready" | "resumed" | "fresh",
    readonly ready: Ready,
  ) {
    super(type);
  }
}

/** `close`: there is none any more. */
export class CloseEvent extends Event {
  constructor(
    readonly code: number,
    readonly reason: string,
    /** ms to the next try, or `undefined` where there will be none. */
    readonly retryIn: number | undefined,
  ) {
    super("close");
  }
}

/** The event of a type: every opcode is a type of its own. */
export type EventOf<T extends string> = T extends "ready" | "resumed" | "fresh" ? ReadyEvent : T extends "close" ? CloseEvent : PushEvent;

/** An `EventTarget` that knows its events. */
export interface HubEventTarget {
  addEventListener<T extends string>(
    type: T,
    listener: (event: EventOf<T>) => void,
    options?: { once?: boolean; signal?: unknown } | boolean,
  ): void;
  removeEventListener<T extends string>(type: T, listener: (event: EventOf<T>) => void): void;
  dispatchEvent(event: Event): boolean;
}

const TypedEventTarget = EventTarget as unknown as new () => HubEventTarget;

/** A client of the hub, page or backend: one surface over any wire. It reconnects by itself until it is closed. */
export class HubClient extends TypedEventTarget {
  /** This peer's address: give it to the backend that is to report here. Changes when it is a new page (`fresh`). */
  uuid = "";
  /** True between `ready` and `close`. */
  connected = false;
  /** What the hub said last when it was `ready`. */
  ready: Ready | undefined;
  #wire: Wire | undefined;
  #farewell: Close | undefined;
  #over = false;
  #retry: unknown;
  /** Runs while something is expected of the hub that a living one does soon. */
  #impatient: unknown;
  #readyAt = 0;
  #answersBefore = 0;
  /** Calls for pushes that came before whoever waits for `connect` could listen. */
  #early: (() => void)[] | undefined = [];
  /** While there is no connection: what is sent waits, for the hub may be holding this page. */
  #waits = false;
  #giveUp: unknown;
  #grace = 0;
  /** When something was last heard of the hub, and the look whether that is long ago. */
  #heardAt = 0;
  #liveness: unknown;
  readonly #dialog: ClientDialog;
  readonly #backoff = new Backoff(Math.random);

  /** @param restored what a page before a reload left behind, if anything */
  constructor(
    private readonly openWire: OpenWire,
    private readonly hello: () => object | Promise<object>,
    restored?: Snapshot,
  ) {
    super();
    this.#dialog = new ClientDialog({
      ready: (ready) => this.#onReady(ready),
      push: (packet) => this.#onPush(packet),
      farewell: (close) => {
        this.#farewell = close;
      },
    });
    if (restored) this.#dialog.restore(restored);
    this.#open();
  }

  /** What takes this page up again, for who loads it anew; a secret. */
  get snapshot(): Snapshot | undefined {
    return this.#over ? undefined : this.#dialog.snapshot;
  }

  /** False once the hub cannot be holding this page any more: if it returns it will be a new one. */
  get mayResume(): boolean {
    return !this.#over && (this.connected || this.#waits);
  }

  /**
   * Sends a message and settles with its `next`: what became of it. While the connection is gone and the page can be
   * taken up again it waits. Rejects with `RefusedError` where the hub refused it, with `ClosedError` where there is no
   * connection, or it ended for good before the answer came; never hangs.
   */
  send(packet: Packet): Promise<Outcome> {
    if (CREDIT_FREE.has(packet.opcode)) {
      return Promise.reject(new TypeError(`\`${packet.opcode}\` has no answer to wait for: use \`say\`.`));
    }
    // Who sends has said what it wants to hear: an answer must not overtake what came before it.
    this.#listenersAreThere();
    if (this.mayResume) return this.#dialog.send(packet);
    return Promise.reject(new ClosedError(CLOSE.lost.code, "Not connected to the hub."));
  }

  /** Reports to the peers meant: a UUID, or `{uuid}`, `{ident}` or `{tags}`. The outcome is `sent` or `gone`. */
  feedback(to: string | Target, message: unknown, fields: MessageFields = {}): Promise<Outcome> {
    const target = typeof to === "string" ? { uuid: to } : to;
    return this.send({ ...fields, ...target, message, opcode: "feedback" });
  }

  /** Tells all pages, or those on `resource` or with all `tags`. */
  broadcast(message: unknown, fields: MessageFields & { resource?: string; tags?: Tags } = {}): Promise<Outcome> {
    return this.send({ ...fields, message, opcode: "broadcast" });
  }

  /** Says what needs no credit and has no answer, such as `cancel`. Lost where there is no connection. */
  say(packet: Packet): void {
    if (!CREDIT_FREE.has(packet.opcode)) throw new TypeError(`\`${packet.opcode}\` is answered: use \`send\`.`);
    if (this.mayResume) this.#dialog.say(packet);
  }

  /** Tries to connect at once instead of waiting for the pause to end: the network is back, the page is looked at. */
  retryNow(): void {
    if (this.#retry === undefined || this.#over) return;
    clearTimeout(this.#retry);
    this.#open();
  }

  /** Ends the connection for good. What was sent before is still answered. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#giveUp);
    this.#waits = false;
    if (this.connected) {
      this.#dialog.quit();
      this.#lastCall();
    } else {
      clearTimeout(this.#impatient);
      this.#wire?.close();
      this.#dialog.abandon(CLOSE.normal.code, "The client was closed.");
    }
  }

  /** A hub that has vanished does not answer `quit`: after a while without progress the wire is closed all the same. */
  #lastCall(before = -1): void {
    const left = this.#dialog.unanswered;
    if (left === before) this.#wire?.close();
    else this.#impatient = setTimeout(() => this.#lastCall(left), LAST_CALL);
  }

  #open(): void {
    this.#retry = undefined;
    this.#farewell = undefined;
    clearTimeout(this.#impatient);
    this.#impatient = setTimeout(() => this.#lose(`The hub did not say ready within ${HANDSHAKE} ms.`), HANDSHAKE);
    const wire = this.openWire({
      open: () => void this.#sayHello(wire),
      text: (text) => this.#hear(wire, text),
      closed: (code, reason) => this.#wire === wire && this.#closed(code, reason),
    });
    this.#wire = wire;
  }

  /** What comes on a wire that was given up is not for this page any more. */
  #hear(wire: Wire, text: string): void {
    if (this.#wire !== wire) return;
    this.#heardAt = Date.now();
    this.#dialog.receive(text);
  }

  /** Whatever the network says: nobody is there. The wire is left without a goodbye, so that the hub holds the page. */
  #lose(reason: string): void {
    const wire = this.#wire;
    this.#wire = undefined;
    wire?.close(CLOSE["given-up"].code);
    this.#closed(CLOSE.lost.code, reason);
  }

  /** A network can be gone without a word; a living hub is heard of with each of its heartbeats [RES-12]. */
  #watch(heartbeat: number): void {
    const silence = HEARTBEATS * heartbeat;
    this.#liveness = setTimeout(() => {
      if (Date.now() - this.#heardAt > silence) this.#lose(`Nothing was heard of the hub for ${silence} ms.`);
      else this.#watch(heartbeat);
    }, heartbeat);
  }

  /** A token that cannot be had is like a connection that cannot: it is tried again. */
  async #sayHello(wire: Wire): Promise<void> {
    try {
      const hello = await this.hello();
      if (this.#wire === wire) this.#dialog.open(wire, hello);
    } catch (error) {
      if (this.#wire !== wire) return;
      // Whose code this is may reject with anything, or with nothing.
      const why = error instanceof Error ? error.message : String(error);
      this.#farewell = { opcode: "close", code: CLOSE.lost.code, error: `No token: ${why}` };
      wire.close();
    }
  }

  #onReady(ready: Ready): void {
    const again = this.uuid !== "";
    clearTimeout(this.#giveUp);
    this.#giveUp = undefined;
    this.#waits = false;
    this.ready = ready;
    if (ready.heartbeat) this.#watch(ready.heartbeat);
    this.#readyAt = Date.now();
    this.#answersBefore = this.#dialog.answers;
    this.#grace = ready.grace ?? 0;
    this.uuid = ready.uuid;
    this.connected = true;
    clearTimeout(this.#impatient);
    if (!again) setTimeout(() => this.#listenersAreThere(), 0);
    this.dispatchEvent(new ReadyEvent("ready", ready));
    const which = ready.resumed ? "resumed" : again || ready.reason ? "fresh" : undefined;
    if (which) this.#whenHeard(() => this.dispatchEvent(new ReadyEvent(which, ready)));
  }

  /** What comes before anybody could listen waits for that. */
  #whenHeard(dispatch: () => void): void {
    if (this.#early) this.#early.push(dispatch);
    else dispatch();
  }

  #listenersAreThere(): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const dispatch of early) dispatch();
  }

  #onPush(packet: Packet): Promise<unknown> | undefined {
    const early = this.#early;
    if (early === undefined) return this.#dispatchPush(packet);
    return new Promise((resolve) => early.push(() => resolve(this.#dispatchPush(packet))));
  }

  /** Who this is is not known for much longer: a token provider is asked for another one [AUTH-5]. Without one the hub closes when it is over. */
  async #refresh(): Promise<void> {
    const { token } = (await this.hello()) as { token?: string };
    if (token) await this.send({ opcode: "token", token });
  }

  /** @returns what settles when all that its listeners wait for has */
  #dispatchPush(packet: Packet): Promise<unknown> | undefined {
    if (packet.opcode === "expiring") this.#refresh().catch(() => {});
    const say = (reply: Packet): void => this.say(reply);
    const waits: Promise<unknown>[] = [];
    this.dispatchEvent(new PushEvent("message", packet, say, waits));
    if (packet.opcode !== "message") this.dispatchEvent(new PushEvent(packet.opcode, packet, say, waits));
    return waits.length > 0 ? Promise.allSettled(waits) : undefined;
  }

  #closed(wireCode: number, wireReason: string): void {
    // The packet says it better than the frame, and a TCP wire has no frame.
    const code = this.#farewell?.code ?? wireCode;
    const reason = this.#farewell?.error ?? (wireReason || "The connection to the hub ended.");
    // Only a connection that was of use, or has stood for a while, shows that all is well again.
    const useful = this.#dialog.answers > this.#answersBefore || Date.now() - this.#readyAt > STABLE;
    if (this.connected && useful) this.#backoff.reset();
    this.connected = false;
    this.#wire = undefined;
    clearTimeout(this.#impatient);
    clearTimeout(this.#liveness);
    if (!this.#over && !mayReconnect(code)) this.#over = true;
    const retryIn = this.#over ? undefined : this.#backoff.next();
    this.#dialog.closed(code, reason);
    if (retryIn === undefined) this.#dialog.abandon(code, reason);
    else this.#waitToReturn(retryIn, code, reason);
    this.dispatchEvent(new CloseEvent(code, reason, retryIn));
  }

  /** Tries again after a pause; what waits is given up when the hub cannot be holding this page any more. */
  #waitToReturn(retryIn: number, code: number, reason: string): void {
    this.#retry = setTimeout(() => this.#open(), retryIn);
    if (this.#giveUp !== undefined) {
      if (this.#giveUp === DUE) this.#stopWaiting(code, reason);
      return;
    }
    if (this.#dialog.snapshot === undefined || this.#grace === 0) return;
    this.#waits = true;
    this.#giveUp = setTimeout(() => {
      // While a hello is out the hub decides: it may have noticed the drop later.
      if (this.#wire !== undefined) this.#giveUp = DUE;
      else this.#stopWaiting(code, reason);
    }, this.#grace);
  }

  #stopWaiting(code: number, reason: string): void {
    if (!this.#waits) return;
    this.#waits = false;
    this.#dialog.giveUp(code, reason);
  }
}

/** What a client says of itself, asked for anew at each connection. */
export function helloOf({ window = WINDOW, ident, tags, token }: ClientOptions, more?: object): () => Promise<object> {
  return async () => ({ window, ident, tags, token: typeof token === "function" ? await token() : token, ...more });
}

/** A browser does not tell its page why a handshake was refused, and a hub tells it only who is not logged in [AUTH-9]. */
const HINT = " Is it running, and is this page's origin one of its `origins`? Its log says.";

/** Settles when the client is ready; rejects where the hub will not have it, or does not answer in time. */
export function untilReady<C extends HubClient>(client: C, { connectTimeout = CONNECT_TIMEOUT }: ClientOptions): Promise<C> {
  return new Promise((resolve, reject) => {
    let last = "nothing was heard of it.";
    const timer =
      connectTimeout > 0
        ? setTimeout(() => fail(CLOSE.lost.code, `No connection to the hub within ${connectTimeout} ms: ${last}${HINT}`), connectTimeout)
        : undefined;
    const onReady = (): void => {
      settle();
      resolve(client);
    };
    const onClose = ({ code, reason, retryIn }: CloseEvent): void => {
      last = reason;
      if (retryIn === undefined) fail(code, reason);
    };
    function settle(): void {
      clearTimeout(timer);
      client.removeEventListener("ready", onReady);
      client.removeEventListener("close", onClose);
    }
    function fail(code: number, reason: string): void {
      settle();
      client.close();
      reject(new ClosedError(code, reason));
    }
    client.addEventListener("ready", onReady);
    client.addEventListener("close", onClose);
  });
}

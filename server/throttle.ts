import { Fault } from "../protocol/index.js";
import type { Clock } from "./clock.js";
import { TokenBucket } from "./token-bucket.js";

export interface RateLimits {
  /** Messages a second. */
  readonly maxRate: number;
  /** Bytes of them a second. */
  readonly maxByteRate: number;
  readonly maxMessage: number;
}

/** Who speaks. An object and no function: of each page there is one. */
export interface Throttled {
  /** It may speak again. */
  goOn(): void;
}

/** Seconds' worth that may come at once after a rest. */
const BURST = 2;
/** ms that a peer may owe with what cannot be made to wait. */
const MAX_DEBT = 10_000;

/**
 * How fast one peer may speak: above its rates its messages wait for their turn and it is not read, so that its `next` come at the rate it may have. What
 * needs no turn (`seen`) counts too, and ends the connection where it alone goes far beyond.
 */
export class Throttle {
  readonly #messages: TokenBucket;
  readonly #bytes: TokenBucket;
  #cancel: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly limits: RateLimits,
    private readonly speaker: Throttled,
  ) {
    const { maxRate, maxByteRate, maxMessage } = limits;
    this.#messages = new TokenBucket(maxRate, maxRate * BURST, clock.now());
    this.#bytes = new TokenBucket(maxByteRate, Math.max(maxByteRate * BURST, maxMessage), clock.now());
  }

  /** Has it to wait? Then it is told when it has not. */
  get waits(): boolean {
    const wait = this.#wait;
    if (wait > 0) this.#cancel ??= this.clock.after(wait, () => this.#over());
    return wait > 0;
  }

  count(bytes: number): void {
    const now = this.clock.now();
    this.#messages.take(1, now);
    this.#bytes.take(bytes, now);
  }

  /** What cannot be made to wait. @throws Fault `policy` */
  countUrgent(bytes: number): void {
    this.count(bytes);
    if (this.#wait <= MAX_DEBT) return;
    const { maxRate, maxByteRate } = this.limits;
    throw new Fault("policy", `Far more than \`maxRate\` ${maxRate} messages or \`maxByteRate\` ${maxByteRate} bytes a second came.`);
  }

  /** What it does should take its time: a second. */
  penalize(): void {
    this.#messages.take(this.limits.maxRate, this.clock.now());
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  get #wait(): number {
    const now = this.clock.now();
    return Math.max(this.#messages.wait(now), this.#bytes.wait(now));
  }

  #over(): void {
    this.#cancel = undefined;
    this.speaker.goOn();
  }
}

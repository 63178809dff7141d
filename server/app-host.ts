import type { Packet } from "../protocol/index.js";
import type { App, AppHub, Change, Handler, Log, Peer } from "./app.js";
import { shownError } from "./shown-error.js";

/** One app in the hub: calls its hooks so that nothing it throws hurts anybody else. */
export class AppHost {
  #peers = 0;

  constructor(
    readonly app: App,
    readonly name: string,
    private readonly hub: AppHub,
    private readonly log: Log,
  ) {}

  /** Throws what the handler throws; the connection answers it. */
  handle(handler: Handler, packet: Packet, peer: Peer): unknown {
    return handler.call(this.app, packet, peer, this.hub);
  }

  /** Throws what the app throws; whoever called gets it. */
  called(peer: Peer, message: unknown): unknown {
    return this.app.called?.(peer, message, this.hub);
  }

  status(): Readonly<Record<string, number>> | undefined {
    try {
      return this.app.status?.(this.hub);
    } catch (error) {
      this.failed(error, undefined, "status");
      return undefined;
    }
  }

  async start(): Promise<void> {
    await this.app.start?.(this.hub);
  }

  async stop(): Promise<void> {
    try {
      await this.app.stop?.(this.hub);
    } catch (error) {
      this.failed(error, undefined, "stop");
    }
  }

  opened(peer: Peer): void {
    if (this.#peers++ === 0) this.#hook("firstOpen", peer, () => this.app.firstOpen?.(this.hub));
    this.#hook("open", peer, () => this.app.open?.(peer, this.hub));
  }

  away(peer: Peer): void {
    this.#hook("away", peer, () => this.app.away?.(peer, this.hub));
  }

  back(peer: Peer, reloaded: boolean): void {
    this.#hook("back", peer, () => this.app.back?.(peer, this.hub, reloaded));
  }

  changed(changes: readonly Change[]): void {
    this.#hook("changed", undefined, () => this.app.changed?.(changes, this.hub));
  }

  closed(peer: Peer, why: string): void {
    this.#hook("close", peer, () => this.app.close?.(peer, why, this.hub));
    if (--this.#peers === 0) this.#hook("lastClose", peer, () => this.app.lastClose?.(this.hub));
  }

  /** Logs it, with the stack, and tells the app. */
  failed(error: unknown, peer: Peer | undefined, during: string): void {
    this.log.error("app.failed", { app: this.name, during, conn: peer?.id, ...shownError(error) });
    try {
      this.app.error?.(error, peer, this.hub);
    } catch (another) {
      this.log.error("app.failed", { app: this.name, during: "error", ...shownError(another) });
    }
  }

  /** A hook may be asynchronous without saying so. */
  #hook(name: string, peer: Peer | undefined, call: () => unknown): void {
    try {
      const value = call();
      if (value instanceof Promise) value.catch((error) => this.failed(error, peer, name));
    } catch (error) {
      this.failed(error, peer, name);
    }
  }
}

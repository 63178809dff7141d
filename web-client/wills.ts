import { type HubClient, type Outcome, RefusedError } from "../client/index.js";
import type { Packet } from "../protocol/index.js";

interface Change extends Packet {
  readonly key: string;
}

interface Will {
  /** What sets it again. */
  readonly packet: Change;
  /** How it was asked for, and how the hub has called it: a page that is new gets another name in the place of the `~`. */
  readonly names: Set<string>;
}

/** The keys that go with a page. The hub forgets them with the page; where that comes back as a new one they are set again. */
export class Wills {
  readonly #wills = new Map<string, Will>();

  constructor(private readonly hub: HubClient) {
    hub.addEventListener("fresh", () => {
      for (const [key, { packet }] of this.#wills)
        this.#set(packet).catch((error) => {
          // Somebody else has it now. Without a connection it is said at the next one.
          if (error instanceof RefusedError) this.#wills.delete(key);
        });
    });
  }

  /** What is rejected is not done later, so it is remembered when it is answered; what is not wanted any more is forgotten at once. */
  async change(change: Change & { readonly will?: boolean }): Promise<unknown> {
    const known = [...this.#wills.values()].find(({ names }) => names.has(change.key));
    const packet = { ...change, key: known?.packet.key ?? change.key };
    if (packet.will) return (await this.#set(packet)).result;
    this.#wills.delete(packet.key);
    try {
      const { result } = await this.hub.send(packet);
      this.#wills.delete(packet.key);
      return result;
    } catch (error) {
      if (known && error instanceof RefusedError && !this.#wills.has(packet.key)) this.#wills.set(packet.key, known);
      throw error;
    }
  }

  async #set(packet: Change): Promise<Outcome> {
    const { key } = packet;
    const outcome = await this.hub.send(packet);
    const { packet: before, names = new Set([key]) } = this.#wills.get(key) ?? {};
    // Who has asked for a version does not want to overwrite what others have set meanwhile.
    const careful = (packet.if ?? before?.if) !== undefined;
    this.#wills.set(key, { packet: { ...packet, if: careful ? 0 : undefined }, names });
    names.add((outcome.result as Change).key);
    return outcome;
  }
}

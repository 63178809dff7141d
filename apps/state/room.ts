import { type MaybePromise, quoted, Refusal, whenKnown } from "../../protocol/index.js";
import type { AppHub, Entry } from "../../server/app.js";
import type { Kept } from "./packets.js";

export interface RoomLimits {
  readonly maxKeys: number;
  /** Bytes of all keys and values. */
  readonly maxStateBytes: number;
}

/** How much state there is, as far as this hub has been told, and whether there is room for more. */
export class Room {
  #keys = 0;
  #bytes = 0;
  /** Until it has read what there is: what it was told of, which it may read as well. */
  #early: Map<string, Entry | undefined> | undefined = new Map();

  constructor(private readonly limits: RoomLimits) {}

  get status(): { keys: number; bytes: number } {
    return { keys: this.#keys, bytes: this.#bytes };
  }

  /** @param entries all there is */
  start(entries: ReadonlyMap<string, Entry>): void {
    const all = new Map<string, Entry | undefined>([...entries, ...(this.#early ?? [])]);
    this.#early = undefined;
    for (const [key, entry] of all) this.changed(key, undefined, entry);
  }

  changed(key: string, before: Entry | undefined, entry: Entry | undefined): void {
    if (this.#early) {
      this.#early.set(key, entry);
      return;
    }
    this.#keys += Number(entry !== undefined) - Number(before !== undefined);
    this.#bytes += sizeOf(entry) - sizeOf(before);
  }

  /** @throws Refusal `too-much-state` */
  check(key: string, { size }: Kept, hub: AppHub): MaybePromise<void> {
    const { maxKeys, maxStateBytes } = this.limits;
    if (this.#keys < maxKeys && this.#bytes + size <= maxStateBytes) return undefined;
    // What is there already may change.
    return whenKnown(hub.table.read({ keys: [key] }), (entries) => {
      const before = entries.get(key);
      if (before === undefined && this.#keys >= maxKeys)
        throw new Refusal("too-much-state", `Expected at most \`maxKeys\` ${maxKeys} keys, got another: ${quoted(key)}.`);
      if (this.#bytes + size - sizeOf(before) > maxStateBytes)
        throw new Refusal(
          "too-much-state",
          `Expected at most \`maxStateBytes\` ${maxStateBytes} bytes in all keys together, ${size} more came.`,
        );
    });
  }
}

const sizeOf = (entry: Entry | undefined): number => (entry?.value as Kept | undefined)?.size ?? 0;

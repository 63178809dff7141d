import { type Answer, done, type MaybePromise, Refusal, whenKnown } from "../../protocol/index.js";
import type { AppHub, Entry } from "../../server/app.js";
import { bare, MAX_PUBLIC_NAME } from "../keys/names.js";
import { type Kept, queryOf, shown } from "./packets.js";

/** Bytes of all values in one answer: half of what may wait for one peer. */
export const MAX_SNAPSHOT = 1_048_576;
/** Bytes that an entry takes in an answer beside its key and value: names of fields, version, owner. */
const BYTES_AN_ENTRY = 64 + MAX_PUBLIC_NAME;

/** What these patterns hold. @throws Refusal `too-much-state` */
export function read(patterns: readonly string[], hub: AppHub): MaybePromise<Answer> {
  return whenKnown(hub.table.read(queryOf(patterns)), snapshotOf);
}

/** The keys that go with their owners: who is there [STATE-7]. @throws Refusal `too-much-state` */
export function who(patterns: readonly string[], hub: AppHub): MaybePromise<Answer> {
  return whenKnown(hub.table.read(queryOf(patterns)), (entries) =>
    answerWith(entries, ({ value: kept, owner }) => {
      const { value, by, since } = kept as Kept;
      return owner === undefined ? undefined : { by, since, value };
    }),
  );
}

/** @throws Refusal `too-much-state` */
export function snapshotOf(entries: ReadonlyMap<string, Entry>): Answer {
  return answerWith(entries, ({ value, version }) => shown(value as Kept, version));
}

function answerWith(entries: ReadonlyMap<string, Entry>, about: (entry: Entry) => object | undefined): Answer {
  const result = bare<object>();
  let size = 0;
  for (const [key, entry] of entries) {
    const told = about(entry);
    if (told === undefined) continue;
    result[key] = told;
    size += (entry.value as Kept).size + BYTES_AN_ENTRY;
    if (size > MAX_SNAPSHOT)
      throw new Refusal(
        "too-much-state",
        `Expected keys of at most ${MAX_SNAPSHOT} bytes in one answer: ask for fewer, with longer prefixes.`,
      );
  }
  return done(result);
}

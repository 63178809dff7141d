import { type Answer, done, type MaybePromise, Refusal, whenKnown } from "../../protocol/index.js";
import type { AppHub, Entry } from "../../server/app.js";
import { bare, MAX_PUBLIC_NAME } from "../keys/names.js";
import { type Kept, queryOf, shown } from "./packets.js";

/** Bytes of all values in one answer: half of what may wait for one peer. */
export const MAX_SNAPSHOT = 1_048_576;
/** Bytes that an entry takes in an answer beside its key and value: names of fields, version, owner. */
const BYTES_AN_ENTRY = 64 + MAX_PUBLIC_NAME;
/** More can not be in one answer, so that no more need be read. */
export const MAX_ENTRIES = Math.ceil(MAX_SNAPSHOT / BYTES_AN_ENTRY) + 1;

/** What these patterns hold. @throws Refusal `too-much-state` */
export function read(patterns: readonly string[], hub: AppHub): MaybePromise<Answer> {
  return whenKnown(hub.table.read(queryOf(patterns, MAX_ENTRIES)), snapshotOf);
}

/** The keys that go with their owners: who is there [STATE-7]. @throws Refusal `too-much-state` */
export function who(patterns: readonly string[], hub: AppHub): MaybePromise<Answer> {
  return whenKnown(hub.table.read({ ...queryOf(patterns, MAX_ENTRIES), owned: true }), (entries) =>
    answerWith(entries, ({ value }) => {
      const { json, by, since } = value as Kept;
      return { by, since, value: JSON.parse(json) };
    }),
  );
}

/** @throws Refusal `too-much-state` */
export function snapshotOf(entries: ReadonlyMap<string, Entry>): Answer {
  return answerWith(entries, ({ value, version }) => shown(value as Kept, version));
}

function answerWith(entries: ReadonlyMap<string, Entry>, about: (entry: Entry) => object): Answer {
  const result = bare<object>();
  let size = 0;
  for (const [key, entry] of entries) {
    size += (entry.value as Kept).size + BYTES_AN_ENTRY;
    if (size > MAX_SNAPSHOT)
      throw new Refusal(
        "too-much-state",
        `Expected keys of at most ${MAX_SNAPSHOT} bytes in one answer: ask for fewer, with longer prefixes.`,
      );
    result[key] = about(entry);
  }
  return done(result);
}

import { RefusedError } from "../client/index.js";
import type { StateChange, StateValue } from "./state-change.js";

/** As much of a state as is used. */
interface Changing {
  readonly values: ReadonlyMap<string, StateValue>;
  addEventListener(type: "change", listener: (change: StateChange) => void, options: { signal: AbortSignal }): void;
}

type Result = IteratorResult<StateChange, void>;
const DONE: Result = { done: true, value: undefined };

/**
 * What the keys hold now, then each change; of each key only the newest. By hand: `return` of a generator that waits is not heard before the
 * next change.
 * @param over the state is closed; the reason says why
 */
export function changesOf(state: Changing, over: AbortSignal): AsyncIterableIterator<StateChange, void, undefined> {
  const waiting = new Map<string, StateChange>();
  const readers: ((result: Result | Promise<never>) => void)[] = [];
  const returned = new AbortController();
  const { signal } = returned;
  const serve = (): void => {
    for (const [key, value] of waiting) {
      if (readers.length === 0) return;
      waiting.delete(key);
      readers.shift()?.({ done: false, value });
    }
    if (readers.length === 0 || !(over.aborted || signal.aborted)) return;
    // It says so once.
    if (over.reason instanceof RefusedError && !signal.aborted) readers.shift()?.(Promise.reject(over.reason));
    returned.abort();
    for (const settle of readers.splice(0)) settle(DONE);
  };
  const note = ({ key, value, version, deleted, by }: StateChange): void => {
    waiting.set(key, { key, value, version, deleted, by });
    serve();
  };
  for (const [key, kept] of state.values) note({ key, deleted: false, ...kept });
  state.addEventListener("change", note, { signal });
  over.addEventListener("abort", serve, { signal });
  return {
    next: () =>
      new Promise((resolve) => {
        readers.push(resolve);
        serve();
      }),
    async return() {
      returned.abort();
      waiting.clear();
      serve();
      return DONE;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** A value, or a promise of it: what is known at once costs no promise. */
export type MaybePromise<T> = T | Promise<T>;

/** Can it be awaited? What a library returns is often no Promise. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}

/** Goes on with a value at once, with a promise when it has settled. Not called `then`: a module that exports that is taken for a promise. */
export function whenKnown<T, R>(value: MaybePromise<T>, go: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return value instanceof Promise ? value.then(go) : go(value);
}

/** The same, and where the work or what follows throws or rejects, `failed` is called before the error goes on. */
export function attempt<T, R>(work: () => MaybePromise<T>, go: (value: T) => MaybePromise<R>, failed: () => void): MaybePromise<R> {
  const undo = (error: unknown): never => {
    failed();
    throw error;
  };
  try {
    const result = whenKnown(work(), go);
    return result instanceof Promise ? result.catch(undo) : result;
  } catch (error) {
    return undo(error);
  }
}

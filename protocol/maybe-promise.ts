/** A value, or a promise of it: what is known at once costs no promise. */
export type MaybePromise<T> = T | Promise<T>;

/** Goes on with a value at once, with a promise when it has settled. Not called `then`: a module that exports that is taken for a promise. */
export function whenKnown<T, R>(value: MaybePromise<T>, go: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return value instanceof Promise ? value.then(go) : go(value);
}

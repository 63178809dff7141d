/** An `EventTarget` that knows its events. */
export interface EventTargetOf<T extends string, E extends Event> {
  addEventListener(type: T, listener: (event: E) => void, options?: { once?: boolean; signal?: unknown } | boolean): void;
  removeEventListener(type: T, listener: (event: E) => void): void;
  dispatchEvent(event: Event): boolean;
}

// What every JavaScript runtime has, browser or server (WinterTC's minimum common API), and no more than is used here.

declare class Event {
  constructor(type: string);
  readonly type: string;
}

declare class EventTarget {
  addEventListener(type: string, listener: (event: never) => void, options?: { once?: boolean; signal?: unknown } | boolean): void;
  removeEventListener(type: string, listener: (event: never) => void): void;
  dispatchEvent(event: Event): boolean;
}

declare function setTimeout(callback: () => void, ms: number): unknown;
declare function clearTimeout(timer: unknown): void;

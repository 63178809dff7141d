/** What a key holds. */
export interface StateValue {
  readonly value: unknown;
  /** Grows with each change of a key; give it as `if` to set only what has not moved on. */
  readonly version: number;
  /** Of a key that goes with its owner: the owner's name, or `somebody`. */
  readonly by?: string;
}

/** What has become of a key. */
export interface StateChange {
  readonly key: string;
  /** `undefined` where it is deleted. */
  readonly value: unknown;
  /** Of a deletion its own; 0 where nobody told of it and the key is not there any more. */
  readonly version: number;
  readonly deleted: boolean;
  readonly by?: string | undefined;
}

/** `change`: a key has another value, or none any more. */
export class StateEvent extends Event implements StateChange {
  declare readonly key: string;
  declare readonly value: unknown;
  declare readonly version: number;
  declare readonly deleted: boolean;
  declare readonly by: string | undefined;

  constructor(change: StateChange) {
    super("change");
    Object.assign(this, change);
  }
}

/** Whose an id is that somebody else has. */
export interface Holding {
  /** The holder's name, or `somebody`. */
  readonly by: string;
  /** ms since 1970, by the hub's clock. */
  readonly since: number;
  /** `reconnecting`: its page is away and may return. */
  readonly state: "held" | "reconnecting";
}

/** What is known of an id. */
export interface LockInfo extends Partial<Omit<Holding, "state">> {
  readonly state: "free" | "yours" | Holding["state"];
  /** Of `yours`: send it along with what you save, so that your backend can `check` it. */
  readonly fence?: number;
}

export type LockEventType = "change" | "lost";

/** `change`: something else is known of this id than before; `lost`: this page had it, has not given it back, and has it no more. */
export class LockEvent extends Event implements LockInfo {
  declare readonly state: LockInfo["state"];
  declare readonly by?: string;
  declare readonly since?: number;
  declare readonly fence?: number;

  constructor(
    type: LockEventType,
    readonly id: string,
    about: LockInfo,
  ) {
    super(type);
    Object.assign(this, about);
  }
}

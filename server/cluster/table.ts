/** What a key holds at present. */
export interface Entry {
  /** Any JSON. */
  readonly value: unknown;
  /**
   * When it was granted or set, from the one counter of the cluster: it only grows, also over restarts, for it is at least the
   * number of µs since 1970. Below 2^53 until the year 2255, so JSON keeps it.
   */
  readonly version: number;
  /** UUID of the peer whose it is, if it is anybody's. */
  readonly owner: string | undefined;
}

/** One step of a change. */
export type Step =
  /** Takes a key that holds nothing. One that this owner has stays as it is, with its version. */
  | { readonly do: "claim"; readonly key: string; readonly owner: string; readonly value: unknown }
  /** Another value for a key that this owner has; its version stays. */
  | { readonly do: "amend"; readonly key: string; readonly owner: string; readonly value: unknown }
  /** Gives back a key that this owner has. */
  | { readonly do: "free"; readonly key: string; readonly owner: string }
  /**
   * What somebody else owns stays, but for `force`. `if`: only while it has this version, 0: only where there is none. `owned`: it is its owner's and goes
   * with it, so it must be nobody's value yet.
   */
  | {
      readonly do: "set";
      readonly key: string;
      readonly by: string;
      readonly value: unknown;
      readonly owned?: boolean;
      readonly force?: boolean;
      readonly if?: number | undefined;
    }
  | { readonly do: "delete"; readonly key: string; readonly by: string; readonly force?: boolean; readonly if?: number | undefined }
  /** Takes it from whoever has it. */
  | { readonly do: "break"; readonly key: string };

/** What became of a step. */
export interface Done {
  readonly ok: boolean;
  /** What the key holds now, whoever's it is. */
  readonly entry: Entry | undefined;
}

/** What has happened to a key. */
export interface Change {
  readonly key: string;
  /** `undefined`: it holds nothing any more. */
  readonly entry: Entry | undefined;
  readonly before: Entry | undefined;
  /** That of the entry; of a deletion its own, from the same counter. */
  readonly version: number;
  /** Its owner has not given it back: it was broken, or the lease of its hub was over. */
  readonly taken: boolean;
}

/** Which keys to read: these, and all that begin with one of the prefixes; each is looked at once. */
export interface Query {
  readonly keys?: readonly string[];
  readonly prefixes?: readonly string[];
  /** Only those that somebody owns. */
  readonly owned?: boolean;
  /** Entries at the most: who gets so many knows that there may be more. Default: all. */
  readonly limit?: number;
}

/** What separates the parts of a key: keys with the same first part are found together. */
export const SEPARATORS = "/\0";

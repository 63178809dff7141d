import { SEPARATORS } from "./table.js";

/** Where the first part of a key ends, or -1: keys with the same first part are kept together. */
export function endOfGroup(key: string): number {
  for (let i = 0; i < key.length; i++) if (SEPARATORS.includes(key.charAt(i))) return i;
  return -1;
}

/** Some prefixes, of which none begins with another: whether a key fits is known after a few comparisons, however many there are. */
export class Prefixes {
  readonly #sorted: readonly string[];
  /** Does one of them end within the first part of a key? */
  readonly open: boolean;
  /** The first parts of those that go beyond it, but for what an open one covers. */
  readonly groups: ReadonlySet<string>;

  constructor(prefixes: readonly string[]) {
    const disjoint: string[] = [];
    for (const prefix of [...prefixes].sort(byUnits)) {
      const last = disjoint.at(-1);
      if (last === undefined || !prefix.startsWith(last)) disjoint.push(prefix);
    }
    this.#sorted = disjoint;
    this.open = disjoint.some((prefix) => endOfGroup(prefix) === -1);
    this.groups = new Set(disjoint.filter((prefix) => endOfGroup(prefix) !== -1).map((prefix) => prefix.slice(0, endOfGroup(prefix))));
  }

  /** Only the greatest prefix that is not behind the key can be its beginning. */
  fit(key: string): boolean {
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#sorted[middle] as string) <= key) low = middle + 1;
      else high = middle;
    }
    return low > 0 && key.startsWith(this.#sorted[low - 1] as string);
  }
}

/** As `<` compares them. */
const byUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** How many of something each of many has, at the most `max`. */
export class Tally {
  readonly #counts = new Map<string, number>();

  constructor(private readonly max: number) {}

  isFull(name: string): boolean {
    return (this.#counts.get(name) ?? 0) >= this.max;
  }

  /** @returns false where it has as many as it may have */
  enter(name: string): boolean {
    if (this.isFull(name)) return false;
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    return true;
  }

  leave(name: string): void {
    const count = (this.#counts.get(name) ?? 0) - 1;
    if (count > 0) this.#counts.set(name, count);
    else this.#counts.delete(name);
  }
}

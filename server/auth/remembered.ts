/** Answers at most; then the oldest goes. Each is a user, a few hundred bytes. */
const MAX_ANSWERS = 10_000;

/** Answers to questions, kept for a while; and who asks what is being asked just now waits for that answer. Failures are not kept. */
export class Remembered<Answer> {
  readonly #answers = new Map<string, { readonly answer: Answer; readonly at: number }>();
  readonly #underWay = new Map<string, Promise<Answer>>();

  /** @param keepFor for how many ms an answer is kept; 0: not at all */
  constructor(
    private readonly keepFor: (answer: Answer) => number,
    private readonly max = MAX_ANSWERS,
  ) {}

  find(key: string): Answer | undefined {
    const found = this.#answers.get(key);
    if (found === undefined) return undefined;
    const age = Date.now() - found.at;
    // Below 0 somebody has set the clock back: nobody knows how old it is.
    return age >= 0 && age < this.keepFor(found.answer) ? found.answer : undefined;
  }

  /** Asks, whatever is remembered; what is answered takes its place. */
  ask(key: string, question: () => Promise<Answer>): Promise<Answer> {
    const underWay = this.#underWay.get(key);
    if (underWay !== undefined) return underWay;
    const asked = question()
      .then((answer) => {
        if (this.keepFor(answer) > 0) this.#keep(key, answer);
        return answer;
      })
      .finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, asked);
    return asked;
  }

  #keep(key: string, answer: Answer): void {
    // Behind all the others: the order of a Map is that of the first time.
    this.#answers.delete(key);
    this.#answers.set(key, { answer, at: Date.now() });
    if (this.#answers.size > this.max) this.#answers.delete(this.#answers.keys().next().value as string);
  }
}

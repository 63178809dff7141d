import type { Arena } from "../arena.js";
import type { ServerProcess } from "../server-process.js";
import { median } from "../statistics.js";

/** All rounds of one server. */
export interface Series<R> {
  readonly name: string;
  readonly rounds: readonly R[];
}

/**
 * Lets the servers take turns, round by round, after one round to warm up: what else the machine does then hits all of
 * them, and a ratio of neighbours hardly shows it.
 */
export async function inTurns<S extends { server: ServerProcess }, R>(
  arena: Arena,
  stages: readonly S[],
  rounds: number,
  run: (stage: S) => Promise<R>,
): Promise<Series<R>[]> {
  const series = stages.map((stage) => ({ stage, name: stage.server.contender.name, rounds: [] as R[] }));
  for (let round = 0; round <= rounds; round++) {
    for (const each of series) {
      arena.progress(`${each.name}, ${round === 0 ? "warm-up" : `round ${round} of ${rounds}`}`);
      const result = await run(each.stage);
      if (round > 0) each.rounds.push(result);
    }
  }
  return series;
}

/** One server's figure divided by another's, for each round. */
export function ratios<R>(series: readonly Series<R>[], name: string, base: string, figure: (round: R) => number): number[] {
  const numerator = roundsOf(series, name);
  const denominator = roundsOf(series, base);
  return numerator.map((round, index) => figure(round) / figure(denominator[index] as R));
}

/** Median, least and most, as text. */
export function spread(values: readonly number[], digits: number): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return `${median(values).toFixed(digits)} (${least.toFixed(digits)} to ${most.toFixed(digits)})`;
}

function roundsOf<R>(series: readonly Series<R>[], name: string): readonly R[] {
  const found = series.find((each) => each.name === name);
  if (found === undefined) throw new Error(`${name} did not take part.`);
  return found.rounds;
}

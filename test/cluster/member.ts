import { Refusal } from "../../protocol/index.js";
import type { MaybePromise } from "../../server/app.js";
import type { Clock } from "../../server/clock.js";
import { type Address, type Called, type Cluster, type Member, NOBODY, type Reach } from "../../server/cluster/cluster.js";
import type { Change } from "../../server/cluster/table.js";
import type { Frame } from "../../server/frame.js";
import { TestClock } from "../support/clock.js";

/** A hub as the cluster sees it: owns UUIDs and pages, notes what it was given. */
export class TestMember implements Member {
  readonly given: string[] = [];
  readonly lease = 10_000;
  /** What it was told of all tables, call by call. */
  readonly batches: { readonly table: string; readonly changes: readonly Change[] }[] = [];

  constructor(
    readonly id: string,
    private readonly uuids: readonly string[],
  ) {}

  /** What it was told of one table. */
  told(table: string): Change[] {
    return this.batches.filter((batch) => batch.table === table).flatMap(({ changes }) => changes);
  }

  deliver(to: Address, frame: Frame): Reach {
    this.given.push(frame.text);
    if ("uuid" in to) return { ...NOBODY, sent: this.uuids.includes(to.uuid) ? 1 : 0, deaf: to.uuid === `deaf-${this.id}` ? 1 : 0 };
    return { ...NOBODY, sent: this.uuids.length };
  }

  call(uuid: string, app: string, message: unknown): MaybePromise<Called> | undefined {
    if (!this.uuids.includes(uuid)) return undefined;
    this.given.push(JSON.stringify({ uuid, app, message }));
    if (message === "refuse") throw new Refusal("no", "Not today.");
    if (message === "nothing") return { value: undefined };
    return { value: { by: this.id, message } };
  }

  changed(table: string, changes: readonly Change[]): void {
    this.batches.push({ table, changes });
  }
}

/** An implementation of which two members use one each, that goes by this clock. */
export type CreateClusters = (clock: Clock) => Promise<{ clusters: readonly [Cluster, Cluster]; close(): Promise<void> }>;

export interface Two {
  readonly a: Cluster;
  readonly b: Cluster;
  readonly one: TestMember;
  readonly two: TestMember;
  readonly clock: TestClock;
}

/** Two members, each with a page of its own. */
export async function withTwo(create: CreateClusters, run: (two: Two) => Promise<void>): Promise<void> {
  const clock = new TestClock();
  const { clusters, close } = await create(clock);
  const [a, b] = clusters;
  const [one, two] = [new TestMember("1", ["page-1"]), new TestMember("2", ["page-2", "page-3"])];
  await a.join(one);
  await b.join(two);
  try {
    await run({ a, b, one, two, clock });
  } finally {
    await a.leave(one);
    await b.leave(two);
    await close();
  }
}

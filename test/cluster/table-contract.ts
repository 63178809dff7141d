import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Change, Done, Entry, Query, Step } from "../../server/cluster/table.js";
import { type CreateClusters, type TestMember, type Two, withTwo } from "./member.js";

const TABLE = "table";
/** Of pages of the one and the other member. */
const ANNA = "page-1";
const BEN = "page-2";

/** As all implementations have it: what they keep beside is their own affair. */
const entryOf = (entry: Entry | undefined): Entry | undefined =>
  entry && { value: entry.value, version: entry.version, owner: entry.owner };
const doneOf = ({ ok, entry }: Done): Done => ({ ok, entry: entryOf(entry) });
const changeOf = ({ key, entry, before, version, taken }: Change): Change => {
  return { key, entry: entryOf(entry), before: entryOf(before), version, taken };
};

const claim = (key: string, owner = ANNA, value: unknown = "claimed"): Step => ({ do: "claim", key, owner, value });
const set = (key: string, value: unknown = "set", more: { by?: string; owned?: boolean; force?: boolean; if?: number } = {}): Step => {
  return { do: "set", key, by: ANNA, value, ...more };
};
const remove = (key: string, more: { by?: string; force?: boolean; if?: number } = {}): Step => ({ do: "delete", key, by: ANNA, ...more });
const free = (key: string, owner = ANNA): Step => ({ do: "free", key, owner });

/** One implementation between two members, as short as the tests are. */
class Tables {
  constructor(private readonly two: Two) {}

  /** Through the first member. */
  async change(steps: readonly Step[], all?: boolean, table = TABLE): Promise<readonly Done[]> {
    return (await this.two.a.change(this.two.one, table, steps, all)).map(doneOf);
  }

  async there(steps: readonly Step[], all?: boolean, table = TABLE): Promise<readonly Done[]> {
    return (await this.two.b.change(this.two.two, table, steps, all)).map(doneOf);
  }

  async only(step: Step): Promise<Done> {
    const [done] = await this.change([step]);
    return done as Done;
  }

  async onlyThere(step: Step): Promise<Done> {
    const [done] = await this.there([step]);
    return done as Done;
  }

  async read(query: Query = { prefixes: [""] }, table = TABLE): Promise<Record<string, unknown>> {
    return valuesOf(await this.two.a.read(this.two.one, table, query));
  }

  async entry(key: string): Promise<Entry | undefined> {
    return entryOf((await this.two.a.read(this.two.one, TABLE, { keys: [key] })).get(key));
  }

  /** Whoever has been told of a change of its own has been told of all before. */
  async allTold(): Promise<void> {
    await this.change([set("the last", 1)]);
    await this.there([set("the last", 2)]);
    await this.change([remove("the last")]);
    await this.there([remove("the last")]);
  }
}

const valuesOf = (entries: ReadonlyMap<string, Entry>): Record<string, unknown> =>
  Object.fromEntries(Array.from(entries, ([key, { value }]) => [key, value]));

const toldOf = (member: TestMember): Change[] =>
  member
    .told(TABLE)
    .filter(({ key }) => key !== "the last")
    .map(changeOf);

/** What is there, for whoever has been told of these. */
function fold(changes: readonly Change[]): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const { key, entry } of changes) {
    if (entry) values[key] = entry.value;
    else delete values[key];
  }
  return values;
}

/** What any `Cluster` promises of its tables. */
export function tableContract(name: string, create: CreateClusters): void {
  const rule = (title: string, run: (tables: Tables, two: Two) => Promise<void>): void => {
    test(title, () => withTwo(create, (two) => run(new Tables(two), two)));
  };

  describe(`the contract of the tables, steps: ${name}`, () => {
    rule("claim takes what holds nothing; its owner has it already, unchanged; nobody else gets it", async (tables, { one }) => {
      const first = await tables.only(claim("k", ANNA, 1));
      assert.equal(first.ok, true);
      assert.deepEqual({ ...first.entry, version: 0 }, { value: 1, version: 0, owner: ANNA });
      assert.deepEqual(await tables.only(claim("k", ANNA, 2)), first);
      assert.deepEqual(await tables.onlyThere(claim("k", BEN, 3)), { ok: false, entry: first.entry });
      assert.equal(toldOf(one).length, 1);
    });

    rule("amend changes the value for its owner alone, and keeps the version", async (tables, { one }) => {
      const { entry } = await tables.only(claim("k", ANNA, 1));
      assert.deepEqual(await tables.onlyThere({ do: "amend", key: "k", owner: BEN, value: 2 }), { ok: false, entry });
      assert.deepEqual(await tables.only({ do: "amend", key: "none", owner: ANNA, value: 2 }), { ok: false, entry: undefined });
      assert.deepEqual(await tables.only({ do: "amend", key: "k", owner: ANNA, value: 3 }), { ok: true, entry: { ...entry, value: 3 } });
      const version = entry?.version;
      assert.deepEqual(toldOf(one).at(-1), { key: "k", before: entry, entry: { ...entry, value: 3 }, version, taken: false });
    });

    rule("free gives back what this owner has, and nothing else", async (tables, { one }) => {
      const { entry } = await tables.only(claim("k"));
      assert.deepEqual(await tables.onlyThere(free("k", BEN)), { ok: false, entry });
      assert.deepEqual(await tables.only(free("none")), { ok: false, entry: undefined });
      assert.deepEqual(await tables.only(free("k")), { ok: true, entry: undefined });
      const last = toldOf(one).at(-1) as Change;
      assert.deepEqual(last, { key: "k", before: entry, entry: undefined, version: last.version, taken: false });
    });

    rule("free leaves what nobody owns", async (tables) => {
      const { entry } = await tables.only(set("k"));
      assert.deepEqual(await tables.only(free("k")), { ok: false, entry });
    });

    rule("set gives a value and a version; anybody may set what nobody owns, and claim nothing of it", async (tables) => {
      const first = await tables.only(set("k", { deep: ["ä", null] }));
      assert.equal(first.ok, true);
      assert.deepEqual({ ...first.entry, version: 0 }, { value: { deep: ["ä", null] }, version: 0, owner: undefined });
      const second = await tables.onlyThere(set("k", 2, { by: BEN }));
      assert.ok(second.ok && (second.entry as Entry).version > (first.entry as Entry).version);
      assert.deepEqual(await tables.only(claim("k")), { ok: false, entry: second.entry });
    });

    rule("what is owned is set and deleted by its owner alone, who may let go of it", async (tables) => {
      const mine = await tables.only(set("k", 1, { owned: true }));
      assert.equal(mine.entry?.owner, ANNA);
      assert.deepEqual(await tables.onlyThere(set("k", 2, { by: BEN })), { ok: false, entry: mine.entry });
      assert.deepEqual(await tables.onlyThere(set("k", 2, { by: BEN, if: mine.entry?.version as number })), {
        ok: false,
        entry: mine.entry,
      });
      assert.deepEqual(await tables.onlyThere(remove("k", { by: BEN })), { ok: false, entry: mine.entry });
      const open = await tables.only(set("k", 3));
      assert.equal(open.entry?.owner, undefined);
      // Nobody makes his own what is there for all.
      assert.deepEqual(await tables.onlyThere(set("k", 4, { by: BEN, owned: true })), { ok: false, entry: open.entry });
      assert.equal((await tables.onlyThere(remove("k", { by: BEN }))).ok, true);
      assert.equal((await tables.onlyThere(set("k", 4, { by: BEN, owned: true }))).entry?.owner, BEN);
      assert.equal((await tables.only(remove("k"))).ok, false);
      assert.deepEqual(await tables.onlyThere(remove("k", { by: BEN })), { ok: true, entry: undefined });
    });

    rule("with force what is owned is set and deleted too, and has not been taken", async (tables) => {
      await tables.onlyThere(set("k", 1, { by: BEN, owned: true }));
      assert.equal((await tables.only(set("k", 2, { force: true }))).entry?.owner, undefined);
      await tables.onlyThere(set("j", 1, { by: BEN, owned: true }));
      assert.deepEqual(await tables.only(remove("j", { force: true })), { ok: true, entry: undefined });
    });

    rule("if: it is done only where the key has this version; 0 is where there is none", async (tables) => {
      assert.deepEqual(await tables.only(set("k", 1, { if: 7 })), { ok: false, entry: undefined });
      const first = await tables.only(set("k", 1, { if: 0 }));
      assert.equal(first.ok, true);
      assert.deepEqual(await tables.only(set("k", 2, { if: 0 })), { ok: false, entry: first.entry });
      const second = await tables.onlyThere(set("k", 2, { if: first.entry?.version as number }));
      assert.equal(second.ok, true);
      assert.deepEqual(await tables.only(set("k", 3, { if: first.entry?.version as number })), { ok: false, entry: second.entry });
      assert.deepEqual(await tables.only(remove("k", { if: first.entry?.version as number })), { ok: false, entry: second.entry });
      assert.deepEqual(await tables.only(remove("k", { if: second.entry?.version as number })), { ok: true, entry: undefined });
    });

    rule("delete of what is not there is done, and told to nobody", async (tables, { one }) => {
      assert.deepEqual(await tables.only(remove("k")), { ok: true, entry: undefined });
      assert.deepEqual(await tables.only(remove("k", { if: 0 })), { ok: true, entry: undefined });
      assert.deepEqual(toldOf(one), []);
    });

    rule("break takes it from whoever has it, through whichever member", async (tables, { one, two }) => {
      const { entry } = await tables.only(claim("k"));
      assert.deepEqual(await tables.onlyThere({ do: "break", key: "k" }), { ok: true, entry: undefined });
      assert.deepEqual(await tables.onlyThere({ do: "break", key: "k" }), { ok: false, entry: undefined });
      await tables.allTold();
      for (const member of [one, two]) {
        const last = toldOf(member).at(-1) as Change;
        assert.deepEqual(last, { key: "k", before: entry, entry: undefined, version: last.version, taken: true });
      }
    });
  });

  describe(`the contract of the tables, changes: ${name}`, () => {
    rule(
      "the steps of one change happen in their order, each seeing those before it, and are told at once",
      async (tables, { one, two }) => {
        const made = await tables.change([claim("k"), free("k"), set("k", 1, { if: 0 }), claim("k"), set("other")]);
        assert.deepEqual(
          made.map(({ ok }) => ok),
          [true, true, true, false, true],
        );
        await tables.allTold();
        for (const { batches } of [one, two])
          assert.deepEqual(
            batches[0]?.changes.map(({ key }) => key),
            ["k", "k", "k", "other"],
          );
      },
    );

    rule("all: nothing happens unless every step can; what could have been is said", async (tables, { one }) => {
      const { entry } = await tables.onlyThere(claim("b", BEN));
      const before = toldOf(one).length;
      assert.deepEqual(await tables.change([claim("a"), claim("b"), claim("c")], true), [
        { ok: true, entry: undefined },
        { ok: false, entry },
        { ok: true, entry: undefined },
      ]);
      assert.deepEqual(await tables.read(), { b: "claimed" });
      assert.equal(toldOf(one).length, before);
      const made = await tables.change([claim("a"), claim("b"), claim("c")]);
      assert.deepEqual(
        made.map(({ ok }) => ok),
        [true, false, true],
        "without it what can be done is done",
      );
    });

    rule("all: where every step can, every step is done", async (tables) => {
      const made = await tables.change([claim("a"), set("b", 2), claim("c")], true);
      assert.deepEqual(
        made.map(({ ok, entry }) => [ok, entry?.value]),
        [
          [true, "claimed"],
          [true, 2],
          [true, "claimed"],
        ],
      );
    });

    rule("nobody gets in between: of two who want all of the same, one has all", async (tables) => {
      const keys = ["a", "b", "c", "d"];
      for (let round = 0; round < 20; round++) {
        const [anna, ben] = await Promise.all([
          tables.change(
            keys.map((key) => claim(key)),
            true,
          ),
          tables.there(
            [...keys].reverse().map((key) => claim(key, BEN)),
            true,
          ),
        ]);
        const has = [anna, ben].map((made) => made.every(({ ok }) => ok));
        assert.equal(has.filter((each) => each).length, 1);
        const winner = has[0] ? ANNA : BEN;
        const owners = await Promise.all(keys.map(async (key) => (await tables.entry(key))?.owner));
        assert.deepEqual(
          owners,
          keys.map(() => winner),
        );
        await tables.change(keys.map((key) => free(key, winner)));
      }
    });

    rule("if is a compare-and-set: of many at once none is lost", async (tables) => {
      const add = async (change: (step: Step) => Promise<Done>): Promise<void> => {
        for (let done = false; !done; ) {
          const { value, version } = (await tables.entry("k")) ?? { value: 0, version: 0 };
          done = (await change(set("k", (value as number) + 1, { if: version }))).ok;
        }
      };
      const both = [(step: Step) => tables.only(step), (step: Step) => tables.onlyThere(step)];
      await Promise.all(Array.from({ length: 20 }, (_, i) => add(both[i % 2] as (step: Step) => Promise<Done>)));
      assert.equal((await tables.entry("k"))?.value, 20);
    });

    rule("all members are told of all changes in one order, and of their own before the change settles", async (tables, { one, two }) => {
      const toldOwn = async (member: TestMember, change: Promise<readonly Done[]>): Promise<void> => {
        const [made] = await change;
        assert.ok(member.told(TABLE).some(({ version }) => version === made?.entry?.version));
      };
      const changes = Array.from({ length: 100 }, (_, n) => [
        toldOwn(one, tables.change([set(`k${n % 7}`, n)])),
        toldOwn(two, tables.there([set(`k${n % 5}`, n, { by: BEN })])),
      ]);
      await Promise.all(changes.flat());
      await tables.allTold();
      assert.equal(toldOf(one).length, 200);
      assert.deepEqual(toldOf(two), toldOf(one));
      const last = new Map<string, Entry | undefined>();
      for (const { key, before, entry } of toldOf(one)) {
        assert.deepEqual(before, last.get(key), "a change begins where the one before has ended");
        last.set(key, entry);
      }
    });

    rule("versions only grow, over keys, tables and deletions, also where the wall clock is set back", async (tables, { one, clock }) => {
      const versions: number[] = [];
      const note = (entry: Entry | undefined): void => void versions.push(entry?.version as number);
      const start = clock.time() * 1_000;
      for (const back of [0, 3_600_000, -7_200_000, 1]) {
        clock.wall -= back;
        for (const table of [TABLE, "another"])
          for (const key of ["a", "b"]) note((await tables.change([set(key)], false, table))[0]?.entry);
        await tables.change([remove("a")]);
        versions.push(toldOf(one).at(-1)?.version as number);
      }
      assert.ok((versions[0] as number) >= start, "at least the µs since 1970");
      assert.ok(versions.every((version) => Number.isSafeInteger(version)));
      assert.deepEqual(
        versions,
        [...new Set(versions)].sort((x, y) => x - y),
      );
    });
  });

  describe(`the contract of the tables, reading: ${name}`, () => {
    const KEYS = ["books", "books/1", "books/2", "books/2/x", "bookshelf", "books\0 1", "maps/1", "m"];
    const queries: readonly (readonly [Query, readonly string[]])[] = [
      [{}, []],
      [{ keys: ["books", "none"] }, ["books"]],
      [{ prefixes: [""] }, KEYS],
      [{ prefixes: ["books"] }, ["books", "books/1", "books/2", "books/2/x", "bookshelf", "books\0 1"]],
      [{ prefixes: ["books/"] }, ["books/1", "books/2", "books/2/x"]],
      [{ prefixes: ["books\0"] }, ["books\0 1"]],
      [{ prefixes: ["books/2"] }, ["books/2", "books/2/x"]],
      [{ prefixes: ["m"] }, ["maps/1", "m"]],
      [{ prefixes: ["book"], keys: ["books", "m"] }, ["books", "books/1", "books/2", "books/2/x", "bookshelf", "books\0 1", "m"]],
      [{ prefixes: ["none", "books/1", "books/1"] }, ["books/1"]],
    ];

    rule("keys and prefixes find what they say, once, and nothing of another table", async (tables, { b, two }) => {
      await tables.change(KEYS.map((key) => set(key)));
      await tables.change([set("books/of another table")], false, "another");
      for (const [query, keys] of queries) {
        const found = [...(await b.read(two, TABLE, query)).keys()];
        assert.deepEqual(found.sort(), [...keys].sort(), JSON.stringify(query));
      }
      assert.deepEqual(await tables.read({ prefixes: [""] }, "of which nobody has heard"), {});
    });

    rule("what was deleted is not found any more, by no prefix", async (tables) => {
      await tables.change([set("a/1"), set("a/2"), set("b")]);
      await tables.change([remove("a/1"), remove("b")]);
      assert.deepEqual(await tables.read(), { "a/2": "set" });
      await tables.change([remove("a/2"), set("a/1", "again")]);
      assert.deepEqual(await tables.read({ prefixes: ["a/"] }), { "a/1": "again" });
    });

    rule("what is read is what the reader has been told until then", async (tables, { one }) => {
      for (let n = 0; n < 50; n++) {
        const from = one.told(TABLE).length;
        const [values] = await Promise.all([
          tables.read(),
          tables.there([set(`k${n % 3}`, n, { by: BEN })]),
          tables.change([set("k1", -n)]),
        ]);
        const told = one.told(TABLE);
        const moments = Array.from({ length: told.length - from + 1 }, (_, i) => JSON.stringify(sorted(fold(told.slice(0, from + i)))));
        assert.ok(moments.includes(JSON.stringify(sorted(values))));
      }
      assert.deepEqual(sorted(await tables.read()), sorted(fold(one.told(TABLE))));
    });
  });

  describe(`the contract of the tables, leases: ${name}`, () => {
    /** Two keys of each member's page, and one that is nobody's. */
    const fill = async (tables: Tables): Promise<void> => {
      await tables.change([claim("a1"), set("a2", 1, { owned: true }), set("free", 1)]);
      await tables.there([claim("b1", BEN), set("b2", 1, { by: BEN, owned: true })]);
      await tables.allTold();
    };
    const takenFrom = (member: TestMember): string[] =>
      toldOf(member)
        .filter(({ taken, entry }) => taken && entry === undefined)
        .map(({ key }) => key)
        .sort();

    rule("who leaves loses what its peers own; what is nobody's stays", async (tables, { b, two, one }) => {
      await fill(tables);
      await b.leave(two);
      assert.deepEqual(Object.keys(await tables.read()).sort(), ["a1", "a2", "free"]);
      assert.deepEqual(takenFrom(one), ["b1", "b2"]);
      await b.join(two);
      assert.equal((await tables.onlyThere(claim("b1", BEN))).ok, true);
    });

    for (const [what, sign] of [
      ["renew", ({ b, two }: Two) => b.renew(two)],
      ["read", ({ b, two }: Two) => b.read(two, "another", { keys: ["k"] })],
      ["change", ({ b, two }: Two) => b.change(two, "another", [set("k")])],
    ] as const)
      rule(`${what} is a sign of life`, async (tables, two) => {
        await fill(tables);
        for (let i = 0; i < 3; i++) {
          two.clock.pass(two.one.lease - 1);
          await sign(two);
          await two.a.renew(two.one);
        }
        assert.equal(Object.keys(await tables.read()).length, 5);
        assert.deepEqual(takenFrom(two.one), []);
      });

    rule("who shows no sign of life for the lease loses all: judged before anything else is served", async (tables, two) => {
      await fill(tables);
      two.clock.pass(two.two.lease - 1);
      await two.a.renew(two.one);
      two.clock.pass(2);
      const made = await tables.only(claim("b1"));
      assert.ok(made.ok && made.entry?.owner === ANNA);
      assert.deepEqual(takenFrom(two.one), ["b1", "b2"]);
      assert.deepEqual(Object.keys(await tables.read()).sort(), ["a1", "a2", "b1", "free"]);
    });

    for (const [what, call] of [
      ["renew", ({ b, two }: Two) => b.renew(two)],
      ["read", ({ b, two }: Two) => b.read(two, TABLE, { keys: ["b1"] })],
      ["change", ({ b, two }: Two) => b.change(two, TABLE, [claim("b1", BEN)])],
    ] as const)
      rule(`who comes back is told of its loss before its own ${what} settles, though it comes first`, async (tables, two) => {
        await fill(tables);
        const { version } = (await tables.entry("b1")) as Entry;
        two.clock.pass(two.two.lease + 1);
        await call(two);
        assert.deepEqual(
          takenFrom(two.two).filter((key) => key.startsWith("b")),
          ["b1", "b2"],
        );
        const again = await tables.onlyThere(claim("b1", BEN));
        assert.ok((again.entry as Entry).version > version, "granted anew");
      });

    rule("what was lost is lost once: the lease begins anew, and what is claimed then stays", async (tables, two) => {
      await fill(tables);
      two.clock.pass(two.two.lease + 1);
      await tables.there([claim("b1", BEN)]);
      two.clock.pass(two.two.lease - 1);
      await tables.there([set("free", 2, { by: BEN })]);
      await tables.allTold();
      assert.equal((await tables.entry("b1"))?.owner, BEN);
      assert.deepEqual(takenFrom(two.two), ["a1", "a2", "b1", "b2"]);
      assert.deepEqual(toldOf(two.one), toldOf(two.two));
    });
  });
}

const sorted = (values: Record<string, unknown>): [string, unknown][] => Object.entries(values).sort(([x], [y]) => (x < y ? -1 : 1));

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Cluster, NOBODY } from "../../server/cluster/cluster.js";
import { Frame } from "../../server/frame.js";
import { type CreateClusters, type TestMember, withTwo } from "./member.js";
import { tableContract } from "./table-contract.js";

/** What any {@link Cluster} promises; every implementation runs it, with members that may sit in different processes. */
export function clusterContract(name: string, create: CreateClusters): void {
  const withMembers = (run: (a: Cluster, b: Cluster, one: TestMember, two: TestMember) => Promise<void>): Promise<void> =>
    withTwo(create, ({ a, b, one, two }) => run(a, b, one, two));

  describe(`the cluster contract: ${name}`, () => {
    test("a UUID is found on whichever member it is, and nobody's is nobody's", () =>
      withMembers(async (a, b, one, two) => {
        assert.deepEqual(await a.send(one, { uuid: "page-1" }, new Frame("x")), { ...NOBODY, sent: 1, deaf: 0 });
        assert.deepEqual(await a.send(one, { uuid: "page-2" }, new Frame("x")), { ...NOBODY, sent: 1, deaf: 0 });
        assert.deepEqual(await b.send(two, { uuid: "page-1" }, new Frame("x")), { ...NOBODY, sent: 1, deaf: 0 });
        assert.deepEqual(await a.send(one, { uuid: "nobody" }, new Frame("x")), { ...NOBODY, sent: 0, deaf: 0 });
        assert.deepEqual(await a.send(one, { uuid: "deaf-2" }, new Frame("x")), { ...NOBODY, sent: 0, deaf: 1 });
      }));

    test("a call is made once, where the UUID is; what it returns or refuses comes back; nobody's is undefined", () =>
      withMembers(async (a, b, one, two) => {
        const message = { words: ["ä", 1, null], deep: { true: true } };
        assert.deepEqual(await a.call(one, "page-2", "jobs", message), { value: { by: "2", message } });
        assert.deepEqual(await b.call(two, "page-2", "jobs", message), { value: { by: "2", message } });
        assert.deepEqual(await a.call(one, "page-2", "jobs", "nothing"), { value: undefined });
        assert.equal(await a.call(one, "nobody", "jobs", message), undefined);
        await assert.rejects(async () => a.call(one, "page-3", "jobs", "refuse"), { name: "Refusal", code: "no", message: "Not today." });
        assert.equal(two.given.length, 4);
        assert.equal(one.given.length, 0);
      }));

    test("calls of one member for one UUID arrive in their order", () =>
      withMembers(async (a, _b, one, two) => {
        await Promise.all(Array.from({ length: 50 }, async (_, n) => a.call(one, "page-2", "jobs", n)));
        assert.deepEqual(
          two.given.map((text) => JSON.parse(text).message),
          Array.from({ length: 50 }, (_, n) => n),
        );
      }));

    test("everything else reaches each member once, the sender included, and the answer is the sum", () =>
      withMembers(async (a, _b, one, two) => {
        for (const to of [{ pages: true }, { ident: "anna" }, { tags: { role: "editor" } }] as const) {
          assert.deepEqual(await a.send(one, to, new Frame(JSON.stringify(to))), { ...NOBODY, sent: 3, deaf: 0 });
        }
        assert.equal(one.given.length, 3);
        assert.deepEqual(two.given, one.given);
      }));

    test("frames of one member arrive at another in the order of the calls", () =>
      withMembers(async (a, _b, one, two) => {
        const texts = Array.from({ length: 200 }, (_, i) => String(i));
        await Promise.all(texts.map((text) => a.send(one, { pages: true }, new Frame(text))));
        assert.deepEqual(two.given, texts);
      }));

    test("a member that left gets nothing, one that comes later gets what comes later", () =>
      withMembers(async (a, b, one, two) => {
        await b.leave(two);
        assert.deepEqual(await a.send(one, { pages: true }, new Frame("while away")), { ...NOBODY, sent: 1, deaf: 0 });
        await b.join(two);
        assert.deepEqual(await a.send(one, { pages: true }, new Frame("back")), { ...NOBODY, sent: 3, deaf: 0 });
        assert.deepEqual(two.given, ["back"]);
      }));
  });
  tableContract(name, create);
}

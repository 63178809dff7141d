import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { jobs } from "../../apps/jobs/jobs.js";
import { locks } from "../../apps/locks/locks.js";
import { standard } from "../../apps/standard.js";
import { state } from "../../apps/state/state.js";
import type { Allow } from "../../server/auth/allow.js";
import { tickets } from "../../server/auth/tickets.js";
import { type App, createHub, OptionError } from "../../server/main.js";
import { resolveOptions } from "../../server/options.js";
import { codesIn, rule } from "../protocol/document.js";
import { LoopbackHub, type LoopbackPeer } from "../support/loopback.js";

/** Whoever may ask. */
const PEERS = {
  "a page": {},
  "a page of Anna, an editor": { identity: { user: { id: "anna", name: "Anna", roles: ["editor", "reader"] } } },
  "a page of Ben, a reader": { identity: { user: { id: "ben", name: "Ben", roles: ["reader"] } } },
  "a backend of this host": { kind: "backend", address: "127.0.0.1" },
  "a backend of another host": { kind: "backend", address: "10.0.0.1" },
} as const;
type Who = keyof typeof PEERS;
const EVERYBODY = Object.keys(PEERS) as Who[];
const BACKENDS: readonly Who[] = ["a backend of this host", "a backend of another host"];

const app: App = {
  name: "orders",
  opcodes: { setState: () => "set", getState: () => "got", release: () => "released" },
  reads: ["getState"],
  allow: { release: "local" },
};

function errorOf(peer: LoopbackPeer, packet: object): { code: string; message: string } | undefined {
  const [next] = peer.ask(packet).filter(({ opcode }) => opcode === "next");
  assert.ok(next);
  return next.error as { code: string; message: string } | undefined;
}

/** Who may say this opcode, by trying; the code and sentence that the others get. */
function ask(allow: Allow | undefined, opcode: string): { allowed: Who[]; codes: Set<string>; messages: string[] } {
  const hub = new LoopbackHub({ apps: [app, jobs(resolveOptions({}))], access: { allow: allow === undefined ? [] : [allow] } });
  const codes = new Set<string>();
  const messages: string[] = [];
  const allowed = EVERYBODY.filter((who) => {
    const error = errorOf(hub.peer({ ...PEERS[who], hello: {} }), { opcode });
    if (error === undefined || !/^not-(allowed|local|a-backend)$/.test(error.code)) return true;
    codes.add(error.code);
    messages.push(error.message);
    return false;
  });
  return { allowed, codes, messages };
}

describe("[ALLOW-1] who may say an opcode", () => {
  const ROWS: readonly [allow: Allow | undefined, opcode: string, allowed: readonly Who[], code?: string][] = [
    [undefined, "setState", EVERYBODY],
    [{}, "setState", EVERYBODY],
    [{ setState: "anyone" }, "setState", EVERYBODY],
    [{ setState: "nobody" }, "setState", [], "not-allowed"],
    [{ setState: "page" }, "setState", EVERYBODY.slice(0, 3), "not-allowed"],
    [{ setState: "backend" }, "setState", BACKENDS, "not-a-backend"],
    [{ setState: "local" }, "setState", ["a backend of this host"], "not-local"],
    [{ setState: "user" }, "setState", EVERYBODY.slice(1, 3), "not-allowed"],
    [{ setState: "user:anna" }, "setState", ["a page of Anna, an editor"], "not-allowed"],
    [{ setState: "role:editor" }, "setState", ["a page of Anna, an editor"], "not-allowed"],
    [{ setState: ["role:editor", "local"] }, "setState", ["a page of Anna, an editor", "a backend of this host"], "not-allowed"],
    [{ setState: ["nobody", "anyone"] }, "setState", EVERYBODY],
    [{ setState: (_packet, { user }) => user?.id === "ben" }, "setState", ["a page of Ben, a reader"], "not-allowed"],
    [(packet, { kind }) => packet.opcode !== "setState" || kind === "backend", "setState", BACKENDS, "not-allowed"],
    [(packet, { kind }) => packet.opcode !== "setState" || kind === "backend", "getState", EVERYBODY],
    [{ getState: "nobody" }, "setState", EVERYBODY],
    [{ "*": "role:editor" }, "setState", ["a page of Anna, an editor"], "not-allowed"],
    [{ "*": "role:editor", setState: "page" }, "setState", EVERYBODY.slice(0, 3), "not-allowed"],
    // [ALLOW-2] What an app reserves stays reserved, but for whoever names it.
    [undefined, "release", ["a backend of this host"], "not-local"],
    [{ "*": "anyone" }, "release", ["a backend of this host"], "not-local"],
    [{ "*": "user" }, "release", [], "not-local not-allowed"],
    [() => true, "release", ["a backend of this host"], "not-local"],
    [{ release: ["backend", "role:editor"] }, "release", ["a page of Anna, an editor", ...BACKENDS], "not-allowed"],
    [undefined, "progress", BACKENDS, "not-a-backend"],
    // [ALLOW-3]
    ["readonly", "setState", BACKENDS, "not-allowed"],
    ["readonly", "getState", EVERYBODY],
    ["readonly", "broadcast", BACKENDS, "not-allowed"],
    ["readonly", "feedback", BACKENDS, "not-allowed"],
    ["readonly", "echo", EVERYBODY],
    [{ "*": "readonly", setState: ["backend", "role:editor"] }, "setState", ["a page of Anna, an editor", ...BACKENDS], "not-allowed"],
    [{ "*": "readonly", setState: ["backend", "role:editor"] }, "broadcast", BACKENDS, "not-allowed"],
  ];
  for (const [allow, opcode, allowed, code = ""] of ROWS)
    test(`${typeof allow === "function" ? "a function" : JSON.stringify(allow, (_, value) => (typeof value === "function" ? "a function" : value))}: ${opcode} is for ${allowed.join(", ") || "nobody"}`, () => {
      const found = ask(allow, opcode);
      assert.deepEqual(found.allowed, allowed);
      assert.deepEqual([...found.codes].sort(), code.split(" ").filter(Boolean).sort());
    });

  test("[ALLOW-2] a path's rules stand beside those of all paths; what it names itself has its own rule there", () => {
    const everywhere: Allow = { broadcast: ["backend", "role:editor"], release: "backend" };
    const ROWS: readonly [Allow, opcode: string, allowed: readonly Who[]][] = [
      [{ setState: "role:reader" }, "broadcast", ["a page of Anna, an editor", ...BACKENDS]],
      [{ setState: "role:reader" }, "setState", EVERYBODY.slice(1, 3)],
      [{ setState: "role:reader" }, "release", BACKENDS],
      [{ broadcast: "page" }, "broadcast", EVERYBODY.slice(0, 3)],
      ["readonly", "broadcast", BACKENDS],
      [{ "*": "readonly" }, "broadcast", BACKENDS],
      [() => true, "broadcast", ["a page of Anna, an editor", ...BACKENDS]],
    ];
    for (const [own, opcode, allowed] of ROWS) {
      const hub = new LoopbackHub({ apps: [app], access: { allow: [own, everywhere] } });
      const may = EVERYBODY.filter((who) => !errorOf(hub.peer({ ...PEERS[who], hello: {} }), { opcode })?.code.startsWith("not-"));
      assert.deepEqual(may, allowed, `${JSON.stringify(own)} ${opcode}`);
    }
  });

  test("[WIN-2] behind a rule that takes its time nothing is started before it, and waiting for a page takes as long as the page likes", async () => {
    const started: string[] = [];
    const noting: App = { opcodes: { a: () => void started.push("a"), b: () => void started.push("b") } };
    const turn = async (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    const hub = new LoopbackHub({
      apps: [noting],
      access: { allow: [{ a: async () => turn().then(() => true), feedback: async () => true }] },
    });
    const page = hub.peer({ hello: { window: 8 } });
    page.say({ opcode: "a", ref: 1 });
    page.say({ opcode: "b", ref: 2 });
    await turn();
    await turn();
    assert.deepEqual(started, ["a", "b"]);
    assert.deepEqual(
      page.read().map(({ ref }) => ref),
      [1, 2],
    );
    const other = hub.peer({ hello: {} });
    page.say({ opcode: "feedback", uuid: other.uuid, wait: "page", message: 1 });
    await turn();
    hub.clock.advance(100_000);
    assert.deepEqual(page.read(), []);
    other.read();
    other.say({ opcode: "seen", n: 1 });
    await turn();
    assert.equal(page.read().at(-1)?.status, "delivered");
  });

  test("who is refused is told the rule, what was said, and as what it came", () => {
    const { messages } = ask({ setState: ["role:editor", "local"] }, "setState");
    assert.deepEqual(messages, [
      "Expected `setState` on `/` from role:editor or local, got `setState` from a page.",
      "Expected `setState` on `/` from role:editor or local, got `setState` from a page of a user with the roles `reader`.",
      "Expected `setState` on `/` from role:editor or local, got `setState` from a backend of another host.",
    ]);
    assert.equal(ask("readonly", "setState").messages[0], "`/` is `readonly`: pages may only listen there, got `setState` from a page.");
    assert.equal(ask({ setState: () => "Not on Sundays." }, "setState").messages[0], "`setState`: Not on Sundays.");
  });

  test("a function may take its time, and what it throws is the application's failure: nobody is let through for that", async () => {
    const hub = new LoopbackHub({
      apps: [app],
      access: {
        allow: [
          {
            setState: async (_packet, { kind }) => kind === "backend",
            getState: () => {
              throw new Error("no database");
            },
          },
        ],
      },
    });
    const results: unknown[] = [];
    for (const who of ["a page", "a backend of this host"] as const) {
      const peer = hub.peer({ ...PEERS[who], hello: {} });
      peer.say({ opcode: "setState" });
      await new Promise(setImmediate);
      results.push(peer.read().at(-1)?.status);
      assert.equal(errorOf(peer, { opcode: "getState" })?.code, "app-error");
    }
    assert.deepEqual(results, ["refused", "done"]);
  });

  test("what is refused never reaches the app, and quit and cancel are answered as ever", () => {
    let reached = 0;
    const counting: App = { opcodes: { setState: () => reached++, cancel: () => reached++ } };
    const hub = new LoopbackHub({ apps: [counting], access: { allow: [{ "*": "nobody" }] } });
    const page = hub.peer({ hello: {} });
    assert.equal(errorOf(page, { opcode: "setState" })?.code, "not-allowed");
    assert.deepEqual(page.ask({ opcode: "cancel" })[0]?.status, "refused");
    page.say({ opcode: "quit" });
    assert.equal(page.closedWith()?.code, 1000);
    assert.equal(reached, 0);
  });
});

describe("a rule that is none", () => {
  for (const [allow, reason] of [
    [{ setState: "editors" }, /`setState`: expected anyone, nobody, .*role:NAME, a list of these or a function, got `editors`/],
    [{ setState: ["page", "role:"] }, /got `role:`/],
    [{ setState: [] }, /got an array/],
    [{ setState: "readonly" }, /got `readonly`/],
    [{ setState: { page: true } }, /got an object/],
    ["page", /expected "readonly", a function, or an object of rules by opcode, got `page`/],
    [[], /got an array/],
  ] as const)
    test(`${JSON.stringify(allow)} is refused at the start, by name, on a path and for all`, async () => {
      await assert.rejects(createHub({ resources: { "/": { apps: app, allow: allow as unknown as Allow } } }), reason);
      await assert.rejects(
        createHub({ allow: allow as unknown as Allow }),
        (error) => error instanceof OptionError && reason.test(error.message),
      );
    });

  test("for an opcode that no app declares it is refused too: a slip would open what it was to close", async () => {
    await assert.rejects(createHub({ allow: { brodcast: "backend" } }), /`allow`: no app handles `brodcast`: did you mean `broadcast`\?/);
    await assert.rejects(
      createHub({ resources: { "/orders": { apps: app, allow: { setStat: "backend" } } } }),
      /`allow` of `\/orders`: no app handles `setStat`: did you mean `setState`\?/,
    );
  });
});

test("[ALLOW-2] [ALLOW-3] what the built-in apps reserve and call reading is what the document says", () => {
  const options = resolveOptions({});
  const apps = [standard(), jobs(options), locks(options), state(options), tickets().app as App];
  const reserved = Object.assign({}, ...apps.map(({ allow }) => allow)) as object;
  assert.deepEqual(reserved, { progress: "backend", end: "backend", break: "local", ticket: "backend" });
  assert.match(rule("ALLOW-2"), /`progress`, `end` and `ticket` are for backends, `break` is for backends of the hub's host/);
  const reads = apps.flatMap(({ reads }) => reads ?? []);
  assert.deepEqual(
    reads.sort(),
    codesIn(rule("ALLOW-3"))
      .filter((code) => code !== "readonly" && !code.startsWith("["))
      .sort(),
  );
});

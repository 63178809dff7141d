import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { ReadyLimits } from "../../protocol/index.js";
import { environmentName, flagName, isForFiles, OPTION_NAMES, OPTIONS } from "../../server/options.js";
import { USAGE as SEND_USAGE } from "../../tcp-client/send.js";
import { LineClient } from "../support/line-client.js";
import { Page } from "../support/page.js";
import { ROOT } from "../support/process.js";
import { folder, Signalbox, type Surroundings, signalbox } from "./signalbox.js";

const FREE_PORTS = ["--listen", "ws://127.0.0.1:0", "--listen", "tcp://127.0.0.1:0"];
const PARALLEL = { concurrency: 6, timeout: 30_000 };

/** A hub as a process, on free ports. */
async function start(t: TestContext, args: readonly string[] = [], surroundings: Surroundings = {}) {
  const hub = new Signalbox(t, [...args, ...FREE_PORTS], surroundings);
  return { hub, ...(await hub.ready()) };
}

/** A hub that must not start. @returns what it complains of */
async function refusal(t: TestContext, args: readonly string[], surroundings: Surroundings = {}): Promise<string> {
  const { code, stdout, stderr } = await signalbox(t, [...args, ...FREE_PORTS], surroundings);
  assert.deepEqual([code, stdout], [1, ""]);
  const [complaint, ...more] = stderr
    .trimEnd()
    .split("\n")
    .filter((line) => !line.startsWith("{") && !/^\(.*warning/i.test(line));
  assert.deepEqual(more, [], "one sentence, and no stack");
  return complaint ?? "";
}

describe("signalbox: when it is ready it says where", PARALLEL, () => {
  for (const command of [[], ["serve"]]) {
    test(`signalbox ${command.join(" ")}: one line on standard output, with the real ports`, async (t) => {
      const { hub, ws, tcp, tcpPort } = await start(t, command);
      assert.match(`${ws} ${tcp}`, /^ws:\/\/127\.0\.0\.1:[1-9]\d* tcp:\/\/127\.0\.0\.1:[1-9]\d*$/);
      assert.match((await Page.open(t, ws)).uuid, /^[0-9a-f-]{36}$/);
      assert.match((await (await LineClient.open(t, tcpPort)).hello()).uuid, /^[0-9a-f-]{36}$/);
      hub.kill("SIGTERM");
      assert.equal((await hub.ended).stdout, `signalbox ready ${ws} ${tcp}\n`);
    });
  }

  test("with --demo it says where to look, too", async (t) => {
    const { hub, ws } = await start(t, ["--demo"]);
    assert.equal(await hub.lines.next(), `Open ${ws.replace("ws", "http")}/ in a browser. Ctrl-C stops the hub.`);
  });

  test("the log is on standard error, a line of JSON for each event", async (t) => {
    const { hub, ws } = await start(t);
    await Page.open(t, ws);
    hub.kill("SIGTERM");
    const events = (await hub.ended).stderr
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).event)
      // Where this machine has fewer files than a hub wants.
      .filter((event) => event !== "files.few");
    assert.deepEqual(events, ["listener.up", "listener.up", "peer.opened", "peer.closed"]);
  });
});

describe("signalbox: where its options come from", PARALLEL, () => {
  for (const [name, file] of [
    ["signalbox.config.json", '{ "maxDepth": 10, "maxMessage": 10000, "maxWindow": 3 }'],
    ["signalbox.config.js", "export default { maxDepth: 10, maxMessage: 10000, maxWindow: 3 };"],
  ] as const) {
    test(`${name} comes before the environment, the environment before flags`, async (t) => {
      const env = { SIGNALBOX_MAX_MESSAGE: "20000", SIGNALBOX_MAX_WINDOW: "4" };
      const { tcpPort } = await start(t, ["--max-window", "5"], { cwd: folder(t, { [name]: file }), env });
      const { window, limits } = await (await LineClient.open(t, tcpPort)).hello({ window: 100 });
      const { maxMessage, maxDepth } = limits as ReadyLimits;
      assert.deepEqual({ window, maxMessage, maxDepth }, { window: 5, maxMessage: 20_000, maxDepth: 10 });
    });
  }

  test("apps are loaded from beside the file that names them, wherever the hub is started", async (t) => {
    const cwd = folder(t);
    mkdirSync(join(cwd, "config"));
    writeFileSync(join(cwd, "config/hub.json"), '{ "resources": { "/orders": "./orders.mjs" } }');
    writeFileSync(
      join(cwd, "config/orders.mjs"),
      "export default { opcodes: { total: ({ prices }) => prices.reduce((a, b) => a + b, 0) } };",
    );
    const { ws } = await start(t, [], { cwd, env: { SIGNALBOX_CONFIG: "config/hub.json" } });
    const page = await Page.open(t, `${ws}/orders`, {});
    assert.equal((await page.ask({ opcode: "total", prices: [1, 2, 3] })).result, 6);
  });

  const REFUSED: readonly [
    name: string,
    args: readonly string[],
    files: Record<string, string | object>,
    env: NodeJS.ProcessEnv,
    complaint: RegExp,
  ][] = [
    ["an unknown flag", ["--max-mesage", "1"], {}, {}, /^signalbox: Unknown flag `--max-mesage`: did you mean `--max-message`\?$/],
    ["an unknown variable", [], {}, { SIGNALBOX_MAX_MESAGE: "1" }, /`SIGNALBOX_MAX_MESAGE`: did you mean `SIGNALBOX_MAX_MESSAGE`\?$/],
    [
      "an unknown key",
      [],
      { "signalbox.config.json": { maxMesage: 1 } },
      {},
      /^signalbox: Unknown option `maxMesage`: did you mean `maxMessage`\?$/,
    ],
    [
      "a number out of range",
      ["--max-message", "1"],
      {},
      {},
      /^signalbox: Expected `maxMessage` to be .* at least 1024 \(bytes\), got `1`\.$/,
    ],
    ["a key too much", ["serve", "extra"], {}, {}, /^signalbox: .*extra/],
    ["a file that is not there", ["--config", "missing.js"], {}, {}, /^signalbox: .*missing\.js/],
    [
      "an address that is none",
      ["--listen", "http://127.0.0.1:0"],
      {},
      {},
      /^signalbox: Expected `listen` to be .*`http:\/\/127\.0\.0\.1:0`\.$/,
    ],
    ["backends of other hosts without a key", ["--listen", "tcp://0.0.0.0:0"], {}, {}, /^signalbox: .*`backendKey`/],
    ["TLS without a certificate", ["--listen", "wss://127.0.0.1:0"], {}, {}, /^signalbox: .*`tlsCert` and `tlsKey`/],
    [
      "an app that handles nothing",
      [],
      { "signalbox.config.json": { resources: { "/orders": "./orders.mjs" } }, "orders.mjs": "export default { open() {} };" },
      {},
      /^signalbox: The app on `\/orders` handles nothing: expected `opcodes` to have at least one handler/,
    ],
    [
      "an app that takes what belongs to the dialog",
      [],
      { "signalbox.config.json": { resources: { "/orders": "./orders.mjs" } }, "orders.mjs": "export default { opcodes: { next() {} } };" },
      {},
      /^signalbox: The app on `\/orders`: opcode `next` belongs to the dialog/,
    ],
  ];
  for (const [name, args, files, env, complaint] of REFUSED) {
    test(`${name}: one sentence that says so, exit code 1`, async (t) => {
      assert.match(await refusal(t, args, { cwd: folder(t, files), env }), complaint);
    });
  }

  test("a port that is taken: one sentence that names it, exit code 1", async (t) => {
    const { tcp } = await start(t);
    assert.match(await refusal(t, ["--listen", tcp]), new RegExp(`^signalbox: .*EADDRINUSE.*${new URL(tcp).port}`));
  });

  test("a secret is taken from the environment, never from a flag, and never printed", async (t) => {
    assert.doesNotMatch(await refusal(t, ["--backend-key", "s3cret"]), /s3cret/);
    const { hub } = await start(t, [], { env: { SIGNALBOX_BACKEND_KEY: "s3cret" } });
    hub.kill("SIGTERM");
    const { code, stdout, stderr } = await hub.ended;
    assert.equal(code, 0);
    assert.doesNotMatch(stdout + stderr, /s3cret/);
  });
});

/** An app with a handler that ends only once the process was told to, and one that never does. */
const SLOW = `
  const toldToStop = new Promise((resolve) => process.once("SIGTERM", resolve));
  export default {
    opcodes: {
      async finish(_packet, peer) {
        peer.send({ opcode: "started" });
        await toldToStop;
        await new Promise((resolve) => setTimeout(resolve, 20));
        return "finished";
      },
      stuck(_packet, peer) {
        peer.send({ opcode: "started" });
        return new Promise(() => {});
      },
    },
  };
`;

async function startSlow(t: TestContext, args: readonly string[] = []) {
  const cwd = folder(t, { "signalbox.config.json": { resources: { "/slow": "./slow.mjs" } }, "slow.mjs": SLOW });
  return start(t, args, { cwd });
}

describe("signalbox: when it is told to stop", PARALLEL, () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`[END-6] ${signal}: everybody is told, with 1012, and the exit code is 0`, async (t) => {
      const { hub, ws, tcpPort } = await start(t);
      const page = await Page.open(t, ws);
      const backend = await LineClient.open(t, tcpPort);
      await backend.hello();
      hub.kill(signal);
      for (const close of [await page.packets.next(), await backend.packet()])
        assert.deepEqual([close.opcode, close.code], ["close", 1012]);
      assert.equal((await page.closed).code, 1012);
      await backend.closed;
      assert.equal((await hub.ended).code, 0);
    });
  }

  test("[END-6] a handler that is at work may finish: its answer arrives, then `close`, then 1012", async (t) => {
    const { hub, ws, tcpPort } = await startSlow(t);
    const page = await Page.open(t, `${ws}/slow`, {});
    const backend = await LineClient.open(t, tcpPort);
    await backend.hello({ resource: "/slow" });
    assert.equal((await page.ask({ opcode: "finish", ref: 1 })).opcode, "started");
    assert.equal((await backend.ask({ opcode: "finish", ref: 1 })).opcode, "started");
    hub.kill("SIGTERM");
    for (const next of [() => page.packets.next(), () => backend.packet()]) {
      assert.deepEqual(await next(), { opcode: "next", fyi: "", ref: 1, status: "done", result: "finished" });
      const { opcode, code } = await next();
      assert.deepEqual({ opcode, code }, { opcode: "close", code: 1012 });
    }
    assert.equal((await page.closed).code, 1012);
    assert.equal((await hub.ended).code, 0);
  });

  test("[END-6] a handler that does not finish is not waited for longer than `stopTimeout`", async (t) => {
    const { hub, ws } = await startSlow(t, ["--stop-timeout", "50"]);
    const page = await Page.open(t, `${ws}/slow`, {});
    await page.ask({ opcode: "stuck" });
    hub.kill("SIGTERM");
    assert.deepEqual((await page.packets.next()).code, 1012);
    assert.equal((await page.closed).code, 1012);
    assert.equal((await hub.ended).code, 0);
  });

  test("[END-6] while it stops it accepts no more; a second signal ends it at once", async (t) => {
    const { hub, ws, tcpPort } = await startSlow(t, ["--stop-timeout", "60000"]);
    const [busy, idle] = [await Page.open(t, `${ws}/slow`, {}), await Page.open(t, ws)];
    await busy.ask({ opcode: "stuck" });
    hub.kill("SIGTERM");
    assert.equal((await idle.closed).code, 1012);
    await assert.rejects(Page.open(t, ws), /ECONNREFUSED/);
    await assert.rejects(LineClient.open(t, tcpPort), /ECONNREFUSED/);
    hub.kill("SIGTERM");
    assert.equal((await hub.ended).code, 1);
    assert.equal((await busy.closed).code, 1006);
  });

  test("SIGHUP, the terminal that goes away, is no reason", async (t) => {
    const { hub, tcpPort } = await start(t);
    const backend = await LineClient.open(t, tcpPort);
    await backend.hello();
    hub.kill("SIGHUP");
    assert.equal((await backend.ask({ opcode: "broadcast" })).status, "sent");
    hub.kill("SIGTERM");
    assert.equal((await hub.ended).code, 0);
  });

  test("a client that neither reads nor ends does not hold it", async (t) => {
    const { hub, tcpPort } = await start(t, ["--stop-timeout", "50"]);
    const socket = connect({ port: tcpPort, host: "127.0.0.1", allowHalfOpen: true });
    t.after(() => socket.destroy());
    socket.on("error", () => {});
    await new Promise<void>((resolve) => socket.write('{"opcode":"hello"}\n', () => socket.once("readable", resolve)));
    hub.kill("SIGTERM");
    assert.equal((await hub.ended).code, 0);
  });
});

describe("signalbox: help", PARALLEL, () => {
  for (const args of [["help"], ["--help"], ["-h"]]) {
    test(`signalbox ${args.join(" ")} names the commands`, async (t) => {
      const { code, stdout, stderr } = await signalbox(t, args);
      assert.deepEqual([code, stderr], [0, ""]);
      for (const command of ["serve", "send feedback UUID TEXT", "send broadcast TEXT", "help"])
        assert.ok(stdout.includes(command), command);
    });
  }

  for (const args of [
    ["help", "serve"],
    ["serve", "--help"],
  ]) {
    test(`signalbox ${args.join(" ")} lists every option as it is given, with unit and default`, async (t) => {
      const { code, stdout } = await signalbox(t, args);
      assert.equal(code, 0);
      for (const name of OPTION_NAMES.filter((name) => !isForFiles(name))) {
        const { secret, unit, about, default: value } = OPTIONS[name];
        const line = stdout
          .split("\n")
          .find((line) => line.trim().startsWith(`${secret ? environmentName(name) : `--${flagName(name)}`} `));
        assert.ok(line?.includes(about), name);
        if (unit) assert.ok(line?.includes(`[${value} ${unit}]`), name);
      }
      assert.ok(!stdout.includes("--backend-key"));
    });
  }

  for (const args of [
    ["help", "send"],
    ["send", "--help"],
  ]) {
    test(`signalbox ${args.join(" ")} is the usage of \`send\``, async (t) => {
      assert.deepEqual(await signalbox(t, args), { code: 0, stdout: SEND_USAGE, stderr: "" });
    });
  }

  test("an unknown topic: the commands, on standard error, exit code 2", async (t) => {
    for (const topic of ["foo", "constructor"]) {
      const { code, stdout, stderr } = await signalbox(t, ["help", topic]);
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, new RegExp(`^signalbox: unknown topic \`${topic}\`\n\nsignalbox, `));
    }
  });

  for (const word of ["version", "--version"]) {
    test(`signalbox ${word} prints the version of the package`, async (t) => {
      const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
      assert.deepEqual(await signalbox(t, [word]), { code: 0, stdout: `${version}\n`, stderr: "" });
    });
  }

  test("an unknown command: the commands, on standard error, exit code 2", async (t) => {
    const { code, stdout, stderr } = await signalbox(t, ["srve"]);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /unknown command `srve`/);
  });
});

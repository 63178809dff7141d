import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, type TestContext, test } from "node:test";
import type { HubSettings } from "../../server/main.js";
import { USAGE } from "../../tcp-client/run.js";
import { backend, freePort } from "../client/kinds.js";
import { folder, Signalbox, type Surroundings, signalbox } from "../config/signalbox.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { startHub, type TestHub } from "../support/hub.js";
import { TestInbox } from "../support/inbox.js";
import { commandMissing, type Finished, ROOT, run } from "../support/process.js";
import { type JobPacket, JobPage } from "./job-page.js";

const NOBODY = "00000000-0000-4000-8000-000000000000";
const LIMITS = { concurrency: 2, timeout: 30_000 };

class World {
  private constructor(
    readonly t: TestContext,
    readonly hub: TestHub,
    readonly page: JobPage,
    /** Where the command looks for the hub. */
    private readonly port: number,
  ) {}

  static async create(t: TestContext, settings: HubSettings = {}, port?: (hub: TestHub) => Promise<number>): Promise<World> {
    const hub = await startHub(t, settings);
    return new World(t, hub, await JobPage.open(t, hub.ws), port ? await port(hub) : hub.tcpPort);
  }

  args(command: readonly string[], flags: readonly string[] = []): string[] {
    return ["run", "--hub", `tcp://127.0.0.1:${this.port}`, "--uuid", this.page.uuid, ...flags, "--", ...command];
  }

  start(command: readonly string[], flags?: readonly string[], surroundings?: Surroundings): Signalbox {
    return new Signalbox(this.t, this.args(command, flags), surroundings);
  }

  /** Runs a script under `signalbox run`, and what it writes into another. */
  pipe(script: string, into: string): Promise<Finished> {
    const path = join(folder(this.t, { script }), "script");
    return run("bash", ["-c", `node dist/bin/signalbox.js ${this.args(["sh", path]).join(" ")} | ${into}`]);
  }

  /** Runs a command, told what the page has heard of it. */
  async run(command: readonly string[], flags?: readonly string[]): Promise<{ finished: Finished; end: JobPacket }> {
    const { ended } = this.start(command, flags);
    return { end: await this.page.end("job"), finished: await ended };
  }
}

const sh = (script: string): string[] => ["sh", "-c", script];

/** Processes that connect to it can be heard, and waited for until all that have the connection are gone. */
class Ear {
  readonly lines = new TestInbox<string>();
  private constructor(
    readonly port: number,
    readonly closed: Promise<unknown>,
  ) {}

  static async open(t: TestContext): Promise<Ear> {
    const server = createServer();
    await once(server.listen(0, "127.0.0.1"), "listening");
    const connected = once(server, "connection").then(([socket]) => {
      t.after(() => socket.destroy());
      socket.on("error", () => {});
      createInterface({ input: socket }).on("line", (line) => ear.lines.push(line));
      return socket as Socket;
    });
    t.after(() => server.close());
    const ear = new Ear(
      (server.address() as AddressInfo).port,
      connected.then((socket) => once(socket, "close")),
    );
    return ear;
  }

  /** A script whose processes all have the connection as file 3. */
  bash(script: string): string[] {
    return ["bash", "-c", `exec 3<>/dev/tcp/127.0.0.1/${this.port}; ${script}`];
  }
}

const amount = ({ at, of }: JobPacket): unknown => [at, of];

describe("signalbox run: how far the command is", LIMITS, () => {
  const OUTPUTS: readonly (readonly [rule: string, script: string, expected: object, flags?: readonly string[]])[] = [
    ["NN%", "echo start; echo '40% done'", { at: 40, of: 100, message: "40% done" }],
    ["N/M", "echo '[3/10] Building'; echo now", { at: 3, of: 10, message: "now" }],
    ["on standard error", "echo out; echo '70%' >&2", { at: 70, of: 100, message: "70%" }],
    [
      "a bar of carriage returns, as curl's",
      "printf '\\r##   40.5%%' >&2; printf '\\r####  81.0%%' >&2",
      { at: 81, of: 100, message: "####  81.0%" },
    ],
    ["colours are no part of it", "printf '\\033[32m7%%\\033[0m\\n'", { at: 7, of: 100, message: "7%" }],
    ["a pattern with one group", "echo 'row 12 99%'", { at: 12, of: 100, message: "row 12 99%" }, ["--pattern", "row (\\d+)"]],
    ["a pattern with two", "echo '5 of 8'", { at: 5, of: 8, message: "5 of 8" }, ["--pattern", "(\\d+) of (\\d+)"]],
    ["nothing of the kind", "echo Hello", { at: undefined, of: undefined, message: "Hello" }],
    ["no output at all", "true", { at: undefined, of: undefined, message: undefined }],
  ];
  for (const [rule, script, expected, flags] of OUTPUTS) {
    test(`${rule}: ${script}`, async (t) => {
      const { end, finished } = await (await World.create(t)).run(sh(script), flags);
      assert.equal(finished.code, 0);
      assert.deepEqual({ at: end.at, of: end.of, message: end.message }, expected);
      assert.deepEqual([end.state, end.title], ["done", "sh"]);
    });
  }

  test("is told while it runs, though no line has ended, and characters come in pieces", async (t) => {
    const world = await World.create(t);
    const { page } = world;
    const command = world.start(["cat"], ["--job", "upload", "--title", "Upload"], { input: undefined });
    await page.until(({ state }) => state === "running");
    command.type("10% Grü");
    await page.until(({ message }) => message === "10% Grü");
    command.type(Buffer.from("😀").subarray(0, 2));
    command.type(Buffer.from("😀").subarray(2));
    const [seen] = (await page.until(({ message }) => message === "10% Grü😀")).slice(-1);
    assert.deepEqual([seen?.job, seen?.title, seen?.at], ["upload", "Upload", 10]);
    command.type("\r20%\r");
    assert.deepEqual(amount((await page.until(({ at }) => at === 20)).at(-1) as JobPacket), [20, 100]);
    command.endInput();
    assert.equal((await command.ended).stdout, "10% Grü😀\r20%\r");
  });

  test("is told at most ten times a second, whatever it says", async (t) => {
    const hub = await startHub(t, { jobUpdates: 1_000 });
    const proxy = await FaultProxy.start(t, hub.tcpPort);
    const page = await JobPage.open(t, hub.ws);
    const args = ["run", "--hub", `tcp://127.0.0.1:${proxy.port}`, "--uuid", page.uuid, "--"];
    const begin = performance.now();
    const finished = await signalbox(t, [...args, ...sh("i=0; while [ $i -le 100000 ]; do echo $i/100000; i=$((i+1)); done")]);
    const seconds = (performance.now() - begin) / 1_000;
    assert.equal(finished.code, 0);
    assert.equal((await page.end("job")).at, 100_000);
    const reports = proxy.heard.split('"opcode":"progress"').length - 1;
    assert.ok(reports <= 10 * seconds + 2, `${reports} reports in ${seconds} s`);
  });
});

describe("signalbox run: how the command ends", LIMITS, () => {
  const ENDS: readonly (readonly [script: string, code: number, state: string, message: string])[] = [
    ["echo fine", 0, "done", "fine"],
    ["echo half; exit 3", 3, "failed", "exit code 3: half"],
    ["exit 127", 127, "failed", "exit code 127"],
    ["kill -TERM $$", 143, "failed", "ended by SIGTERM"],
    ["kill -KILL $$", 137, "failed", "ended by SIGKILL"],
  ];
  for (const [script, code, state, message] of ENDS) {
    test(`${script}: ${state}, ${message}, and its code is that of the command`, async (t) => {
      const { end, finished } = await (await World.create(t)).run(sh(script));
      assert.deepEqual([end.state, end.message, finished.code, finished.stderr], [state, message, code, ""]);
    });
  }

  test("no such command: 127, said here and on the page", async (t) => {
    const { end, finished } = await (await World.create(t)).run(["/no/such-command", "x"]);
    assert.deepEqual(finished, { code: 127, stdout: "", stderr: "signalbox run: /no/such-command: command not found\n" });
    assert.deepEqual([end.state, end.message, end.title], ["failed", "/no/such-command: command not found", "such-command"]);
  });

  test("not executable: 126, said here and on the page", async (t) => {
    const { end, finished } = await (await World.create(t)).run([join(ROOT, "README.md")]);
    assert.equal(finished.code, 126);
    assert.match(finished.stderr, /^signalbox run: .*EACCES\n$/);
    assert.equal(end.state, "failed");
  });

  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    test(`${signal} is for the command and its children, and the job has failed`, { skip: commandMissing("bash") }, async (t) => {
      const world = await World.create(t);
      const ear = await Ear.open(t);
      const command = world.start(ear.bash("sleep 60 | (echo ready >&3; sleep 60)"));
      await ear.lines.next();
      command.kill(signal);
      const end = await world.page.end("job");
      assert.deepEqual([end.state, end.message], ["failed", `ended by ${signal}`]);
      assert.equal((await command.ended).code, 128 + { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 }[signal]);
      await ear.closed;
    });
  }

  test("a signal that the command answers with 0 has interrupted it all the same; its code is passed on", {
    skip: commandMissing("bash"),
  }, async (t) => {
    const world = await World.create(t);
    const ear = await Ear.open(t);
    const command = world.start(ear.bash("trap 'exit 0' TERM; echo ready >&3; read -r <&3"));
    await ear.lines.next();
    command.kill("SIGTERM");
    assert.equal((await world.page.end("job")).message, "ended by SIGTERM");
    assert.equal((await command.ended).code, 0);
  });

  test("what it leaves behind does not hold it up, even with its output open", { skip: commandMissing("bash") }, async (t) => {
    const world = await World.create(t);
    const ear = await Ear.open(t);
    const { end, finished } = await world.run(ear.bash("read -r -u 3 & echo started"));
    assert.deepEqual([end.state, end.message, finished.code, finished.stdout], ["done", "started", 0, "started\n"]);
  });

  test("[JOB-6] this process is killed: the job is lost", async (t) => {
    const world = await World.create(t, { jobLostAfter: 50 });
    const command = world.start(["cat"], [], { input: undefined });
    await world.page.until(({ state }) => state === "running");
    command.kill("SIGKILL");
    assert.equal((await world.page.end("job")).state, "lost");
  });
});

describe("signalbox run: stopping", { ...LIMITS, skip: commandMissing("bash") }, () => {
  test("the page stops a command that says nothing, and its children", async (t) => {
    const world = await World.create(t);
    const ear = await Ear.open(t);
    const command = world.start(ear.bash("sleep 60 & sleep 60 & echo ready >&3; wait"));
    await ear.lines.next();
    await world.page.until(({ state }) => state === "running");
    world.page.cancel("job", "lunch");
    const end = await world.page.end("job");
    assert.deepEqual([end.state, end.message], ["aborted", undefined]);
    assert.equal((await command.ended).code, 143);
    await ear.closed;
  });

  test("what ignores SIGTERM is killed after --kill-after, and its children", async (t) => {
    const world = await World.create(t);
    const ear = await Ear.open(t);
    const command = world.start(ear.bash("trap '' TERM; sleep 60 & echo ready >&3; while :; do sleep 60; done"), ["--kill-after", "0.2"]);
    await ear.lines.next();
    await world.page.until(({ state }) => state === "running");
    world.page.cancel("job");
    assert.equal((await world.page.end("job")).state, "aborted");
    assert.equal((await command.ended).code, 137);
    await ear.closed;
  });

  test("children that ignore SIGTERM are killed, too, though the command has ended by then", async (t) => {
    const world = await World.create(t);
    const ear = await Ear.open(t);
    const script = "(trap '' TERM; echo ready >&3; while :; do sleep 60; done) & wait";
    const command = world.start(ear.bash(script), ["--kill-after", "0.2"]);
    await ear.lines.next();
    await world.page.until(({ state }) => state === "running");
    world.page.cancel("job");
    assert.equal((await world.page.end("job")).state, "aborted");
    assert.equal((await command.ended).code, 143);
    await ear.closed;
  });

  test("a command that cleans up and ends with 0 has been aborted all the same, with its last words", async (t) => {
    const world = await World.create(t);
    const ear = await Ear.open(t);
    const command = world.start(ear.bash("trap 'echo cleaned; exit 0' TERM; echo ready >&3; while :; do read -r -t 60 <&3; done"));
    await ear.lines.next();
    await world.page.until(({ state }) => state === "running");
    world.page.cancel("job");
    const end = await world.page.end("job");
    assert.deepEqual([end.state, end.message], ["aborted", "cleaned"]);
    assert.deepEqual(await command.ended, { code: 0, stdout: "cleaned\n", stderr: "" });
  });
});

describe("signalbox run: what it does not touch", LIMITS, () => {
  test("both outputs pass through byte for byte, each its own way", async (t) => {
    const world = await World.create(t);
    const files = folder(t);
    for (const name of ["one", "two"]) writeFileSync(join(files, name), randomBytes(3_000_000));
    const args = world.args(sh(`cat ${files}/one; cat ${files}/two >&2`)).map((word) => `'${word}'`);
    const { code } = await run("sh", ["-c", `node dist/bin/signalbox.js ${args.join(" ")} >${files}/out 2>${files}/err`]);
    assert.equal(code, 0);
    assert.equal(sha256(join(files, "out")), sha256(join(files, "one")));
    assert.equal(sha256(join(files, "err")), sha256(join(files, "two")));
  });

  test("a pipe that is read slowly gets all of it, and one that is not read any more ends the command", async (t) => {
    const world = await World.create(t);
    // Half of this lies in pipes when the command has ended.
    const ended = await world.pipe("head -c 180000 /dev/zero", "(sleep 0.5; wc -c)");
    assert.equal(ended.stdout.trim(), "180000");
    const written = join(folder(t), "written");
    const slow = await world.pipe(`head -c 3000000 /dev/zero; touch ${written}`, `(sleep 0.5; ls ${written} 2>&1; wc -c)`);
    assert.match(slow.stdout, /No such file.*\n *3000000\n$/);
    const left = await world.pipe("yes", "head -n 1; echo $PIPESTATUS");
    assert.deepEqual([left.stdout, left.stderr], ["y\n141\n", ""]);
  });

  test("a script can open its /dev/stderr", async (t) => {
    const { finished } = await (await World.create(t)).run(sh("echo one >/dev/stdout; echo two >/dev/stderr"));
    assert.deepEqual(finished, { code: 0, stdout: "one\n", stderr: "two\n" });
  });

  test("where no named pipes can be had it runs all the same", async (t) => {
    const world = await World.create(t);
    const command = world.start(sh("echo out; echo 40% >&2"), [], { env: { TMPDIR: "/no/such/folder" } });
    assert.deepEqual(await command.ended, { code: 0, stdout: "out\n", stderr: "40%\n" });
    assert.equal((await world.page.end("job")).at, 40);
  });

  test("a line of 100 MB passes through, and is not kept", async (t) => {
    const world = await World.create(t);
    const script = "head -c 100000000 /dev/zero | tr '\\0' x; grep VmHWM /proc/$PPID/status >&2; echo ' 50%'";
    const { stdout, stderr } = await world.pipe(script, "wc -c");
    assert.equal(Number(stdout), 100_000_005);
    assert.deepEqual(amount(await world.page.end("job")), [50, 100]);
    const kB = Number(/(\d+) kB/.exec(stderr)?.[1]);
    assert.ok(kB < 150_000, `${kB} kB at the most`);
  });

  test("standard input is the command's, and so are its arguments", async (t) => {
    const world = await World.create(t);
    const command = world.start(["sh", "-c", 'cat; printf "%s|" "$@"', "x", "--uuid", "--", "a b", ""], [], { input: "in\n" });
    assert.deepEqual(await command.ended, { code: 0, stdout: "in\n--uuid|--|a b||", stderr: "" });
  });
});

describe("signalbox run: without a hub", LIMITS, () => {
  test("the command runs all the same: one sentence, its own output and code, and nothing is waited for", async (t) => {
    const url = `tcp://127.0.0.1:${await freePort()}`;
    const begin = performance.now();
    const finished = await signalbox(t, ["run", "--hub", url, "--uuid", NOBODY, "--", ...sh("sleep 0.7; echo out; exit 3")]);
    assert.deepEqual([finished.code, finished.stdout], [3, "out\n"]);
    assert.match(finished.stderr, /^signalbox run: No connection to the hub .*ECONNREFUSED.*\n$/);
    assert.equal(finished.stderr.split("\n").length, 2);
    assert.ok(performance.now() - begin < 700 + 1_900);
  });

  test("a hub that does not answer gets 2 s for the last word", async (t) => {
    const url = await backend.impostor(t, () => {});
    const begin = performance.now();
    const finished = await signalbox(t, ["run", "--hub", url, "--uuid", NOBODY, "--", "true"]);
    assert.equal(finished.code, 0);
    const took = performance.now() - begin;
    assert.ok(took >= 2_000 && took < 6_000, `${took} ms`);
  });

  test("a hub that will not have it: its sentence, and the command runs", async (t) => {
    const url = await backend.impostor(t, (_text, wire) => {
      wire.say('{"opcode":"close","code":4003,"error":"A backend of another host needs a key."}');
      wire.end();
    });
    const finished = await signalbox(t, ["run", "--hub", url, "--uuid", NOBODY, "--", ...sh("sleep 0.5; echo out")]);
    assert.deepEqual([finished.code, finished.stdout], [0, "out\n"]);
    assert.match(finished.stderr, /^signalbox run: .*needs a key\..*not shown\.\n$/);
  });

  test("a hub that comes later is told everything", async (t) => {
    let proxy: FaultProxy | undefined;
    const world = await World.create(t, {}, async (hub) => {
      proxy = await FaultProxy.start(t, hub.tcpPort);
      proxy.goAway();
      return proxy.port;
    });
    const command = world.start(["cat"], [], { input: undefined });
    command.type("30% read\n");
    assert.equal(await command.lines.next(), "30% read");
    proxy?.comeBack();
    const [seen] = (await world.page.until(({ at }) => at === 30)).slice(-1);
    assert.deepEqual([seen?.title, seen?.message], ["cat", "30% read"]);
    command.endInput();
    assert.equal((await world.page.end("job")).state, "done");
    assert.equal((await command.ended).code, 0);
  });

  test("a connection that breaks is no reason to stop, and the page sees one run", async (t) => {
    let proxy: FaultProxy | undefined;
    const world = await World.create(t, {}, async (hub) => {
      proxy = await FaultProxy.start(t, hub.tcpPort);
      return proxy.port;
    });
    const command = world.start(["cat"], [], { input: undefined });
    command.type("30%\n");
    await world.page.until(({ at }) => at === 30);
    proxy?.goAway();
    command.type("40%\n");
    for (const line of ["30%", "40%"]) assert.equal(await command.lines.next(), line);
    proxy?.comeBack();
    await world.page.until(({ at }) => at === 40);
    command.endInput();
    const end = await world.page.end("job");
    assert.deepEqual([end.state, new Set(world.page.all.map(({ started }) => started)).size], ["done", 1]);
    const { code, stderr } = await command.ended;
    assert.equal(code, 0);
    assert.match(stderr, /^signalbox run: No connection .*\n$/);
  });

  test("a hub that is restarted in between does not stop it, and is connected to again", async (t) => {
    const world = await World.create(t);
    const command = world.start(["cat"], [], { input: undefined });
    command.type("30%\n");
    await world.page.until(({ at }) => at === 30);
    const { listeners, stop } = world.hub;
    await stop();
    const again = await startHub(t, { listen: [...listeners] });
    await again.log.untilLine("peer.opened");
    command.type("40%\n");
    for (const line of ["30%", "40%"]) assert.equal(await command.lines.next(), line);
    command.endInput();
    const { code, stderr } = await command.ended;
    assert.equal(code, 0);
    assert.match(stderr, /^signalbox run: No connection .*\n$/);
    assert.equal(again.log.of("app.failed").length, 0);
  });

  test("the UUID is nobody's: the command runs, and nothing is said about it", async (t) => {
    const hub = await startHub(t);
    const finished = await signalbox(t, ["run", "--hub", backend.url(hub), "--uuid", NOBODY, "--", "echo", "out"]);
    assert.deepEqual(finished, { code: 0, stdout: "out\n", stderr: "" });
  });

  test("the hub refuses the job: its sentence, and the command runs", async (t) => {
    const hub = await startHub(t);
    const other = await backend.connect(backend.url(hub));
    t.after(() => other.close());
    const { code, stdout, stderr } = await signalbox(t, ["run", "--hub", backend.url(hub), "--uuid", other.uuid, "--", "echo", "out"]);
    assert.deepEqual([code, stdout], [0, "out\n"]);
    assert.match(stderr, /^signalbox run: Expected the UUID of a page.*\n$/);
  });
});

describe("signalbox run: its usage", LIMITS, () => {
  const WRONG: readonly (readonly [args: readonly string[], sentence: RegExp])[] = [
    [[], /Expected a command behind `--`\./],
    [["--uuid", NOBODY], /Expected a command behind `--`\./],
    [["--uuid", NOBODY, "--"], /Expected a command behind `--`\./],
    [["--uuid", NOBODY, "tar", "x"], /Expected `--` between the flags and the command\./],
    [["--", "true"], /`--uuid` of 36 characters/],
    [["--uuid", "x", "--", "true"], /`--uuid` of 36 characters, got `x`/],
    [["--uuid", NOBODY, "--job", "", "--", "true"], /`--job` of 1 to 256 characters/],
    [["--uuid", NOBODY, "--nonsense", "--", "true"], /--nonsense/],
    [["--uuid", NOBODY, "--hub", "http://x", "--", "true"], /tcp:\/\/HOST:PORT.*`http:\/\/x`/],
    [["--uuid", NOBODY, "--pattern", "(", "--", "true"], /`--pattern`: /],
    [["--uuid", NOBODY, "--pattern", "x", "--", "true"], /`--pattern`: .*one or two groups/],
    [["--uuid", NOBODY, "--kill-after", "soon", "--", "true"], /`--kill-after` to be a number of seconds, got `soon`/],
    [["--uuid", NOBODY, "--kill-after=-1", "--", "true"], /`--kill-after`/],
  ];
  for (const [args, sentence] of WRONG) {
    test(`2: what is wrong in one line, and how it is used: ${args.join(" ")}`, async (t) => {
      const { code, stdout, stderr } = await signalbox(t, ["run", ...args]);
      assert.deepEqual([code, stdout], [2, ""]);
      const [first = "", ...rest] = stderr.split("\n");
      assert.match(first, /^signalbox run: /);
      assert.match(first, sentence);
      assert.equal(rest.join("\n"), `\n${USAGE}`);
    });
  }

  for (const args of [
    ["help", "run"],
    ["run", "--help"],
  ]) {
    test(`${args.join(" ")} says how it is used`, async (t) => {
      assert.deepEqual(await signalbox(t, args), { code: 0, stdout: USAGE, stderr: "" });
    });
  }
});

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

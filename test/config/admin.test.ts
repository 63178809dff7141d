import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { Credentials } from "../../server/main.js";
import { createHub, type HubSettings, OptionError } from "../../server/main.js";
import { startHub, type TestHub } from "../support/hub.js";
import { LineClient } from "../support/line-client.js";
import { Page } from "../support/page.js";
import { ROOT } from "../support/process.js";

interface Response {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

async function hubWithAdmin(t: TestContext, settings: HubSettings = {}): Promise<{ hub: TestHub; admin: string }> {
  const hub = await startHub(t, { admin: "tcp://127.0.0.1:0", ...settings });
  return { hub, admin: String((await hub.log.untilLine("admin.up")).url) };
}

async function get(url: string, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(url, init);
  return { status: response.status, type: response.headers.get("content-type") ?? "", body: await response.text() };
}

/** With any header and over any socket. */
function ask(options: object): Promise<Response> {
  return new Promise((resolve, reject) => {
    const asked = request(options, (response) => {
      let body = "";
      response.on("data", (text) => {
        body += text;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, type: String(response.headers["content-type"]), body }));
    });
    asked.on("error", reject);
    asked.end();
  });
}

/** Names in front of the labels. */
const namesIn = (metrics: string): Set<string> => new Set(metrics.match(/^signalbox_\w+/gm));
const figure = (metrics: string, line: string): number => Number(metrics.split(`\n${line} `)[1]?.split("\n", 1)[0]);

describe("the admin listener", () => {
  test("says that it is live and ready, and where else to look", async (t) => {
    const { admin } = await hubWithAdmin(t);
    assert.deepEqual(await get(`${admin}/health/live`), { status: 200, type: "text/plain", body: "live\n" });
    assert.deepEqual(await get(`${admin}/health/ready`), { status: 200, type: "text/plain", body: "ready\n" });
    const { status, body } = await get(`${admin}/`);
    assert.deepEqual([status, body], [404, "There is /health/live, /health/ready, /status and /metrics.\n"]);
    assert.equal((await get(`${admin}/status`, { method: "POST" })).status, 405);
  });

  test("is not ready any more while the hub stops", async (t) => {
    let finish = (): void => {};
    const app = { opcodes: { work: () => new Promise<void>((resolve) => (finish = resolve)) } };
    const { hub, admin } = await hubWithAdmin(t, { resources: { "/work": app }, stopTimeout: 5_000 });
    const page = await Page.open(t, `${hub.ws}/work`, {});
    page.say({ opcode: "work" });
    await page.ask({ opcode: "cancel" });
    const stopped = hub.stop();
    assert.deepEqual(await get(`${admin}/health/ready`), { status: 503, type: "text/plain", body: "stopping\n" });
    finish();
    await stopped;
  });

  test("shows what the hub is doing, and nothing of any peer", async (t) => {
    const { hub, admin } = await hubWithAdmin(t);
    const page = await Page.open(t, `${hub.ws}/`, { ident: "Anna Secret", tags: { role: "hidden" } });
    await page.ask({ opcode: "lock", space: "books", ids: [1, 2] });
    await page.ask({ opcode: "set", key: "machine/7", value: 1 });
    await page.ask({ opcode: "nonsense" });
    const { body, type } = await get(`${admin}/status`);
    assert.equal(type, "application/json");
    const status = JSON.parse(body);
    const { limit, ...peers } = status.peers;
    assert.deepEqual(peers, { pages: 1, backends: 0, away: 0 });
    assert.ok(limit > 0 && limit <= 20_000, "as many as there are files for");
    assert.deepEqual(status.apps.locks, { pages: 1, held: 2, listed_or_locked: 2, limit: 1_000_000 });
    assert.equal(status.apps.state.keys, 1);
    assert.deepEqual(status.counts.messages_refused, { "unknown-opcode": 1 });
    assert.equal(status.answered, 3);
    for (const secret of [page.uuid, "Anna", "hidden", "books", "machine"]) assert.ok(!body.includes(secret), secret);
  });

  test("every metric under load is in docs/operating.md, and every one of the document is there", async (t) => {
    const known = ({ token }: Credentials) => (token === "s3cr3t" ? { user: { id: "anna", name: "Anna", roles: [] } } : undefined);
    const { hub, admin } = await hubWithAdmin(t, { authenticate: [known] });
    const page = await Page.open(t, `${hub.ws}/`, { token: "s3cr3t" });
    const backend = await LineClient.open(t, hub.tcpPort);
    await assert.rejects(Page.connect(t, `${hub.ws}/`, true, { origin: "http://evil.example" }));
    const garbage = await LineClient.open(t, hub.tcpPort);
    garbage.write("GET / HTTP/1.1\r\n\r\n");
    await garbage.closed;
    await backend.hello();
    for (let i = 0; i < 500; i++) await backend.ask({ opcode: "progress", uuid: page.uuid, at: i });
    await backend.ask({ opcode: "nonsense" });
    page.say({ opcode: "quit" });
    await page.closed;
    const { body, type } = await get(`${admin}/metrics`);
    assert.match(type, /^text\/plain; version=0\.0\.4/);
    const documented = new Set(readFileSync(join(ROOT, "docs/operating.md"), "utf8").match(/(?<=^\| `)signalbox_\w+/gm));
    assert.deepEqual([...namesIn(body)].sort(), [...documented].sort());
    assert.equal(figure(body, "signalbox_messages_total"), 501);
    assert.equal(figure(body, 'signalbox_messages_refused_total{code="unknown-opcode"}'), 1);
    assert.equal(figure(body, 'signalbox_handshakes_refused_total{status="403"}'), 1);
    assert.equal(figure(body, 'signalbox_connections_refused_total{code="1002"}'), 1);
    assert.equal(figure(body, 'signalbox_connections_closed_total{why="quit"}'), 1);
    assert.equal(figure(body, 'signalbox_peers{kind="backend"}'), 1);
    assert.equal(figure(body, 'signalbox_authentications_total{result="welcome"}'), 1);
    for (const secret of [page.uuid, "anna", "s3cr3t"]) assert.ok(!body.includes(secret));
  });

  test("asked twice says the same: counters do not grow by being looked at", async (t) => {
    const { hub, admin } = await hubWithAdmin(t);
    const page = await Page.open(t, `${hub.ws}/`, {});
    await page.ask({ opcode: "nonsense" });
    await get(`${admin}/metrics`);
    assert.equal(figure((await get(`${admin}/metrics`)).body, 'signalbox_messages_refused_total{code="unknown-opcode"}'), 1);
  });

  test("answers to names of this host alone: a browser can be made to ask under another", async (t) => {
    const { admin } = await hubWithAdmin(t);
    const { port } = new URL(admin);
    assert.equal((await ask({ host: "127.0.0.1", port, path: "/status", headers: { host: "evil.example" } })).status, 403);
    assert.equal((await ask({ host: "127.0.0.1", port, path: "/status", headers: { host: "localhost" } })).status, 200);
  });

  test("may be a unix socket", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "signalbox-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const socketPath = join(folder, "admin.sock");
    await hubWithAdmin(t, { admin: `unix:${socketPath}` });
    assert.equal((await ask({ socketPath, path: "/health/ready" })).body, "ready\n");
    assert.equal(statSync(socketPath).mode & 0o777, 0o600, "nobody but its owner");
  });

  test("takes the place of a unix socket that a hub which died has left, and of none where a hub answers", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "signalbox-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const socketPath = join(folder, "admin.sock");
    spawnSync(process.execPath, [
      "-e",
      `require("net").createServer().listen(${JSON.stringify(socketPath)}, () => process.kill(process.pid, "SIGKILL"))`,
    ]);
    await hubWithAdmin(t, { admin: `unix:${socketPath}` });
    assert.equal((await ask({ socketPath, path: "/health/ready" })).body, "ready\n");
    await assert.rejects(startHub(t, { admin: `unix:${socketPath}` }), { code: "EADDRINUSE" });
  });

  test("nothing of it stands on the public port", async (t) => {
    const { hub } = await hubWithAdmin(t);
    for (const path of ["/metrics", "/status", "/health/live", "/console", "/.env"])
      assert.equal((await get(`${hub.ws.replace("ws", "http")}${path}`)).status, 404, path);
  });

  for (const admin of ["tcp://0.0.0.0:8098", "tcp://hub.intranet:8098", "ws://127.0.0.1:8098", "http://127.0.0.1:8098", "8098"]) {
    test(`refused by name: ${admin}`, async () => {
      await assert.rejects(createHub({ admin }), (error) => error instanceof OptionError && /`admin`/.test(error.message));
    });
  }

  test("what an app of one's own says of itself stands there too; one that throws hurts nobody", async (t) => {
    const orders = { name: "orders", opcodes: { x: () => 1 }, status: () => ({ open: 7 }) };
    const bad = {
      name: "bad",
      opcodes: { y: () => 1 },
      status() {
        throw new Error("Not today.");
      },
    };
    const { hub, admin } = await hubWithAdmin(t, { resources: { "/orders": [orders, bad] } });
    assert.equal(figure((await get(`${admin}/metrics`)).body, 'signalbox_app{app="orders",name="open"}'), 7);
    assert.equal(hub.log.of("app.failed")[0]?.during, "status");
  });
});

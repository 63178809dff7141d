import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { REFUSALS, SUBPROTOCOL } from "../../protocol/index.js";
import { cookieOf, type HubSettings, unauthorized } from "../../server/main.js";
import { browserMissing, openBrowser, servePage } from "../support/browser.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { startHub, type TestHub } from "../support/hub.js";

/** The application whose sessions these are has gone. */
const DOWN = "session=nobody-knows";

/** Sessions by the name of their user, and one about which nothing can be found out. */
const bySession: NonNullable<HubSettings["authenticate"]> = [
  {
    name: "session",
    authenticate({ headers: { cookie } }) {
      const id = cookieOf(cookie, "session");
      if (cookie === DOWN) throw new Error("The application is down.");
      if (id === "over") throw unauthorized("This session is over.");
      return id === undefined ? undefined : { user: { id, name: id, roles: [] } };
    },
  },
];

const ORIGIN = "https://app.example";

const start = (t: TestContext): Promise<TestHub> => startHub(t, { origins: [ORIGIN], authenticate: bySession });

/** What becomes of a handshake: its status, or the close packet and code behind an upgrade. */
async function shake(hub: TestHub, protocols: readonly string[], cookie: string, origin = ORIGIN): Promise<string> {
  const socket = new WebSocket(`${hub.ws}/web`, protocols as string[], { origin, headers: { cookie } });
  const texts: string[] = [];
  socket.on("message", (data) => texts.push(String(data)));
  socket.on("error", () => {});
  const refused = once(socket, "unexpected-response").then(([, response]) => `HTTP ${response.statusCode}`);
  const closed = once(socket, "close").then(([code]) => `${texts.join("")} ${code}`);
  const outcome = await Promise.race([refused, closed]);
  socket.terminate();
  return outcome;
}

const OVER = '{"opcode":"close","error":"This session is over.","code":4401} 4401';
const UNKNOWN = '{"opcode":"close","error":"Who this is cannot be found out at present.","code":1013} 1013';

describe("[AUTH-9] what a status cannot tell a page", () => {
  const ROWS: readonly [what: string, protocols: readonly string[], cookie: string, origin: string, outcome: string][] = [
    ["who can read it is told by HTTP", [SUBPROTOCOL], "session=over", ORIGIN, "HTTP 401"],
    ["who cannot is told behind the upgrade", [SUBPROTOCOL, REFUSALS], "session=over", ORIGIN, OVER],
    ["who does not speak the dialog is told by HTTP", [REFUSALS], "session=over", ORIGIN, "HTTP 401"],
    ["where it cannot be known it is to try again", [SUBPROTOCOL, REFUSALS], DOWN, ORIGIN, UNKNOWN],
    ["a foreign origin hears nothing of it", [SUBPROTOCOL, REFUSALS], "session=over", "https://evil.example", "HTTP 403"],
  ];
  for (const [what, protocols, cookie, origin, outcome] of ROWS) {
    test(what, async (t) => assert.equal(await shake(await start(t), protocols, cookie, origin), outcome));
  }

  test("it is said in the log and counted as what it is, once", async (t) => {
    const hub = await start(t);
    await shake(hub, [SUBPROTOCOL, REFUSALS], "session=over");
    const [line, ...others] = hub.log.of("peer.refused");
    assert.deepEqual([line?.code, line?.reason, line?.path, others], [4401, "This session is over.", "/web", []]);
    assert.deepEqual(hub.log.of("handshake.refused"), []);
  });
});

const HTML = `<!doctype html><title>why</title><script type="module">
  import { connect } from "HUB/signalbox.js";
  window.heard = [];
  let wake = () => {};
  const note = (what) => { heard.push(what); wake(); };
  window.until = async (wanted) => {
    while (!heard.includes(wanted)) await new Promise((resolve) => { wake = resolve; });
  };
  try {
    const hub = await connect("WS/web");
    note("ready");
    hub.addEventListener("close", ({ code, retryIn }) => note(code + (retryIn === undefined ? " for good" : "")));
    hub.addEventListener("resumed", () => note("resumed"));
  } catch (error) {
    note(error.name + " " + error.code);
  }
</script>`;

describe("[AUTH-9] in Chromium", { skip: browserMissing(), timeout: 60_000 }, () => {
  const open = async (t: TestContext) => {
    let html = "";
    const origin = await servePage(t, () => html);
    const hub = await startHub(t, { origins: [origin], authenticate: bySession });
    const proxy = await FaultProxy.start(t, hub.wsPort);
    html = HTML.replace("HUB", hub.ws.replace("ws", "http")).replace("WS", `ws://127.0.0.1:${proxy.port}`);
    const context = await (await openBrowser(t)).newContext();
    const logIn = (value: string) => context.addCookies([{ name: "session", value, url: origin }]);
    const page = await context.newPage();
    return { hub, proxy, page, logIn, load: () => page.goto(`${origin}/`), until: (what: string) => page.evaluate(`until("${what}")`) };
  };

  test("a page whose login has ended while it was away is told to log in, and does not try for ever", async (t) => {
    const { proxy, logIn, load, until } = await open(t);
    await logIn("anna");
    await load();
    await until("ready");
    await logIn("over");
    proxy.breakAll();
    await until("4401 for good");
  });

  test("one that is not logged in hears it at once", async (t) => {
    const { load, until } = await open(t);
    await load();
    await until("ClosedError 4401");
  });

  test("while it cannot be known who it is a page goes on trying", async (t) => {
    const { hub, proxy, logIn, load, until } = await open(t);
    await logIn("anna");
    await load();
    await until("ready");
    await logIn("nobody-knows");
    proxy.breakAll();
    await hub.log.untilLine("peer.refused");
    await logIn("anna");
    await until("resumed");
  });
});

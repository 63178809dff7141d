import assert from "node:assert/strict";
import { request } from "node:http";
import { describe, type TestContext, test } from "node:test";
import { cookieOf, type HubSettings, unauthorized } from "../../server/main.js";
import { browserMissing, openBrowser, servePage } from "../support/browser.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { startHub, type TestHub } from "../support/hub.js";

const ORIGIN = "https://app.example";
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

interface Answer {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

/** `fetch` sets no Host. */
function ask(hub: TestHub, path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: "127.0.0.1", port: hub.wsPort, path, method, headers: { origin: ORIGIN, ...headers } },
      async (response) => {
        let text = "";
        for await (const part of response) text += part;
        resolve({ status: response.statusCode, headers: response.headers, text });
      },
    );
    sent.on("error", reject).end();
  });
}

const start = (t: TestContext): Promise<TestHub> =>
  startHub(t, {
    origins: [ORIGIN],
    resources: {
      "/web": { authenticate: bySession },
      "/open": { authenticate: [] },
      "/token": { authenticate: [{ name: "token", afterHello: true, authenticate: () => undefined }] },
    },
  });

describe("[AUTH-9] why a handshake is refused, for a page to read", () => {
  const ROWS: readonly [what: string, path: string, cookie: string | undefined, status: number, text: RegExp][] = [
    ["nothing is shown", "/web?why", undefined, 401, /log in first/],
    ["what is shown is not right", "/web?why", "session=over", 401, /^This session is over\.\n$/],
    ["it cannot be known", "/web?why", DOWN, 503, /./],
    ["it is known who it is", "/web?why", "session=anna", 204, /^$/],
    ["nobody is asked", "/open?why", undefined, 204, /^$/],
    ["a hello may show more", "/token?why", undefined, 204, /^$/],
    ["there is no such path: the connection says that itself", "/none?why", undefined, 204, /^$/],
  ];
  for (const [what, path, cookie, status, text] of ROWS) {
    test(`${what}: ${status}, as the handshake`, async (t) => {
      const answer = await ask(await start(t), path, cookie === undefined ? {} : { cookie });
      assert.equal(answer.status, status);
      assert.match(answer.text, text);
      assert.equal(answer.headers["cache-control"], "no-store");
      assert.equal(answer.headers["access-control-allow-origin"], ORIGIN);
      assert.equal(answer.headers["access-control-allow-credentials"], "true");
      assert.equal(answer.headers.vary, "origin");
    });
  }

  for (const [what, headers] of [
    ["a foreign origin", { origin: "https://evil.example", cookie: "session=anna" }],
    ["a foreign host", { host: "evil.example", origin: "http://evil.example", cookie: "session=anna" }],
  ] as const) {
    test(`${what} hears nothing of it: 403, and its page may not read even that`, async (t) => {
      const { status, headers: got } = await ask(await start(t), "/web?why", headers);
      assert.equal(status, 403);
      assert.equal(got["access-control-allow-origin"], undefined);
    });
  }

  test("a malformed path is 400, and another method is for the pages", async (t) => {
    const hub = await start(t);
    assert.equal((await ask(hub, "/%zz?why")).status, 400);
    assert.equal((await ask(hub, "/web?why", {}, "POST")).status, 405);
  });

  test("asked together with an upgrade it is a handshake", async (t) => {
    const hub = await start(t);
    const headers = {
      upgrade: "websocket",
      connection: "Upgrade",
      "sec-websocket-version": "13",
      "sec-websocket-key": `${"x".repeat(22)}==`,
    };
    const { status } = await ask(hub, "/web?why", headers);
    assert.equal(status, 401);
    assert.equal(hub.log.of("handshake.refused").length, 1);
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
    await hub.log.untilLine("handshake.refused");
    await logIn("anna");
    await until("resumed");
  });
});

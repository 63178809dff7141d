import assert from "node:assert/strict";
import { createHmac, randomUUID } from "node:crypto";
import { connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { LineFramer, type Packet, proofText } from "../../protocol/index.js";
import {
  type Authenticator,
  applicationKey,
  type Credentials,
  forwardAuth,
  type HubSettings,
  type Identity,
  jwt,
  signCookie,
  signedCookie,
  tickets,
  unauthorized,
} from "../../server/main.js";
import type { AuthenticateOption } from "../../server/options.js";
import { startHub, type TestHub } from "../support/hub.js";
import { inSeconds, token as tokenOf } from "./tokens.js";
import { deadUrl, serve } from "./web-server.js";

const SECRET = "s3cr3t-0123456789-0123456789-0123456789";
const OTHER = "another-0123456789-0123456789-0123456789";
const KEY = "billing";
const NOBODY_KNOWS = "Who this is cannot be found out at present.";
const shown = (name: string): string => `Nothing was shown that ${name} knows: log in first.`;

/** What somebody shows, wherever it can. */
interface Shown {
  readonly cookie?: string;
  readonly protocols?: readonly string[];
  readonly token?: string | ((hub: TestHub) => Promise<string>);
  /** The secret of the key that it proves to have. */
  readonly secret?: string;
}

/** What becomes of it: `ready`, `ready USER`, `HTTP STATUS TEXT` or `close CODE TEXT`. */
type Answer = string;

/** By kind of peer; a backend of this host is let in whatever it shows, one of another host only by what is for backends: who is known as a page is no backend. */
type Row = readonly [what: string, shows: Shown, page: Answer, original: Answer, backend?: Answer];

const ANNA = { sub: "anna", name: "Anna", exp: inSeconds(3_600) };
const right = tokenOf("HS256", SECRET, ANNA);
const expired = tokenOf("HS256", SECRET, { ...ANNA, exp: inSeconds(-60) });
const forged = tokenOf("HS256", OTHER, ANNA);
const cookie = (secret: string, expires: number): string => `signalbox=${signCookie({ id: "anna" }, { secret, expires })}`;
const EXPIRED = "The token has expired.";
const WRONG_TOKEN = "The signature of the token is not right: it was signed with another key, or changed.";
const WRONG_COOKIE = "The signature of the cookie is not right: it was signed with another secret, or changed.";

/** The application's own: a session in a cookie or a token. */
async function session({ headers, token }: Credentials): Promise<Identity | undefined> {
  const id = /\bsid=(\w+)/.exec(headers.cookie ?? "")?.[1] ?? token;
  if (id === "closed") throw unauthorized("This session was closed.");
  if (id === "broken") throw new Error("no database");
  return id === "anna" ? { user: { id, name: "Anna", roles: [] } } : undefined;
}

async function application(t: TestContext): Promise<string> {
  const { url } = await serve(t, (request, response) => {
    if (request.headers.cookie?.includes("sid=anna")) response.end('{"id":"anna"}');
    else response.writeHead(request.headers.cookie?.includes("broken") ? 500 : 401).end();
  });
  return url;
}

interface Case {
  readonly name: string;
  authenticators(t: TestContext): Promise<readonly AuthenticateOption[]>;
  readonly rows: readonly Row[];
}

const only = (authenticator: Authenticator) => async () => [authenticator];
const both = (status: string): [Answer, Answer] => [`HTTP ${status}`, `HTTP ${status}`];

const CASES: readonly Case[] = [
  {
    name: "nobody asks",
    authenticators: async () => [],
    rows: [
      [
        "nothing",
        {},
        "ready",
        "ready",
        "close 4003 A backend of another host needs the hub's `backendKey` as `token` in its hello, or a client certificate.",
      ],
    ],
  },
  {
    name: "forward-auth",
    authenticators: async (t) => [forwardAuth({ url: await application(t) })],
    rows: [
      ["a session that the application knows", { cookie: "sid=anna" }, "ready anna", "ready anna"],
      ["one that it does not know", { cookie: "sid=x" }, ...both("401 The application does not let this user in (HTTP 401).")],
      ["an application that fails", { cookie: "sid=broken" }, ...both(`503 ${NOBODY_KNOWS}`)],
      ["nothing", {}, ...both(`401 ${shown("forward-auth")}`)],
    ],
  },
  {
    name: "forward-auth of a dead application",
    authenticators: async (t) => [forwardAuth({ url: await deadUrl(t) })],
    rows: [["a session", { cookie: "sid=anna" }, ...both(`503 ${NOBODY_KNOWS}`)]],
  },
  {
    name: "jwt",
    authenticators: only(jwt({ secret: SECRET, cookie: "id_token" })),
    rows: [
      ["one in a cookie", { cookie: `id_token=${right}` }, "ready anna", "ready anna"],
      ["one that has expired in a cookie", { cookie: `id_token=${expired}` }, ...both(`401 ${EXPIRED}`)],
      ["a forged one in a cookie", { cookie: `id_token=${forged}` }, ...both(`401 ${WRONG_TOKEN}`)],
      ["one as a subprotocol", { protocols: [`token.${right}`] }, "ready anna", `HTTP 401 ${shown("jwt")}`],
      ["a forged one as a subprotocol", { protocols: [`token.${forged}`] }, `HTTP 401 ${WRONG_TOKEN}`, `HTTP 401 ${shown("jwt")}`],
      ["one in its hello", { token: right }, "ready anna", `HTTP 401 ${shown("jwt")}`],
      ["a forged one in its hello", { token: forged }, `close 4401 ${WRONG_TOKEN}`, `HTTP 401 ${shown("jwt")}`],
      ["one that has expired in its hello", { token: expired }, `close 4401 ${EXPIRED}`, `HTTP 401 ${shown("jwt")}`],
      ["nothing", {}, `close 4401 ${shown("jwt")}`, `HTTP 401 ${shown("jwt")}`],
    ],
  },
  {
    name: "signed cookie",
    authenticators: only(signedCookie({ secret: SECRET })),
    rows: [
      ["one", { cookie: cookie(SECRET, inSeconds(60)) }, "ready anna", "ready anna"],
      ["one that has expired", { cookie: cookie(SECRET, inSeconds(-1)) }, ...both("401 The cookie has expired.")],
      ["one of another secret", { cookie: cookie(OTHER, inSeconds(60)) }, ...both(`401 ${WRONG_COOKIE}`)],
      ["nothing", {}, ...both(`401 ${shown("signed-cookie")}`)],
    ],
  },
  {
    name: "application key",
    authenticators: only(applicationKey({ [KEY]: SECRET })),
    rows: [
      ["a proof", { secret: SECRET }, "ready billing", `HTTP 401 ${shown("application-key")}`, "ready billing"],
      [
        "a proof of another secret",
        { secret: OTHER },
        "close 4401 The proof does not fit this key.",
        `HTTP 401 ${shown("application-key")}`,
        "close 4401 The proof does not fit this key.",
      ],
      [
        "the secret itself",
        { token: SECRET },
        `close 4401 ${shown("application-key")}`,
        `HTTP 401 ${shown("application-key")}`,
        `close 4401 ${shown("application-key")}`,
      ],
    ],
  },
  {
    name: "tickets",
    authenticators: async () => [tickets()],
    rows: [
      ["one", { token: issue }, "ready anna", `HTTP 401 ${shown("tickets")}`],
      [
        "one that was never issued",
        { token: "ticket.AAAA" },
        `close 4401 The ticket has been used, or is out of date: the page needs another one.`,
        `HTTP 401 ${shown("tickets")}`,
      ],
    ],
  },
  {
    name: "a function",
    authenticators: async () => [session],
    rows: [
      ["a session that it knows", { cookie: "sid=anna" }, "ready anna", "ready anna"],
      ["the same in its hello", { token: "anna" }, "ready anna", `HTTP 401 ${shown("session")}`],
      ["one that it refuses", { cookie: "sid=closed" }, ...both("401 This session was closed.")],
      ["one that breaks it", { cookie: "sid=broken" }, ...both(`503 ${NOBODY_KNOWS}`)],
      ["one that breaks it in its hello", { token: "broken" }, `close 1013 ${NOBODY_KNOWS}`, `HTTP 401 ${shown("session")}`],
      ["one that it does not know", { cookie: "sid=x" }, `close 4401 ${shown("session")}`, `HTTP 401 ${shown("session")}`],
    ],
  },
  {
    name: "several, in their order",
    authenticators: async () => [signedCookie({ secret: SECRET }), jwt({ secret: SECRET, claims: { id: "name" } }), session],
    rows: [
      ["what the first knows", { cookie: `sid=closed; ${cookie(SECRET, inSeconds(60))}` }, "ready anna", "ready anna"],
      [
        "what the second knows",
        { cookie: "sid=x", protocols: [`token.${right}`] },
        "ready Anna",
        `HTTP 401 ${shown("signed-cookie, jwt, session")}`,
      ],
      [
        "something wrong for the first, right for the last",
        { cookie: `sid=anna; ${cookie(OTHER, inSeconds(60))}` },
        "ready anna",
        "ready anna",
      ],
      ["something wrong for the first, nothing for the others", { cookie: cookie(OTHER, inSeconds(60)) }, ...both(`401 ${WRONG_COOKIE}`)],
      [
        "something wrong for the first, and the last fails",
        { cookie: `sid=broken; ${cookie(OTHER, inSeconds(60))}` },
        ...both(`503 ${NOBODY_KNOWS}`),
      ],
    ],
  },
];

/** A backend of the hub's own host takes it from the hub. */
async function issue(hub: TestHub): Promise<string> {
  const line = await speak(hub, "", [{ opcode: "ticket", user: { id: "anna" } }]);
  return String(line.result);
}

/** Says these lines to the hub's unix socket or, behind a PROXY header, to its TCP port; answers a challenge; the first answer that is none. */
function speak(hub: TestHub, header: string, packets: readonly object[], secret = ""): Promise<Packet> {
  const unix = hub.listeners.find((url) => url.startsWith("unix:"))?.slice(5) as string;
  const socket = header === "" ? connectSocket(unix) : connectSocket({ port: hub.tcpPort, host: "127.0.0.1" });
  socket.write(header + packets.map((packet) => `${JSON.stringify(packet)}\n`).join(""));
  const framer = new LineFramer(65_536);
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("closed without a word")));
    socket.on("data", (bytes) => {
      for (let found = framer.next(bytes, 0); found; found = framer.next(bytes, found.offset)) {
        const packet = JSON.parse(Buffer.from(found.line).toString()) as Packet;
        if (packet.opcode === "challenge") socket.write(`${JSON.stringify(proof(secret, packet))}\n`);
        else resolve(packet);
        if (packet.opcode !== "challenge") socket.end();
      }
    });
  });
}

const proof = (secret: string, { nonce }: Packet): object => ({
  opcode: "proof",
  mac: createHmac("sha256", secret)
    .update(proofText(KEY, String(nonce)))
    .digest("hex"),
});

async function helloOf(hub: TestHub, { token, secret }: Shown): Promise<object> {
  return { opcode: "hello", token: typeof token === "function" ? await token(hub) : token, key: secret && KEY };
}

function answerOf({ opcode, code, error, user }: Packet): Answer {
  if (opcode === "close") return `close ${code} ${error}`;
  assert.equal(opcode, "ready");
  return user === undefined ? "ready" : `ready ${(user as { id: string }).id}`;
}

async function enterBackend(hub: TestHub, header: string, shows: Shown): Promise<Answer> {
  return answerOf(await speak(hub, header, [await helloOf(hub, shows)], shows.secret));
}

async function enterPage(hub: TestHub, original: boolean, shows: Shown, headers: Record<string, string>): Promise<Answer> {
  // A browser fails a connection for which it has offered subprotocols and the hub has chosen none.
  const protocols = original ? [] : ["signalbox.1", ...(shows.protocols ?? [])];
  const hello = original ? undefined : await helloOf(hub, shows);
  const socket = new WebSocket(hub.ws, protocols, { headers: { ...headers, ...(shows.cookie && { cookie: shows.cookie }) } });
  try {
    return await new Promise((resolve, reject) => {
      socket.once("unexpected-response", (_request, response) => {
        response.setEncoding("utf8").once("data", (body) => resolve(`HTTP ${response.statusCode} ${String(body).trimEnd()}`));
      });
      socket.once("error", reject);
      if (hello) socket.once("open", () => socket.send(JSON.stringify(hello)));
      socket.on("message", (data) => {
        const packet = JSON.parse(String(data)) as Packet;
        if (packet.opcode === "challenge") socket.send(JSON.stringify(proof(shows.secret ?? "", packet)));
        else resolve(answerOf(packet));
      });
    });
  } finally {
    socket.on("error", () => {});
    socket.terminate();
  }
}

const FOREIGN = "HTTP 403 This origin is not in origins.";
/** The hub as the browser of a proxied page knows it. */
const PROXIED = { "x-forwarded-for": "192.0.2.9", "x-forwarded-proto": "https", "x-forwarded-host": "hub.intranet" };
const REMOTE = "PROXY TCP4 192.0.2.7 192.0.2.1 40000 8097\r\n";

/** Each origin and proxy with whether it is let through to be asked who it is. */
const WAYS = (port: number): readonly [way: string, trusted: boolean, headers: Record<string, string>, through: boolean][] => [
  ["no origin, no proxy", false, {}, true],
  ["the hub's own origin", false, { origin: `http://127.0.0.1:${port}` }, true],
  ["a foreign origin", false, { origin: "https://evil.example" }, false],
  ["its own origin through a proxy that is listed", true, { ...PROXIED, origin: "https://hub.intranet" }, true],
  ["a foreign origin through it", true, { ...PROXIED, origin: "https://evil.example" }, false],
  ["no origin through it", true, PROXIED, true],
  ["its own origin through a proxy that is not listed", false, { ...PROXIED, origin: "https://hub.intranet" }, false],
  ["no origin through that", false, PROXIED, true],
];

for (const { name, authenticators, rows } of CASES)
  describe(`[AUTH-1] ${name}`, () => {
    for (const [what, shows, page, original, backend] of rows)
      test(`${what}: a page gets ${page}; an original page ${original}; a backend of another host ${backend ?? "nothing"}; and so whatever its origin and proxy; nothing of it is logged`, async (t) => {
        const authenticate = await authenticators(t);
        const unix = `unix:${join(tmpdir(), `signalbox-${randomUUID()}.sock`)}`;
        const plain = await startHub(t, { authenticate, listen: ["ws://127.0.0.1:0", unix] });
        const proxied = await startHub(t, { authenticate, trustedProxies: ["127.0.0.1"], listen: ["ws://127.0.0.1:0", `${unix}.proxied`] });
        const behind = await startHub(t, {
          authenticate,
          trustedProxies: ["127.0.0.1"],
          proxyProtocol: true,
          listen: ["tcp://127.0.0.1:0", `${unix}.behind`],
        });
        for (const [way, trusted, headers, through] of WAYS(plain.wsPort)) {
          const hub = trusted ? proxied : plain;
          for (const [kind, expected] of [
            [false, page],
            [true, original],
          ] as const)
            assert.equal(
              await enterPage(hub, kind, shows, headers),
              through ? expected : FOREIGN,
              `${way}, ${kind ? "original" : "hello"}`,
            );
        }
        const names = authenticate.map(({ name }) => name).join(", ");
        assert.equal(await enterBackend(behind, REMOTE, shows), backend ?? `close 4401 ${shown(names)}`);
        assert.match(await enterBackend(behind, "", shows), /^ready$/);
        assert.equal(leaks([plain, proxied, behind], shows), undefined);
      });
  });

/** What was shown must stand in no log line. */
function leaks(hubs: readonly TestHub[], { cookie: jar = "", protocols = [], token, secret }: Shown): string | undefined {
  const lines = JSON.stringify(hubs.map(({ log }) => log.lines));
  const secrets = [
    ...jar.split(/[=;]/).filter((part) => part.length > 20),
    ...protocols,
    typeof token === "string" && token.length > 8 ? token : "",
    secret ?? "",
  ];
  return secrets.find((each) => each !== "" && lines.includes(each));
}

describe("paths where nobody is asked, beside others where pages are", () => {
  const orders = { opcodes: { order: () => 1 } };
  const CASES: readonly [what: string, settings: HubSettings, paths: string | undefined][] = [
    ["forgotten ones are named in the log", { resources: { "/orders": { apps: orders, authenticate: [session] } } }, "/ /web /php"],
    ["one that is meant is not", { authenticate: [session], resources: { "/public": { authenticate: [] } } }, undefined],
    ["without any login there is nothing to be said", { resources: { "/orders": orders } }, undefined],
  ];
  for (const [what, settings, paths] of CASES)
    test(what, async (t) => {
      const hub = await startHub(t, settings);
      assert.equal(hub.log.of("auth.open")[0]?.paths, paths);
    });
});

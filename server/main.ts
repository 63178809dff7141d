import { readFileSync } from "node:fs";
import { createDemo } from "../apps/demo.js";
import { jobs } from "../apps/jobs/jobs.js";
import { locks } from "../apps/locks/locks.js";
import { standard } from "../apps/standard.js";
import { state } from "../apps/state/state.js";
import { quoted } from "../protocol/index.js";
import type { AdminListener } from "./admin/admin-listener.js";
import type { App, Log } from "./app.js";
import type { Allow } from "./auth/allow.js";
import { applicationKey } from "./auth/application-key.js";
import type { Authenticator } from "./auth/authenticator.js";
import { forwardAuth } from "./auth/forward-auth.js";
import { jwt } from "./auth/jwt.js";
import { signedCookie } from "./auth/signed-cookie.js";
import { tickets } from "./auth/tickets.js";
import { systemClock } from "./clock.js";
import type { Cluster } from "./cluster/cluster.js";
import { MemoryCluster } from "./cluster/memory.js";
import { fitToFiles, openFilesLimit } from "./file-limit.js";
import { type ForwardedHeader, TrustedProxies } from "./forwarded.js";
import { Hub } from "./hub.js";
import { type ListenUrl, parseAdminUrl, parseListenUrl } from "./listen-url.js";
import { createLog } from "./log.js";
import { watchLoop } from "./loop-watch.js";
import {
  type AuthenticateOption,
  checkValue,
  isSettings,
  nearest,
  OptionError,
  type Options,
  type ResourceOption,
  type ResourceSettings,
  resolveOptions,
} from "./options.js";
import { createPages } from "./pages.js";
import type { Resource } from "./resource.js";
import { TcpTransport } from "./transports/tcp.js";
import { WebSocketTransport } from "./transports/websocket.js";

export type { Packet, Tags, Target } from "../protocol/index.js";
export { Answer, Refusal } from "../protocol/index.js";
export type { AllowFunction, AllowRule, App, AppHub, BroadcastOptions, Handler, Log, Peer, User, Who } from "./app.js";
export type { Allow } from "./auth/allow.js";
export { applicationKey } from "./auth/application-key.js";
export { type Authenticator, type Credentials, type Identity, unauthorized } from "./auth/authenticator.js";
export { cookieOf } from "./auth/cookies.js";
export { type ForwardAuthOptions, forwardAuth } from "./auth/forward-auth.js";
export { type JwtOptions, jwt } from "./auth/jwt.js";
export { type CookieUser, type SignedCookieOptions, type SigningOptions, signCookie, signedCookie } from "./auth/signed-cookie.js";
export { tickets } from "./auth/tickets.js";
export type { Cluster } from "./cluster/cluster.js";
export { MemoryCluster } from "./cluster/memory.js";
export { OptionError, type Options } from "./options.js";
export { type Schema, shaped } from "./shape.js";

/** The paths that carry the built-in apps whatever else is mounted: any page's, and what the original's clients ask for. */
const BUILT_IN_PATHS = ["/", "/web", "/php"];

export interface HubSettings extends Partial<Options> {
  /** Default: winston, on standard error. */
  log?: Log;
  /** Default: memory, this hub alone. Two hubs that are given the same one deliver to each other's pages. */
  cluster?: Cluster;
}

/** A hub as a part of your program. */
export interface RunningHub {
  /** The URLs it listens on, with their real ports. */
  readonly listeners: readonly string[];
  readonly log: Log;
  /** Stops accepting, lets handlers finish, tells everybody, and settles when all is closed: within 5 s. */
  stop(reason?: string): Promise<void>;
}

/**
 * Starts a hub. Settles when all its listeners stand.
 * @throws OptionError (rejects) that names the option, the rule and what came; TypeError for an app that is not right
 */
export async function createHub({ log: givenLog, cluster = new MemoryCluster(), ...given }: HubSettings = {}): Promise<RunningHub> {
  const asked = resolveOptions(given);
  const log = givenLog ?? createLog({ level: asked.logLevel, format: asked.logFormat });
  const options = withinFiles(asked, log);
  const hub = new Hub({ limits: options, clock: systemClock, cluster, log });
  mountAll(hub, options);
  const urls = options.listen.map((text) => ({ text, url: parseListenUrl(text) }));
  const transports: Transport[] = [];
  const admin = options.admin === "" ? undefined : await createAdmin(hub, options.admin);
  try {
    for (const { text, url } of urls) transports.push(createTransport(hub, text, url, options));
    if (admin) log.info("admin.up", { url: await admin.listen() });
    await hub.start();
    const listeners: string[] = [];
    for (const transport of transports) listeners.push(await transport.listen());
    hub.listeners = listeners;
    for (const url of listeners) log.info("listener.up", { url });
  } catch (error) {
    await stopAll(hub, transports, admin);
    throw error;
  }
  const endWatch = watchLoop(systemClock, log);
  const stop = async (reason?: string): Promise<void> => {
    endWatch();
    await stopAll(hub, transports, admin, reason);
  };
  return { listeners: hub.listeners, log, stop };
}

/** Fewer peers than there are files: who is too many is told so, and operators can still look. */
function withinFiles(options: Options, log: Log): Options {
  const files = openFilesLimit();
  const fewer = files === undefined ? undefined : fitToFiles(options, files);
  if (fewer === undefined) return options;
  log.warn("files.few", { files, ...fewer });
  return { ...options, ...fewer };
}

async function stopAll(hub: Hub, transports: readonly Transport[], admin: AdminListener | undefined, reason?: string): Promise<void> {
  for (const transport of transports) transport.stopAccepting();
  await hub.stop(reason);
  await Promise.all(transports.map((transport) => transport.close()));
  await admin?.close();
}

/** Loaded only where somebody wants to look: `prom-client` is no part of a hub that nobody scrapes. */
async function createAdmin(hub: Hub, text: string): Promise<AdminListener> {
  const at = parseAdminUrl(text);
  const { AdminListener } = await import("./admin/admin-listener.js");
  return new AdminListener(hub, at);
}

function mountAll(hub: Hub, options: Options): void {
  const resources = new Map<string, ResourceSettings>(BUILT_IN_PATHS.map((path) => [path, {}]));
  if (options.demo) resources.set("/demo", { apps: createDemo({ folder: options.demoFolder }) });
  for (const [pattern, given] of Object.entries(options.resources)) resources.set(pattern, settingsOf(pattern, given));
  const mounts = Array.from(resources, ([pattern, settings]) => ({
    pattern,
    apps: appsOf(pattern, settings.apps ?? []),
    authenticators: (settings.authenticate ?? options.authenticate).map(authenticatorOf),
    allow: [settings.allow, options.allow].filter((each) => each !== undefined),
  }));
  // What an authenticator needs to be said can be said everywhere: whoever issues tickets, say, need not be where they are shown.
  const theirs = new Set(mounts.flatMap(({ authenticators }) => authenticators.map(({ app }) => app).filter((app) => app !== undefined)));
  const builtIn: App[] = [...theirs, jobs(options), locks(options), state(options), standard()];
  for (const { pattern, apps, ...access } of mounts) hub.mount(pattern, [...apps, ...builtIn], access);
  sayWhatIsOpen(hub, resources);
  checkNamed("`allow`", options.allow, [...hub.resources.all()]);
  for (const [pattern, { allow }] of resources)
    if (allow) checkNamed(`\`allow\` of ${quoted(pattern)}`, allow, [hub.resources.get(pattern) as Resource]);
}

/** State, locks and UUIDs are shared by all paths: one that was forgotten lets everybody at what the others guard. */
function sayWhatIsOpen({ log, resources }: Hub, given: ReadonlyMap<string, ResourceSettings>): void {
  const forgotten = [...resources.all()].filter(
    ({ pattern, authenticators }) => authenticators.length === 0 && given.get(pattern)?.authenticate === undefined,
  );
  if (resources.asksPages && forgotten.length > 0) log.warn("auth.open", { paths: forgotten.map(({ pattern }) => pattern).join(" ") });
}

/** A rule for an opcode that there is not would leave open what it was to close. @throws OptionError */
function checkNamed(where: string, allow: Allow, resources: readonly Resource[]): void {
  if (typeof allow !== "object") return;
  const opcodes = [...new Set(resources.flatMap((resource) => resource.opcodes))];
  for (const opcode of Object.keys(allow))
    if (opcode !== "*" && !opcodes.includes(opcode))
      throw new OptionError(`${where}: no app handles ${quoted(opcode)}: did you mean ${quoted(nearest(opcode, opcodes))}?`);
}

function settingsOf(pattern: string, given: ResourceOption): ResourceSettings {
  if (!isSettings(given)) {
    const slip = ["authenticate", "apps"].find((name) => typeof given === "object" && given !== null && name in given);
    if (slip)
      throw new OptionError(`\`resources\` ${pattern}: \`${slip}\` belongs beside \`apps\`, not into an app: { apps: …, ${slip}: … }.`);
    return { apps: given };
  }
  const known = ["apps", "authenticate", "allow"];
  for (const name of Object.keys(given))
    if (!known.includes(name))
      throw new OptionError(`\`resources\` ${pattern}: expected ${known.join(", ")}, or an app with \`opcodes\`, got ${quoted(name)}.`);
  if (given.authenticate !== undefined) checkValue("authenticate", given.authenticate);
  return given;
}

/** @throws OptionError where it is one of ours that has not been called */
function authenticatorOf(option: AuthenticateOption): Authenticator {
  if (FACTORIES.has(option))
    throw new OptionError(
      `\`authenticate\`: expected an authenticator, got what makes one: write ${(option as { name: string }).name}(…).`,
    );
  return typeof option === "function" ? { name: option.name || "a function", afterHello: true, authenticate: option } : option;
}

const FACTORIES: ReadonlySet<unknown> = new Set([applicationKey, forwardAuth, jwt, signedCookie, tickets]);

function appsOf(pattern: string, given: unknown): App[] {
  return [given].flat().map((app) => {
    if (typeof app === "string")
      throw new OptionError(
        `\`resources\` ${pattern}: a module's path is only for configuration files, here import ${app} and give the app.`,
      );
    return app as App;
  });
}

interface Transport {
  listen(): Promise<string>;
  stopAccepting(): void;
  /** Settles when all its sockets are closed: by themselves, or by force after a second. */
  close(): Promise<void>;
}

function createTransport(hub: Hub, text: string, url: ListenUrl, options: Options): Transport {
  const { origins, allowedHosts, trustedProxies, backendKey, trust } = options;
  if (url.scheme === "unix") return new TcpTransport(hub, { at: { path: url.path }, tls: undefined, backendKey, trust });
  const proxyProtocolFrom = options.proxyProtocol ? new TrustedProxies(trustedProxies) : undefined;
  const tls = url.scheme === "wss" || url.scheme === "tls" ? readTls(text, options) : undefined;
  if (url.scheme === "tcp" || url.scheme === "tls") return new TcpTransport(hub, { at: url, tls, backendKey, trust, proxyProtocolFrom });
  return new WebSocketTransport(hub, {
    host: url.host,
    port: url.port,
    tls,
    origins,
    allowedHosts,
    proxyProtocolFrom,
    trustedProxies,
    proxyHeader: options.proxyHeader as ForwardedHeader,
    pages: createPages(pageMap(options.demo)),
  });
}

function readTls(url: string, { tlsCert, tlsKey, tlsClientCa }: Options): { cert: Buffer; key: Buffer; ca: Buffer | undefined } {
  if (tlsCert === "" || tlsKey === "")
    throw new OptionError(`\`listen\` ${url} needs \`tlsCert\` and \`tlsKey\`, the files of a certificate and its key.`);
  return {
    cert: readPem("tlsCert", tlsCert),
    key: readPem("tlsKey", tlsKey),
    ca: tlsClientCa === "" ? undefined : readPem("tlsClientCa", tlsClientCa),
  };
}

function readPem(name: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new OptionError(`\`${name}\`: ${(error as Error).message}`);
  }
}

const DEMO_FILES = {
  "/": "index.html",
  "/records": "records.html",
  "/board": "board.html",
  ...Object.fromEntries(["demo.js", "records.js", "board.js", "visitor.js", "demo.css", "icon.svg"].map((name) => [`/demo/${name}`, name])),
};

/** The modules of pages are always served; the demo where it is asked for. */
function pageMap(demo: boolean): Map<string, URL> {
  const file = (name: string): URL => new URL(`../web-client/${name}`, import.meta.url);
  const pages = new Map(["signalbox.js", "signalbox-job.js"].map((name) => [`/${name}`, file(name)]));
  if (demo) for (const [path, name] of Object.entries(DEMO_FILES)) pages.set(path, file(`demo/${name}`));
  return pages;
}

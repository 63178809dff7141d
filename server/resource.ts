import { Fault, type Packet, quoted, RESERVED, Refusal } from "../protocol/index.js";
import type { App, Handler, Peer } from "./app.js";
import type { AppHost } from "./app-host.js";
import { type Allow, checkAllow, type Permit, permitOf } from "./auth/allow.js";
import type { Authenticator } from "./auth/authenticator.js";
import type { WordTable } from "./dialect.js";

/** What one opcode is on a resource: found once for each message. */
export class Route {
  constructor(
    readonly host: AppHost,
    private readonly handler: Handler,
    /** What a message has to pass; `undefined`: everybody may say it. */
    readonly permit: Permit | undefined,
  ) {}

  /** @returns what the handler returns. Throws what it throws */
  handle(packet: Packet, peer: Peer): unknown {
    return this.host.handle(this.handler, packet, peer);
  }
}

/** Who may come in on a resource, and who may say what there. */
export interface Access {
  /** Asked in their order; none: everybody may come in. */
  readonly authenticators?: readonly Authenticator[];
  /** Rules of the path, then those of all paths: what the first does not name the next decides as well. */
  readonly allow?: readonly Allow[];
}

/** One path, or all paths below one: which app handles what. */
export class Resource {
  /** The plain words its apps declare. */
  readonly words: WordTable;
  readonly authenticators: readonly Authenticator[];
  readonly #routes = new Map<string, Route>();

  /** @param hosts in their order: a message goes to the first that declares its opcode */
  constructor(
    /** An exact path, or a prefix ending in `/*`. */
    readonly pattern: string,
    readonly hosts: readonly AppHost[],
    { authenticators = [], allow = [] }: Access = {},
  ) {
    for (const each of allow) checkAllow(pattern, each);
    this.authenticators = authenticators;
    const words = new Map<string, (args: string) => Packet>();
    for (const host of hosts) {
      for (const [opcode, handler] of Object.entries(host.app.opcodes)) {
        if (this.#routes.has(opcode)) continue;
        this.#routes.set(opcode, new Route(host, handler, permitOf(pattern, opcode, host.app, allow)));
      }
      for (const [word, build] of Object.entries(host.app.words ?? {})) if (!words.has(word)) words.set(word, build);
    }
    this.words = words;
  }

  /** @throws Refusal `unknown-opcode` [STD-8] */
  route(opcode: string): Route {
    const route = this.#routes.get(opcode);
    if (route) return route;
    throw new Refusal("unknown-opcode", `No app on ${quoted(this.pattern)} handles ${quoted(opcode)}.`);
  }

  /** All that its apps declare. */
  get opcodes(): readonly string[] {
    return [...this.#routes.keys()];
  }

  /** The app a failure while handling this opcode belongs to. */
  hostOf(opcode: string): AppHost | undefined {
    return this.#routes.get(opcode)?.host;
  }
}

/** The resources by path: literal ones in a map, prefixes looked up from the longest to the shortest. No patterns, nothing that backtracks. */
export class Resources {
  /** Pages are asked who they are, on one of them at least. */
  asksPages = false;
  readonly #byPattern = new Map<string, Resource>();

  get patterns(): string[] {
    return [...this.#byPattern.keys()];
  }

  all(): Iterable<Resource> {
    return this.#byPattern.values();
  }

  get(pattern: string): Resource | undefined {
    return this.#byPattern.get(pattern);
  }

  add(resource: Resource): void {
    this.#byPattern.set(resource.pattern, resource);
    this.asksPages ||= resource.authenticators.length > 0;
  }

  /** @throws Fault `no-resource` [OPEN-5] */
  resolve(path: string): Resource {
    const found = this.find(path);
    if (found) return found;
    throw new Fault("no-resource", `No resource ${quoted(path)} here; there is ${this.patterns.join(", ")}.`);
  }

  find(path: string): Resource | undefined {
    const exact = path.endsWith("/*") ? undefined : this.#byPattern.get(path);
    if (exact) return exact;
    for (let slash = path.lastIndexOf("/"); slash >= 0; slash = path.lastIndexOf("/", slash - 1)) {
      const resource = slash + 1 < path.length ? this.#byPattern.get(`${path.slice(0, slash)}/*`) : undefined;
      if (resource) return resource;
      if (slash === 0) break;
    }
    return undefined;
  }
}

/**
 * Checks an app at registration, so that a slip shows at start and not at the first message.
 * @throws TypeError that names the path, the rule and what came
 */
export function checkApp(pattern: string, app: App): void {
  const where = `The app on ${quoted(pattern)}`;
  if (typeof app !== "object" || app === null) throw new TypeError(`${where}: expected an object with \`opcodes\`, got ${quoted(app)}.`);
  const opcodes = Object.entries(typeof app.opcodes === "object" && app.opcodes !== null ? app.opcodes : {});
  if (opcodes.length === 0)
    throw new TypeError(
      `${where} handles nothing: expected \`opcodes\` to have at least one handler, such as { opcodes: { order(packet, peer, hub) { … } } }.`,
    );
  for (const [opcode, handler] of opcodes) {
    if (typeof handler !== "function")
      throw new TypeError(`${where}: expected the handler of opcode ${quoted(opcode)} to be a function, got ${quoted(handler)}.`);
    if (RESERVED.has(opcode) || opcode === "quit") throw new TypeError(`${where}: opcode ${quoted(opcode)} belongs to the dialog.`);
  }
  checkAllow(pattern, app.allow);
  for (const opcode of [...Object.keys(app.allow ?? {}), ...(app.reads ?? [])])
    if (!Object.hasOwn(app.opcodes, opcode))
      throw new TypeError(`${where}: \`allow\` and \`reads\` name ${quoted(opcode)}, which is none of its opcodes.`);
  for (const [word, build] of Object.entries(app.words ?? {})) {
    if (typeof build !== "function" || !/^[a-z][a-z0-9-]*$/.test(word)) {
      throw new TypeError(`${where}: expected \`words\` to hold functions under lower-case names, got ${quoted(word)}.`);
    }
  }
}

/** @throws TypeError where it is neither a path nor a prefix ending in `/*` */
export function checkPattern(pattern: string): void {
  const literal = pattern.endsWith("/*") ? pattern.slice(0, -2) : pattern;
  if ((literal !== "" && !literal.startsWith("/")) || pattern === "" || literal.includes("*") || /[?#]/.test(pattern)) {
    throw new TypeError(`Expected a resource to be a path such as /orders, or a prefix such as /orders/*, got ${quoted(pattern)}.`);
  }
}

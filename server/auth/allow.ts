import { type MaybePromise, type Packet, quoted, Refusal, whenKnown } from "../../protocol/index.js";
import type { AllowFunction, AllowRule, App, Peer, Who } from "../app.js";

/**
 * Who may say what on a resource. A table by opcode, `*` for all that it does not name; `readonly` in the place of the table or of `*`: pages may say only what
 * changes nothing. A function is asked for everything. Without any: everybody may say everything that the apps themselves do not reserve.
 */
export type Allow = "readonly" | AllowFunction | Readonly<Record<string, AllowRule | "readonly">>;

/** Lets a message pass or throws (or rejects with) a Refusal. */
export type Permit = (packet: Packet, peer: Peer) => MaybePromise<void>;

const KINDS: ReadonlySet<string> = new Set(["anyone", "nobody", "page", "backend", "local", "user"]);
const REST = "*";

/** The codes of the two rules that apps themselves have; all others are `not-allowed`. */
const CODES: ReadonlyMap<unknown, string> = new Map([
  ["backend", "not-a-backend"],
  ["local", "not-local"],
]);
const NOT_ALLOWED = "not-allowed";

/** @throws TypeError that names the path, the rule and what came */
export function checkAllow(pattern: string, allow: unknown): asserts allow is Allow | undefined {
  if (allow === undefined || allow === "readonly" || typeof allow === "function") return;
  if (typeof allow !== "object" || allow === null || Array.isArray(allow))
    throw new TypeError(
      `\`allow\` of ${quoted(pattern)}: expected "readonly", a function, or an object of rules by opcode, got ${quoted(allow)}.`,
    );
  for (const [opcode, rule] of Object.entries(allow)) {
    if (typeof rule === "function" || (rule === "readonly" && opcode === REST)) continue;
    const words: unknown[] = Array.isArray(rule) ? rule : [rule];
    const wrong = words.length === 0 ? rule : words.find((word) => !isWho(word));
    if (wrong !== undefined)
      throw new TypeError(
        `\`allow\` of ${quoted(pattern)}, ${quoted(opcode)}: expected ${[...KINDS].join(", ")}, user:ID, role:NAME, a list of these or a function, got ${quoted(wrong)}.`,
      );
  }
}

function isWho(word: unknown): word is Who {
  return typeof word === "string" && (KINDS.has(word) || /^(user|role):./s.test(word));
}

/**
 * The one place where it is decided who may say what: once for each opcode, when it is registered.
 * @returns what every message of this opcode has to pass; `undefined` where everybody may say it
 */
export function permitOf(pattern: string, opcode: string, app: App, allow: readonly Allow[]): Permit | undefined {
  const rules: (AllowRule | "readonly" | undefined)[] = [];
  for (const each of allow) {
    const { rule, named } = ruleFor(opcode, app, each);
    rules.push(rule);
    // Who names an opcode has thought of it: that is the whole rule here, also for what the app reserves.
    if (named) return all(rules.map((each) => permit(pattern, opcode, each)));
  }
  if (Object.hasOwn(app.allow ?? {}, opcode)) rules.push(app.allow?.[opcode]);
  return all(rules.map((rule) => permit(pattern, opcode, rule)));
}

/** What has to pass all of them, one after the other. */
function all(permits: readonly (Permit | undefined)[]): Permit | undefined {
  return permits.reduce(
    (first, second) => (first && second ? (packet, peer) => whenKnown(first(packet, peer), () => second(packet, peer)) : (first ?? second)),
    undefined,
  );
}

function ruleFor(opcode: string, app: App, allow: Allow): { rule: AllowRule | "readonly" | undefined; named: boolean } {
  if (typeof allow !== "object") return { rule: unlessRead(allow, opcode, app), named: false };
  if (opcode !== REST && Object.hasOwn(allow, opcode)) return { rule: allow[opcode], named: true };
  return { rule: unlessRead(allow[REST], opcode, app), named: false };
}

/** What only reads may be said by those too who may only listen. */
function unlessRead(rule: AllowRule | "readonly" | undefined, opcode: string, { reads }: App): AllowRule | "readonly" | undefined {
  return rule === "readonly" && reads?.includes(opcode) ? undefined : rule;
}

function permit(pattern: string, opcode: string, rule: AllowRule | "readonly" | undefined): Permit | undefined {
  if (rule === undefined || rule === "anyone") return undefined;
  if (typeof rule === "function") return asked(pattern, opcode, rule);
  if (rule === "readonly") return listed(["backend"], NOT_ALLOWED, `${quoted(pattern)} is \`readonly\`: pages may only listen there, got`);
  const list = typeof rule === "string" ? [rule] : rule;
  if (list.includes("anyone")) return undefined;
  return listed(list, CODES.get(rule) ?? NOT_ALLOWED, `Expected ${quoted(opcode)} on ${quoted(pattern)} from ${list.join(" or ")}, got`);
}

function listed(list: readonly Who[], code: string, rule: string): Permit {
  return (packet, peer) => {
    for (const who of list) if (fits(peer, who)) return;
    throw new Refusal(code, `${rule} ${quoted(packet.opcode)} from ${shown(peer)}.`);
  };
}

function asked(pattern: string, opcode: string, allowed: AllowFunction): Permit {
  return (packet, peer) =>
    whenKnown(allowed(packet, peer), (answer) => {
      if (answer === true) return;
      const reason =
        typeof answer === "string" ? answer : `The function \`allow\` of ${quoted(pattern)} does not let ${shown(peer)} say it.`;
      throw new Refusal(NOT_ALLOWED, `${quoted(opcode)}: ${reason}`);
    });
}

function fits(peer: Peer, who: Who): boolean {
  switch (who) {
    case "anyone":
      return true;
    case "nobody":
      return false;
    case "page":
    case "backend":
      return peer.kind === who;
    case "local":
      return peer.kind === "backend" && peer.local;
    case "user":
      return peer.user !== undefined;
    default:
      return who.startsWith("user:") ? peer.user?.id === who.slice(5) : peer.user?.roles.includes(who.slice(5)) === true;
  }
}

/** Who it is, as far as the rules can tell. */
function shown({ kind, user, local }: Peer): string {
  const what = kind === "page" ? "a page" : local ? "a backend of this host" : "a backend of another host";
  if (user === undefined) return what;
  return `${what} of a user ${user.roles.length === 0 ? "without roles" : `with the roles ${quoted(user.roles.join(", "))}`}`;
}

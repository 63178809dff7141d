import { isIP } from "node:net";
import { hostname } from "node:os";
import { isLoopback } from "./address.js";

/** Characters of an origin or a host at the most: a name has 253, and reading a long one with letters beyond ASCII takes its time. */
export const MAX_ORIGIN = 1_024;

/** What decides whether a page may come in. */
export interface OriginRules {
  /** True for https:// and wss:// listeners. */
  readonly secure: boolean;
  /** The address the listener is bound to. */
  readonly boundTo: string;
  readonly origins: readonly string[];
  readonly allowedHosts: readonly string[];
}

/**
 * Is `Host` a name this listener answers to? Against DNS rebinding: a foreign name that resolves to this machine is
 * refused, for there Origin and Host are the same. An address in place of a name cannot be rebound.
 */
export function hostAllowed(host: string | undefined, rules: OriginRules): boolean {
  const url = host === undefined ? undefined : parseUrl(`http://${host}`);
  if (url === undefined || url.pathname !== "/" || url.username !== "" || url.search !== "" || url.hash !== "") return false;
  const name = url.hostname.toLowerCase();
  const bare = name.replace(/^\[|\]$/g, "");
  if (rules.allowedHosts.some((allowed) => allowed === "*" || allowed.toLowerCase() === name)) return true;
  if (isLoopback(rules.boundTo)) return name === "localhost" || name.endsWith(".localhost") || isLoopback(bare);
  return isIP(bare) !== 0 || name === hostname().toLowerCase() || name === rules.boundTo.toLowerCase();
}

/**
 * May a page of this origin connect? The listener's own may, and those that are listed; compared as scheme, host and
 * port. No origin at all is no browser, and may [OPEN-7].
 * @param host the Host header, already found to be allowed
 */
export function originAllowed(origin: string | undefined, host: string, rules: OriginRules): boolean {
  if (origin === undefined) return true;
  if (rules.origins.includes("*")) return true;
  const given = parseOrigin(origin);
  if (given === undefined) return false;
  return (
    given === parseUrl(`${rules.secure ? "https" : "http"}://${host}`)?.origin ||
    rules.origins.some((listed) => parseOrigin(listed) === given)
  );
}

/** Scheme, host and port in one form, or `undefined` for `null` and everything that is no origin. */
function parseOrigin(text: string): string | undefined {
  const url = parseUrl(text);
  if (url === undefined || url.origin === "null") return undefined;
  return url.pathname === "/" && url.search === "" && url.hash === "" && url.username === "" && url.password === ""
    ? url.origin
    : undefined;
}

function parseUrl(text: string): URL | undefined {
  return text.length <= MAX_ORIGIN && URL.canParse(text) ? new URL(text) : undefined;
}

import { quoted } from "../protocol/index.js";
import { isLoopback } from "./address.js";
import { OptionError } from "./options.js";

const SCHEMES = ["ws", "wss", "tcp", "tls"] as const;

/** Where to listen: a host and port, or the path of a unix socket. */
export type ListenUrl =
  | { readonly scheme: (typeof SCHEMES)[number]; readonly host: string; readonly port: number }
  | { readonly scheme: "unix"; readonly path: string };

/** @throws OptionError that names the rule and what came */
export function parseListenUrl(text: string): ListenUrl {
  const url = parse(text);
  if (url) return url;
  throw new OptionError(`Expected \`listen\` to be ws://HOST:PORT, wss://, tcp://, tls:// or unix:PATH, got ${quoted(text)}.`);
}

/** A host and port as they stand in a URL. */
export const authority = (host: string, port: number): string => `${host.includes(":") ? `[${host}]` : host}:${port}`;

/**
 * Where operators ask: on this host only, for what stands there is nobody else's business.
 * @throws OptionError
 */
export function parseAdminUrl(text: string): { readonly host: string; readonly port: number } | { readonly path: string } {
  const url = parse(text);
  if (url?.scheme === "unix") return { path: url.path };
  if (url?.scheme === "tcp" && isLoopback(url.host)) return { host: url.host, port: url.port };
  throw new OptionError(
    `Expected \`admin\` to be tcp://127.0.0.1:PORT, tcp://localhost:PORT, tcp://[::1]:PORT or unix:PATH, got ${quoted(text)}.`,
  );
}

function parse(text: string): ListenUrl | undefined {
  if (text.startsWith("unix:") && text.length > "unix:".length) return { scheme: "unix", path: text.slice("unix:".length) };
  const match = /^([a-z]+):\/\/(\[[0-9a-f:.]+\]|[^:/@?#\s]+):(\d{1,5})\/?$/i.exec(text);
  const [, scheme = "", host = "", port = ""] = match ?? [];
  if (!(SCHEMES as readonly string[]).includes(scheme) || Number(port) > 65_535) return undefined;
  return { scheme: scheme as "ws", host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
}

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Who may know whom. The first pattern that fits a file holds; what it may import is a pattern as well. */
const TABLE: readonly (readonly [file: RegExp, may: RegExp])[] = [
  [/^protocol\//, /^protocol\//],
  [/^client\//, /^(protocol|client)\//],
  [/^web-client\//, /^(protocol\/index|client\/index|web-client\/)|^\/signalbox/],
  [/^tcp-client\/run-command/, /^tcp-client\/run-pipes|^node:(child_process|events|os|stream|timers\/promises)$/],
  [/^tcp-client\/run-pipes/, /^node:(child_process|fs|net|os|path)$/],
  [/^tcp-client\//, /^(protocol\/index|client\/index|tcp-client\/)|^node:(crypto|net|tls|readline|util)$/],
  [/^apps\/jobs\//, /^(protocol\/index|server\/app\.|apps\/jobs\/)/],
  [/^apps\/keys\//, /^(protocol\/index|server\/app\.|apps\/keys\/)/],
  [/^apps\/locks\//, /^(protocol\/index|server\/app\.|apps\/(locks|keys)\/)/],
  [/^apps\/state\//, /^(protocol\/index|server\/app\.|apps\/(state|keys)\/)/],
  [/^apps\//, /^(protocol\/index|server\/app\.)|^node:/],
  [/^server\/main/, /^(protocol|server|apps)\/|^node:fs$/],
  [/^server\/serve/, /^server\/(main|config|shown-error)/],
  [/^server\/config/, /^(protocol|server)\/|^node:(fs|path|url|util)$/],
  [/^server\/log/, /^protocol\/|^server\/(app|clock|line-limit)\.|^winston$/],
  [/^server\/pages/, /^node:/],
  [/^server\/admin\/metrics/, /^server\/(counters|hub-status)|^prom-client$/],
  [/^server\/admin\//, /^server\/|^node:(http|net)$/],
  [/^server\/transports\/websocket\./, /^(protocol|server)\/|^ws$|^node:(events|http|https|net|stream)$/],
  [/^server\/transports\/(ending|socket-writer)/, /^server\/clock|^node:net$/],
  [/^server\/transports\/behind-proxy/, /^server\/(address|app|clock|counters|forwarded|proxy-protocol)\.|^node:net$/],
  [/^server\/transports\/early-messages/, /^$/],
  [/^server\/transports\/page-greeting/, /^protocol\/|^server\/(clock|greeting)\.|^server\/transports\/early-messages/],
  [/^server\/transports\/admission/, /^(protocol|server)\/|^node:(http|net)$/],
  [/^server\/transports\/arrivals/, /^server\/(address|app|counters)\.|^server\/transports\/behind-proxy|^node:net$/],
  [/^server\/transports\/handshake/, /^protocol\/|^node:(http|stream)$/],
  [/^server\/transports\/listening/, /^node:(fs|net|path)$/],
  [/^server\/transports\/tcp\./, /^(protocol|server)\/|^node:/],
  [/^server\/(address|origin)/, /^server\/(address|tally)|^node:(net|os)$/],
  [/^server\/forwarded/, /^protocol\/|^server\/address|^node:net$/],
  [/^server\/proxy-protocol/, /^node:net$/],
  [/^server\/file-limit/, /^server\/options|^node:fs$/],
  [/^server\/loop-watch/, /^server\/(app|clock)\./],
  [/^server\/shape/, /^protocol\/|^server\/app\./],
  [/^server\/auth\/jwt\./, /^(protocol|server\/auth)\/|^jose$/],
  [/^server\/auth\/jwt-keys/, /^(protocol|server\/auth)\/|^node:(crypto|fs)$/],
  [/^server\/auth\/(application-key|same-text|signed-cookie|tickets)/, /^protocol\/|^server\/(auth\/|app\.)|^node:crypto$/],
  [/^server\/auth\/forward-auth/, /^(protocol|server\/auth)\/|^node:(crypto|http)$/],
  [/^server\/auth\/get/, /^server\/auth\/|^node:(buffer|events|http|https)$/],
  [/^server\/auth\/allow/, /^protocol\/|^server\/app\./],
  [/^server\/auth\//, /^protocol\/|^server\/(auth\/|app|clock|counters|shown-error)/],
  [/^server\/greeting/, /^(protocol|server)\/(?!transports|main|serve|log|config|pages)|^node:crypto$/],
  [/^server\/tally/, /^$/],
  [/^server\/sessions/, /^node:crypto$/],
  [/^server\/hub/, /^(protocol|server)\/|^uuid$/],
  [/^server\//, /^(protocol|server)\/(?!transports|main|serve|log|config|pages)/],
  [/^bin\//, /^(server|tcp-client)\//],
  [/^examples\//, /^(tcp-client\/index|node:|signalbox$)/],
];

const rooms = ["protocol", "client", "web-client", "tcp-client", "apps", "server", "bin", "examples"];
const files = rooms.flatMap((room) =>
  readdirSync(join(ROOT, room), { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(ts|js)$/.test(name) && !name.endsWith(".d.ts"))
    .map((name) => `${room}/${name}`),
);

/** What a file imports: its own files as paths from the top, libraries by name. */
function importsOf(file: string): string[] {
  const source = readFileSync(join(ROOT, file), "utf8");
  return [...source.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map(([, name = ""]) => {
    return name.startsWith(".") ? normalize(join(dirname(file), name)) : name;
  });
}

describe("dependencies point one way", () => {
  test("every file imports what its room may know, and nothing else", () => {
    assert.ok(files.length > 50);
    for (const file of files) {
      const may = TABLE.find(([pattern]) => pattern.test(file))?.[1];
      for (const name of importsOf(file)) assert.ok(may?.test(name), `${file} must not import ${name}`);
    }
  });

  test("ws, winston, uuid, prom-client and jose are each known to one file of the hub", () => {
    const knowing = (name: string): string[] => files.filter((file) => file.startsWith("server/") && importsOf(file).includes(name));
    assert.deepEqual(knowing("ws"), ["server/transports/websocket.ts"]);
    assert.deepEqual(knowing("winston"), ["server/log.ts"]);
    assert.deepEqual(knowing("uuid"), ["server/hub.ts"]);
    assert.deepEqual(knowing("prom-client"), ["server/admin/metrics.ts"]);
    assert.deepEqual(
      files.filter((file) => importsOf(file).includes("jose")),
      ["server/auth/jwt.ts"],
    );
  });

  test("what runs with the hub is ws, uuid, winston and, where they are asked for, prom-client and jose, and nothing else", () => {
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { dependencies: object };
    assert.deepEqual(Object.keys(dependencies).sort(), ["jose", "prom-client", "uuid", "winston", "ws"]);
  });
});

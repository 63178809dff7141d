import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname } from "node:path";

/** What may be fetched: paths and their files. A literal map: no path of a request ever reaches the file system. */
export type PageMap = ReadonlyMap<string, URL>;

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

const HEADERS = {
  "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-cache",
  // Pages of the application live on another origin and import the client's module from here.
  "access-control-allow-origin": "*",
  "cross-origin-resource-policy": "cross-origin",
};

interface Page {
  readonly body: Buffer;
  readonly type: string;
  readonly etag: string;
}

/** Serves a fixed set of files over HTTP, read once at start. */
export function createPages(files: PageMap): (request: IncomingMessage, response: ServerResponse) => void {
  const pages = new Map([...files].map(([path, file]) => [path, read(file)] as const));
  return (request, response) => {
    const path = (request.url ?? "").split("?", 1)[0] as string;
    const page = pages.get(path);
    if (request.method !== "GET" && request.method !== "HEAD") response.writeHead(405, { ...HEADERS, allow: "GET, HEAD" }).end();
    else if (page === undefined)
      response
        .writeHead(404, { ...HEADERS, "content-type": "text/plain" })
        .end(`Nothing here. There is ${[...pages.keys()].join(", ")}.\n`);
    else if (request.headers["if-none-match"] === page.etag) response.writeHead(304, { ...HEADERS, etag: page.etag }).end();
    else {
      const { body, type, etag } = page;
      response.writeHead(200, { ...HEADERS, "content-type": type, "content-length": body.length, etag });
      response.end(request.method === "HEAD" ? undefined : body);
    }
  };
}

function read(file: URL): Page {
  const body = readFileSync(file);
  return {
    body,
    type: TYPES[extname(file.pathname)] ?? "application/octet-stream",
    etag: `"${createHash("sha256").update(body).digest("base64url").slice(0, 16)}"`,
  };
}

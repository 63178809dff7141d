import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { ROOT, run } from "./support/process.js";

const { exports, bin } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  exports: Record<string, { types: string; default: string }>;
  bin: Record<string, string>;
};

describe("the package", () => {
  test("can be imported by its names, with types", async () => {
    const expected = {
      signalbox: "createHub",
      "signalbox/web-client": "connect",
      "signalbox/tcp-client": "connect",
      "signalbox/protocol": "CLOSE",
    };
    for (const [name, member] of Object.entries(expected)) assert.ok(member in ((await import(name)) as object), name);
    for (const { types } of Object.values(exports)) assert.ok(existsSync(join(ROOT, types)), types);
  });

  test("contains what the command, the demo and the README need, and nothing of the build", async () => {
    const { stdout } = await run("npm", ["pack", "--dry-run", "--ignore-scripts", "--json"]);
    const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
    const paths = new Set(files.map(({ path }) => path));
    const needed = [
      bin.signalbox,
      "dist/web-client/signalbox.js",
      "dist/web-client/signalbox-job.js",
      "dist/web-client/signalbox-job.d.ts",
      "dist/web-client/demo/index.html",
      "dist/web-client/demo/records.html",
      "dist/web-client/demo/records.js",
      "dist/web-client/demo/board.html",
      "dist/web-client/demo/board.js",
      "dist/web-client/demo/visitor.js",
      "dist/examples/hash-folder.js",
      "dist/examples/machine-load.js",
      "examples/pack-folder.sh",
      "examples/report.sh",
      "examples/own-page/index.html",
      "examples/with-login/whoami.php",
      "tcp-client/php/signalbox-cookie.php",
      "tcp-client/python/signalbox_cookie.py",
      "docs/trust.md",
      "SECURITY.md",
      "examples/job.php",
      "tcp-client/bash/signalbox.sh",
      "tcp-client/php/signalbox.php",
      "tcp-client/python/signalbox.py",
      "docs/demo.png",
      "docs/records.png",
      "docs/board.png",
      "PROTOCOL.md",
    ];
    for (const path of needed) assert.ok(paths.has(path as string), `${path} is missing`);
    for (const path of paths) assert.ok(!path.startsWith("dist/test") && !path.startsWith("dist/bench"), path);
    for (const path of paths) assert.ok(!/tsbuildinfo$|__pycache__/.test(path), path);
  });

  for (const [name, limit] of [
    ["signalbox.js", 10_000],
    ["signalbox-job.js", 3_000],
  ] as const) {
    test(`the page's module ${name} is one file without imports, at most ${limit / 1_000} kB gzipped`, () => {
      const module = readFileSync(join(ROOT, "dist/web-client", name));
      assert.ok(!/\bimport\s*[("'{]/.test(module.toString()));
      assert.ok(gzipSync(module).length <= limit, `${gzipSync(module).length} bytes`);
    });
  }
});

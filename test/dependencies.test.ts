import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ROOT } from "./support/process.js";

interface Package {
  readonly version: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly hasInstallScript?: boolean;
  readonly integrity?: string;
}

const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as { packages: Record<string, Package> };
const { dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { dependencies: Record<string, string> };

/** What is installed with the hub, by whom it is wanted. A new one is a decision: it is read before it is written here. */
const TREE: Readonly<Record<string, string>> = {
  ws: "ws",
  uuid: "uuid",
  jose: "jose",
  "prom-client": "prom-client @opentelemetry/api tdigest bintrees",
  winston: [
    "winston @colors/colors @dabh/diagnostics @so-ric/colorspace @types/triple-beam async color color-convert color-name color-string",
    "enabled fecha fn.name inherits is-stream kuler logform ms one-time readable-stream safe-buffer safe-stable-stringify stack-trace",
    "string_decoder text-hex triple-beam util-deprecate winston-transport",
  ].join(" "),
};
const LICENCES = new Set(["MIT", "ISC", "Apache-2.0"]);

const runtime = Object.entries(packages).filter(([path, { dev, devOptional }]) => path !== "" && !dev && !devOptional);
const nameOf = (path: string): string => path.split("node_modules/").at(-1) as string;

describe("what runs with the hub", () => {
  test("is this tree of packages, and no other", () => {
    const names = new Set(runtime.map(([path]) => nameOf(path)));
    assert.deepEqual(
      [...names].sort(),
      Object.values(TREE)
        .flatMap((each) => each.split(" "))
        .sort(),
    );
  });

  test("has no install script, so that npm ci --ignore-scripts suffices", () => {
    assert.deepEqual(
      runtime.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path),
      [],
    );
  });

  test("has licences that an intranet may use, and checksums", () => {
    for (const [path, { license = "", integrity }] of runtime) assert.ok(LICENCES.has(license) && integrity?.startsWith("sha512-"), path);
  });

  test("is asked for in one version each, and not in a range", () => {
    assert.deepEqual(Object.keys(dependencies).sort(), Object.keys(TREE).sort());
    for (const [name, version] of Object.entries(dependencies)) {
      assert.match(version, /^\d+\.\d+\.\d+$/, name);
      assert.equal(packages[`node_modules/${name}`]?.version, version);
    }
  });
});

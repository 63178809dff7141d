// Builds everything into dist/: the rooms with tsc, the modules of pages with esbuild, and what is served as it is.
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync } from "node:fs";
import { buildSync } from "esbuild";

execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-b"], { stdio: "inherit" });
// What a page takes from the hub: one file each. The element is built from its source, for its module of `tsc` has the same name.
const modules = { "dist/web-client/index.js": "signalbox", "web-client/signalbox-job.ts": "signalbox-job" };
buildSync({
  entryPoints: Object.entries(modules).map(([entry, name]) => ({ in: entry, out: name })),
  outdir: "dist/web-client",
  allowOverwrite: true,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
});
cpSync("web-client/demo", "dist/web-client/demo", { recursive: true, filter: (path) => !path.endsWith(".ts") });
chmodSync("dist/bin/signalbox.js", 0o755);

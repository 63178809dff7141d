// Builds everything into dist/: the rooms with tsc, the client's one module with esbuild, and what is served as it is.
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync } from "node:fs";
import { buildSync } from "esbuild";

execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-b"], { stdio: "inherit" });
buildSync({
  entryPoints: ["dist/web-client/index.js"],
  outfile: "dist/web-client/signalbox.js",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
});
cpSync("web-client/demo", "dist/web-client/demo", { recursive: true, filter: (path) => !path.endsWith(".ts") });
chmodSync("dist/bin/signalbox.js", 0o755);

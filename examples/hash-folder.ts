// A backend job, as your application would start one: hashes every file below a folder and reports each to a page.
//   node hash-folder.js HUB UUID FOLDER
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { connect } from "../tcp-client/index.js";

const [hubUrl = "", uuid = "", folder = "."] = process.argv.slice(2);

const hub = await connect(hubUrl, { ident: "hash-folder" });
const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
const total = createHash("sha256");
let bytes = 0;

for (const [index, { parentPath, name }] of files.entries()) {
  const path = join(parentPath, name);
  const outcome = await hub.feedback(uuid, { at: index, of: files.length, file: relative(folder, path) });
  // The page has gone: nobody waits for the result.
  if (outcome.status === "gone") process.exit(0);
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  total.update(hash.digest());
}

await hub.feedback(uuid, { at: files.length, of: files.length, bytes, result: total.digest("hex") });
hub.close();

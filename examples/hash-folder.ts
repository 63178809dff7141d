// A backend job, as your application would start one: hashes every file below a folder; its page sees how far it is, and can stop it.
//   node hash-folder.js HUB UUID FOLDER
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { connect, type Job } from "../tcp-client/index.js";

const [hubUrl = "", uuid = "", folder = "."] = process.argv.slice(2);

async function hashAll(job: Job, signal: AbortSignal): Promise<object> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const total = createHash("sha256");
  let bytes = 0;
  for (const [at, { parentPath, name }] of files.entries()) {
    const path = join(parentPath, name);
    const { status } = await job.progress({ at, of: files.length, message: relative(folder, path) });
    // There is no page any more: nobody waits for the result.
    if (status === "gone") throw new Error("The page has left.");
    signal.throwIfAborted();
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(path)) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    total.update(hash.digest());
  }
  return { files: files.length, bytes, sha256: total.digest("hex") };
}

/** What fails is told to the page, and the sentence of a system error names paths of this host; its code does not. */
async function withoutPaths(job: Job, signal: AbortSignal): Promise<object> {
  try {
    return await hashAll(job, signal);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw code === undefined || signal.aborted ? error : new Error(`The folder cannot be read: ${code}.`, { cause: error });
  }
}

const hub = await connect(hubUrl, { ident: "hash-folder" });
try {
  await hub.run(uuid, "hash", withoutPaths, { title: "Hashing every file", message: "Looking for files …" });
} catch (error) {
  // Stopped by its user is as good an end as any.
  if ((error as Error).name !== "AbortError") throw error;
} finally {
  hub.close();
}

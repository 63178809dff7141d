import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { Packet } from "../../protocol/index.js";
import { createHub, type HubSettings, OptionError } from "../../server/main.js";
import { startHub, TestLog } from "../support/hub.js";
import { LineClient } from "../support/line-client.js";
import { Page } from "../support/page.js";
import { noUncaughtErrors } from "./support-bystander.js";
import { type Certificate, opensslMissing, selfSigned, signedBy } from "./support-certificates.js";
import { openSocket, untilClosed } from "./support-sockets.js";

noUncaughtErrors();
// A listener that a hub left up would keep this process alive, and the whole run with it.
after(() => void setTimeout(() => process.exit(1), 5_000).unref());

/** A folder that is gone after the test. */
function temporaryFolder(t: Pick<TestContext, "after">): string {
  const folder = mkdtempSync(join(tmpdir(), "signalbox-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A socket file behind which nobody listens: its hub died. */
async function staleSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.live`, resolve));
  // Closing removes the file where it was bound, so it is moved away before.
  renameSync(`${path}.live`, path);
  await new Promise((resolve) => server.close(resolve));
}

/** One conversation in plain words over a unix socket. */
async function echoOver(t: TestContext, path: string): Promise<string> {
  const socket = await openSocket(t, path);
  const closed = untilClosed(socket);
  socket.end("echo text\n");
  return (await closed).toString();
}

/** Starting a hub like this must fail; what came up of it must be down again. */
async function failsToStart(settings: HubSettings): Promise<Error> {
  try {
    await (await createHub({ log: new TestLog(), ...settings })).stop();
  } catch (error) {
    return error as Error;
  }
  return assert.fail("the hub started");
}

const ECHOED = 'next done {"opcode":"echo","message":"text"}\n';
const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8);

describe("unix sockets", () => {
  test("a backend is served over a unix socket that only its owner may open, and that goes with the hub", async (t) => {
    const path = join(temporaryFolder(t), "hub.sock");
    const umask = process.umask();
    const hub = await startHub(t, { listen: [`unix:${path}`] });
    assert.deepEqual(hub.listeners, [`unix:${path}`]);
    assert.equal(mode(path), "600");
    assert.equal(process.umask(), umask, "and files of the rest of the process are as before");
    assert.equal(await echoOver(t, path), ECHOED);
    assert.deepEqual(
      hub.log.of("peer.opened").map(({ kind, ip }) => ({ kind, ip })),
      [{ kind: "backend", ip: "unix" }],
    );
    await hub.stop();
    assert.equal(existsSync(path), false);
  });

  test("its folder is made where there is none, for its owner alone", async (t) => {
    const folder = join(temporaryFolder(t), "run", "signalbox");
    await startHub(t, { listen: [`unix:${join(folder, "hub.sock")}`] });
    assert.equal(mode(folder), "700");
    assert.equal(await echoOver(t, join(folder, "hub.sock")), ECHOED);
  });

  test("a folder in which others could put a socket of their own is refused; one like /tmp, where they could not replace it, is not", async (t) => {
    const folder = temporaryFolder(t);
    const listen = [`unix:${join(folder, "hub.sock")}`];
    chmodSync(folder, 0o775);
    const { message } = await failsToStart({ listen });
    assert.match(message, /^Expected the folder of a unix socket to be writable by its owner alone, .* has 0775: chmod 700 it\.$/);
    chmodSync(folder, 0o1777);
    await startHub(t, { listen });
  });

  test("a file left by a hub that died is replaced, and the new one is the owner's only", async (t) => {
    const path = join(temporaryFolder(t), "hub.sock");
    await staleSocket(path);
    await startHub(t, { listen: [`unix:${path}`] });
    assert.equal(await echoOver(t, path), ECHOED);
    assert.equal(mode(path), "600");
  });

  test("a live one is not: the second hub fails to start, and the first goes on", async (t) => {
    const path = join(temporaryFolder(t), "hub.sock");
    await startHub(t, { listen: [`unix:${path}`] });
    assert.match((await failsToStart({ listen: [`unix:${path}`] })).message, /EADDRINUSE/);
    assert.equal(await echoOver(t, path), ECHOED);
  });

  test("nor is one that has no time just now and takes nobody: only where nobody listens nobody is there", async (t) => {
    const path = join(temporaryFolder(t), "hub.sock");
    const busy = `require("node:net").createServer().listen({ path: ${JSON.stringify(path)}, backlog: 1 }, () => {
      require("node:fs").writeSync(1, "up");
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    })`;
    const owner = spawn(process.execPath, ["-e", busy], { stdio: ["ignore", "pipe", "inherit"] });
    t.after(() => owner.kill("SIGKILL"));
    await once(owner.stdout, "data");
    const { ino } = statSync(path);
    const isTaken = (): Promise<boolean> =>
      new Promise((resolve) => {
        const socket = connect(path, () => resolve(true)).on("error", () => resolve(false));
        t.after(() => socket.destroy());
      });
    while (await isTaken());
    assert.match((await failsToStart({ listen: [`unix:${path}`] })).message, /EADDRINUSE/);
    assert.equal(statSync(path).ino, ino);
  });

  /** What may stand in the way; each must be there afterwards as it was. */
  const OBSTACLES: readonly { what: string; make(path: string): Promise<void> | void; intact(path: string): void }[] = [
    {
      what: "an ordinary file",
      make: (path) => writeFileSync(path, "precious"),
      intact: (path) => assert.equal(readFileSync(path, "utf8"), "precious"),
    },
    {
      what: "a folder",
      make: (path) => void mkdirSync(path),
      intact: (path) => assert.ok(lstatSync(path).isDirectory()),
    },
    {
      what: "a symlink to an ordinary file",
      make(path) {
        writeFileSync(`${path}.target`, "precious");
        symlinkSync(`${path}.target`, path);
      },
      intact(path) {
        assert.equal(readlinkSync(path), `${path}.target`);
        assert.equal(readFileSync(path, "utf8"), "precious");
      },
    },
    {
      what: "a symlink to a socket that nobody listens on",
      async make(path) {
        await staleSocket(`${path}.target`);
        symlinkSync(`${path}.target`, path);
      },
      intact(path) {
        assert.equal(readlinkSync(path), `${path}.target`);
        assert.ok(lstatSync(`${path}.target`).isSocket());
      },
    },
    {
      what: "a symlink to nothing",
      make: (path) => symlinkSync(`${path}.nowhere`, path),
      intact: (path) => assert.equal(readlinkSync(path), `${path}.nowhere`),
    },
  ];
  for (const { what, make, intact } of OBSTACLES) {
    test(`${what} in its place is never removed: the hub fails to start`, async (t) => {
      const path = join(temporaryFolder(t), "hub.sock");
      await make(path);
      assert.match((await failsToStart({ listen: [`unix:${path}`] })).message, /EADDRINUSE/);
      intact(path);
    });
  }
});

describe("3 Opening: who may listen for whom", () => {
  for (const url of ["tcp://0.0.0.0:0", "tcp://[::]:0", "tcp://192.0.2.1:0", "tcp://hub.example:0", "tcp://127.0.0.1.example:0"]) {
    test(`[OPEN-8] ${url} without backendKey is refused, by name: anybody could send`, async () => {
      const error = await failsToStart({ listen: [url] });
      assert.ok(error instanceof OptionError, `${error}`);
      assert.match(error.message, /`backendKey`/);
    });
  }

  test("a hub that fails to start takes the listeners down that stood already", async (t) => {
    const path = join(temporaryFolder(t), "hub.sock");
    await failsToStart({ listen: [`unix:${path}`, "tcp://0.0.0.0:0"] });
    assert.equal(existsSync(path), false);
  });

  test("[OPEN-8] backends of this host need no key, whether or not one is set", async (t) => {
    const hub = await startHub(t, { backendKey: "s3cr3t" });
    const client = await LineClient.open(t, hub.tcpPort);
    assert.match((await client.hello()).uuid, /^[0-9a-f-]{36}$/);
    const words = await LineClient.open(t, hub.tcpPort);
    words.write("quit\n");
    assert.equal(await words.lines.next(), "next done");
  });
});

describe("TLS", { skip: opensslMissing() }, () => {
  let folder = "";
  let authority: Certificate;
  let own: Certificate;
  let client: Certificate;
  let stranger: Certificate;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "signalbox-tls-"));
    authority = selfSigned(folder, "authority");
    own = signedBy(authority, folder, "hub");
    client = signedBy(authority, folder, "client");
    stranger = selfSigned(folder, "stranger");
  });
  after(() => rmSync(folder, { recursive: true }));

  /** What a hub needs to listen with TLS. */
  const secure = (settings: HubSettings): HubSettings => ({ tlsCert: own.certFile, tlsKey: own.keyFile, ...settings });
  const portOf = (url: string | undefined): number => Number(new URL(String(url).replace("tls:", "https:")).port);

  /** A TLS client, with a certificate or without; what goes wrong shows as its close. */
  function openTls(t: TestContext, port: number, shown?: Certificate): Promise<{ socket: TLSSocket; closed: Promise<Buffer> }> {
    const socket = connectTls({ port, host: "127.0.0.1", ca: authority.cert, ...(shown && { cert: shown.cert, key: shown.key }) });
    t.after(() => socket.destroy());
    socket.on("error", () => {});
    const closed = untilClosed(socket);
    return new Promise((resolve) => {
      for (const event of ["secureConnect", "close"]) socket.once(event, () => resolve({ socket, closed }));
    });
  }

  test("a backend speaks over tls:// as over tcp://", async (t) => {
    const hub = await startHub(t, secure({ listen: ["tls://127.0.0.1:0"] }));
    const { socket, closed } = await openTls(t, portOf(hub.listeners[0]));
    assert.equal(socket.authorized, true, "the hub shows its own certificate");
    socket.end('{"opcode":"hello"}\n{"opcode":"echo","text":"ä😀"}\n');
    const opcodes = (await closed)
      .toString()
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as Packet).opcode);
    assert.deepEqual(opcodes, ["ready", "echo", "next"]);
  });

  test("[OPEN-8] with tlsClientCa a client certificate of that authority is let in", async (t) => {
    const hub = await startHub(t, secure({ listen: ["tls://127.0.0.1:0"], tlsClientCa: authority.certFile }));
    const { socket, closed } = await openTls(t, portOf(hub.listeners[0]), client);
    socket.end("echo text\n");
    assert.equal((await closed).toString(), ECHOED);
  });

  test("[OPEN-8] with tlsClientCa no certificate, or another's, is refused before a word was read, and logged", async (t) => {
    const hub = await startHub(t, secure({ listen: ["ws://127.0.0.1:0", "tls://127.0.0.1:0"], tlsClientCa: authority.certFile }));
    const page = await Page.open(t, hub.ws, {});
    for (const shown of [undefined, stranger]) {
      const { socket, closed } = await openTls(t, portOf(hub.listeners[1]), shown);
      socket.write("broadcast evil\n");
      assert.equal((await closed).length, 0);
    }
    assert.equal(hub.log.of("tls.refused").length, 2);
    assert.deepEqual(await page.ask({ opcode: "echo" }), { opcode: "echo" });
  });

  test("plain text on a tls:// port is closed and not obeyed", async (t) => {
    const hub = await startHub(t, secure({ listen: ["ws://127.0.0.1:0", "tls://127.0.0.1:0"] }));
    const page = await Page.open(t, hub.ws, {});
    const socket = await openSocket(t, portOf(hub.listeners[1]));
    const closed = untilClosed(socket);
    socket.write("broadcast evil\n");
    assert.doesNotMatch((await closed).toString(), /next/);
    assert.deepEqual(await page.ask({ opcode: "echo" }), { opcode: "echo" });
  });

  test("a page speaks over wss:// as over ws://, and its origin is the https one", async (t) => {
    const hub = await startHub(t, secure({ listen: ["wss://127.0.0.1:0"] }));
    const trusting = { ca: authority.cert };
    const page = await Page.open(t, hub.ws, {}, { ...trusting, origin: hub.ws.replace("wss:", "https:") });
    const packet = { opcode: "echo", text: "ä".repeat(100_000) };
    assert.deepEqual(await page.ask(packet), packet);
    await assert.rejects(Page.connect(t, hub.ws, true, { ...trusting, origin: hub.ws.replace("wss:", "http:") }), /HTTP 403/);
  });

  for (const scheme of ["wss", "tls"]) {
    test(`[OPEN-3] a silent connection to ${scheme}:// is closed in time, before TLS as well`, async (t) => {
      const limits = { handshakeTimeout: 50, localHandshakeTimeout: 50 };
      const hub = await startHub(t, secure({ listen: [`${scheme}://127.0.0.1:0`], ...limits }));
      const socket = await openSocket(t, portOf(hub.listeners[0]?.replace("wss:", "https:")));
      assert.doesNotMatch((await untilClosed(socket)).toString("latin1"), /opcode/);
    });
  }

  test("a listener with TLS and no certificate is refused, naming the options", async () => {
    const error = await failsToStart({ listen: ["tls://127.0.0.1:0"], tlsKey: own.keyFile });
    assert.match(error.message, /`tlsCert` and `tlsKey`/);
  });
});

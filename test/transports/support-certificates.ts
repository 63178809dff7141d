import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A certificate and its key: where they are, and what they are. */
export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: Buffer;
  readonly key: Buffer;
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** Python 3.13 and newer ask an authority what its key is for, and a certificate who signed it. */
const SIGNS = ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"];

/** Why TLS cannot be tested here, or false. Where `CI_REQUIRE` names openssl, a missing one is a failure and no skip. */
export function opensslMissing(): string | false {
  if (spawnSync("openssl", ["version"]).status === 0) return false;
  if (process.env.CI_REQUIRE?.includes("openssl")) throw new Error("CI_REQUIRE=openssl, but there is none");
  return "no openssl: it makes the certificates";
}

/** A certificate that nobody else has signed. */
export function selfSigned(folder: string, name: string): Certificate {
  const files = filesOf(folder, name);
  openssl("req", "-x509", ...NEW_KEY, "-keyout", files.keyFile, "-out", files.certFile, "-days", "2", "-subj", `/CN=${name}`, ...SIGNS);
  return read(files);
}

/** A certificate for 127.0.0.1 and for a client, signed by an authority. */
export function signedBy(authority: Certificate, folder: string, name: string): Certificate {
  const files = filesOf(folder, name);
  const request = join(folder, `${name}.csr`);
  const extensions = join(folder, `${name}.ext`);
  writeFileSync(extensions, "subjectAltName=IP:127.0.0.1,DNS:localhost\nauthorityKeyIdentifier=keyid\n");
  openssl("req", "-new", ...NEW_KEY, "-keyout", files.keyFile, "-out", request, "-subj", `/CN=${name}`);
  const issuer = ["-CA", authority.certFile, "-CAkey", authority.keyFile, "-set_serial", String(Date.now())];
  openssl("x509", "-req", "-in", request, ...issuer, "-days", "2", "-extfile", extensions, "-out", files.certFile);
  return read(files);
}

function filesOf(folder: string, name: string): { certFile: string; keyFile: string } {
  return { certFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}.key`) };
}

function read(files: { certFile: string; keyFile: string }): Certificate {
  return { ...files, cert: readFileSync(files.certFile), key: readFileSync(files.keyFile) };
}

function openssl(...args: string[]): void {
  execFileSync("openssl", args, { stdio: "pipe" });
}

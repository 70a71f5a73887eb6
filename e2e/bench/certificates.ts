import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Files in PEM; every key is P-256, as in the mesh. */
export interface BenchCertificates {
  readonly caPath: string;
  readonly server: CertificateFiles;
  readonly client: CertificateFiles;
}

/** A certificate and its key, apart (nginx) and in one file (HAProxy). */
export interface CertificateFiles {
  readonly certificatePath: string;
  readonly keyPath: string;
  readonly bothPath: string;
}

/** The name by which the peers' TLS server is called; the same length as a service SNI of the mesh. */
export const benchServerName = "p8080.catalog.web.svc.shop.example";

/** Makes a root and two leaves with openssl(1) below `directory`. Good for a day. */
export async function createCertificates(directory: string, signal: AbortSignal): Promise<BenchCertificates> {
  const openssl = (...args: readonly string[]): Promise<unknown> => run("openssl", args, { cwd: directory, signal });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
  await openssl("req", "-x509", ...key, "-subj", "/CN=bench root", "-keyout", "root.key", "-out", "root.pem");
  const leaf = async (name: string, altNames: string): Promise<CertificateFiles> => {
    const extensions = ["-addext", `subjectAltName=${altNames}`, "-addext", "basicConstraints=critical,CA:FALSE"];
    await openssl("req", "-x509", ...key, "-CA", "root.pem", "-CAkey", "root.key", "-subj", `/CN=${name}`, ...extensions, "-keyout", `${name}.key`, "-out", `${name}.pem`);
    const files = { certificatePath: join(directory, `${name}.pem`), keyPath: join(directory, `${name}.key`), bothPath: join(directory, `${name}.both`) };
    writeFileSync(files.bothPath, readFileSync(files.certificatePath, "utf8") + readFileSync(files.keyPath, "utf8"), { mode: 0o600 });
    return files;
  };
  return {
    caPath: join(directory, "root.pem"),
    server: await leaf("server", `DNS:${benchServerName},URI:spiffe://shop.example/ns/web/sa/catalog`),
    client: await leaf("client", "URI:spiffe://shop.example/ns/web/sa/storefront"),
  };
}

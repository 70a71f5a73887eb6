import { existsSync, readFileSync } from "node:fs";
import type { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { etcdAdministrator } from "#federation/model/engine-identity.ts";
import { readPeerCertificate } from "#federation/runtime/peer-certificate.ts";
import { engineCertificates, engineFiles, engineLifeArguments, engineProcesses } from "./engine-plan.ts";
import { memberOf, planesOf, readCertificate } from "./engine-certificates.ts";
import type { EngineRenewal, KeptCertificate } from "./engine-renewal.ts";
import type { ProcessSpec } from "./process-spec.ts";

/** The certificates of engines that the federation in `dataDir` has, and its etcd's administrator's; none where its engines are embedded. */
export async function keptCertificates(dataDir: string): Promise<readonly KeptCertificate[]> {
  if (!existsSync(join(dataDir, "global", "engines"))) return [];
  // What it is read by is much, and of no use to a supervisor without engines.
  const { readFederationFile } = await import("./federation-file.ts");
  const { engines, plan } = readFederationFile(dataDir) ?? {};
  if (engines === undefined || plan === undefined) return [];
  const life = engineLifeArguments(engines);
  return [
    ...engineCertificates(plan, engines).map((engine) => ({ name: memberOf(engine), words: ["--engine", engine, ...life] })),
    { name: etcdAdministrator, words: ["--etcd-administrator", planesOf(plan).join(","), ...life] },
  ];
}

/** What the files of the federation in `dataDir` hold, and what those of `specs` that run show. */
export function engineView(dataDir: string, specs: () => readonly ProcessSpec[]): Pick<EngineRenewal, "written" | "shown"> {
  return {
    written: (name) => readCertificate(join(dataDir, "global"), name),
    shown: async (name) => {
      const [process] = engineProcesses(specs().flatMap((spec) => (spec.name === name ? [{ spec }] : [])));
      return process === undefined ? undefined : await shownBy(dataDir, process);
    },
  };
}

async function shownBy(dataDir: string, { address, port, engine }: ReturnType<typeof engineProcesses>[number]): Promise<X509Certificate | undefined> {
  const files = engineFiles(dataDir, etcdAdministrator);
  try {
    const tls = { caPem: readFileSync(files.ca, "utf8"), certificatePem: readFileSync(files.certificate, "utf8"), privateKeyPem: readFileSync(files.privateKey, "utf8") };
    return await readPeerCertificate({ host: address, port, tls, speaksFirst: engine === "nats-server" });
  } catch {
    // It does not run, or stands still: others say so, and it is asked again at the next look.
    return undefined;
  }
}

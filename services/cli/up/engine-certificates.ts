import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { etcdAdministrator } from "#federation/model/engine-identity.ts";
import { planeStoreHost } from "#federation/model/plane-store.ts";
import { isAged } from "../certificate-age.ts";
import { engineFiles } from "./engine-plan.ts";

/** Those of `engines` (words of `init`, `NAME[/MEMBER]:HOST`) whose certificate in `dataDir` is not there, cannot be read, or has lived for half of its life. */
export function dueEngines(dataDir: string, engines: readonly string[], nowMs: number): readonly string[] {
  return engines.filter((engine) => {
    const name = engine.slice(engine.indexOf("/") + 1, engine.indexOf(":"));
    const certificate = readCertificate(dataDir, name);
    return certificate === undefined || isAged(certificate, nowMs);
  });
}

/** The words of `init` by which etcd's administrator gets another certificate; none while it has one that is good for long and for all of `planes`. */
export function administratorArguments(dataDir: string, planes: readonly string[], nowMs: number): readonly string[] {
  const certificate = readCertificate(dataDir, etcdAdministrator);
  const isGood = certificate !== undefined && !isAged(certificate, nowMs) && planes.every((plane) => certificate.checkHost(planeStoreHost(plane)) !== undefined);
  return isGood ? [] : ["--etcd-administrator", planes.join(",")];
}

function readCertificate(dataDir: string, name: string): X509Certificate | undefined {
  try {
    return new X509Certificate(readFileSync(engineFiles(dataDir, name).certificate));
  } catch {
    return undefined;
  }
}

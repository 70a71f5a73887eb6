import type { X509Certificate } from "node:crypto";
import { etcdAdministrator } from "#federation/model/engine-identity.ts";
import { planeStoreHost } from "#federation/model/plane-store.ts";
import { isAged } from "#federation/runtime/certificate-age.ts";
import { certificateInFile } from "../certificate-file.ts";
import { engineTlsFiles } from "../engines/etcd-args.ts";

/** Those of `engines` (words of `init`, `NAME[/MEMBER]:HOST`) whose certificate below the federation's keys is not there, cannot be read, or has lived for half of its life. */
export function dueEngines(keysDir: string, engines: readonly string[], nowMs: number): readonly string[] {
  return engines.filter((engine) => {
    const certificate = readCertificate(keysDir, memberOf(engine));
    return certificate === undefined || isAged(certificate, nowMs);
  });
}

/** The member that words of `init` are about, by which its files are named. Pure. */
export function memberOf(engine: string): string {
  return engine.slice(engine.indexOf("/") + 1, engine.indexOf(":"));
}

/** The words of `init` by which etcd's administrator gets another certificate; none while it has one that is good for long and for all of `planes`. */
export function administratorArguments(keysDir: string, planes: readonly string[], nowMs: number): readonly string[] {
  const certificate = readCertificate(keysDir, etcdAdministrator);
  const isGood = certificate !== undefined && !isAged(certificate, nowMs) && planes.every((plane) => certificate.checkHost(planeStoreHost(plane)) !== undefined);
  return isGood ? [] : ["--etcd-administrator", planes.join(",")];
}

/** The planes that etcd's administrator is let in for. Pure. */
export function planesOf(plan: { readonly clusters: readonly { readonly name: string }[] }): readonly string[] {
  return ["global", ...plan.clusters.map(({ name }) => name)];
}

/** The certificate in the files of an engine's member, or of etcd's administrator; undefined where there is none that can be read. */
export function readCertificate(keysDir: string, name: string): X509Certificate | undefined {
  return certificateInFile(engineTlsFiles(keysDir, name).certificate);
}

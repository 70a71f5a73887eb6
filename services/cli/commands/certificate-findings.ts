import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describeAge } from "#federation/runtime/describe-age.ts";
import { contextCertificate } from "../context-certificate.ts";
import type { Planes } from "../planes.ts";
import { clientsFolder } from "../up/client-access.ts";

/** Named so long before its end, in ms; a certificate of a short life only in the last part of it, so that it is not named all the time. */
const namedBefore = { ms: 7 * 86_400_000, ofLifeRatio: 0.25 } as const;

/**
 * Texts of the contexts that are used here: the one of this command, and those that `atoll up` has made for the file's clients. One that
 * cannot be read is left out: whoever uses it says why, and a federation that has not started yet has none.
 */
export function contextsHere(planes: Pick<Planes, "contextText">, { dataDir, clients }: { readonly dataDir: string; readonly clients: readonly { readonly name: string }[] }): readonly string[] {
  const ofClients = clients.map(({ name }) => () => readFileSync(join(dataDir, "global", clientsFolder, `${name}.json`), "utf8"));
  return [() => planes.contextText, ...ofClients].flatMap((read) => {
    try {
      return [read()];
    } catch {
      return [];
    }
  });
}

/** One finding for each caller whose certificate has ended or soon will, in words. Pure. */
export function certificateProblems(contextTexts: readonly string[], nowMs: number): readonly string[] {
  return [...new Set(contextTexts.flatMap((text) => problemsOf(text, nowMs)))];
}

/** How the end of a certificate is told of which so much is left. Pure. */
export function endWords(leftMs: number): string {
  return leftMs > 0 ? `ends in ${describeAge(leftMs)}` : `ended ${describeAge(-leftMs)} ago`;
}

function problemsOf(contextText: string, nowMs: number): readonly string[] {
  const certificate = contextCertificate(contextText)?.certificate;
  if (certificate === undefined) return [];
  const endMs = certificate.validToDate.getTime();
  const leftMs = endMs - nowMs;
  const lifeMs = endMs - certificate.validFromDate.getTime();
  if (leftMs > Math.min(namedBefore.ms, lifeMs * namedBefore.ofLifeRatio)) return [];
  const owner = /URI:(spiffe:\/\/[^\s,]+)/.exec(certificate.subjectAltName ?? "")?.[1] ?? certificate.subject;
  return [`the certificate of ${owner} ${endWords(leftMs)}: ${owner.includes("/atoll/admin/") ? "the global plane makes another when it starts" : "`atoll up` makes another, elsewhere the global plane's `init --client`"}`];
}

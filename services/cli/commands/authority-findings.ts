import type { FederationStatus } from "#federation/admin-api/status.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { contextCertificate } from "../context-certificate.ts";
import { endWords } from "./certificate-findings.ts";

type Row = NonNullable<FederationStatus["authorities"]>[number];

export interface AuthorityContext {
  /** Where the keys of a federation are that `atoll up` runs on this machine. */
  readonly keysDir: string | undefined;
  readonly nowMs: number;
}

/** What of certificates that others are issued by is to be done in time, and what is wrong by now; in words. */
export interface AuthorityFindings {
  readonly warnings: readonly string[];
  readonly problems: readonly string[];
}

const dayMs = 86_400_000;
/** Told so long before the end, in ms, or so large a part of the life, whichever is less: first as what is to be done, then as what is wrong. */
const told = { warning: { ms: 30 * dayMs, ofLifeRatio: 1 / 3 }, problem: { ms: 7 * dayMs, ofLifeRatio: 1 / 12 } } as const;

/** What the certificates in the contexts of callers here were issued by: all that is known where the global plane does not answer, perhaps since that has ended. Pure. */
export function issuersShown(contextTexts: readonly string[]): readonly Row[] {
  const shown = contextTexts.flatMap((text) => {
    const { issuer, federation } = contextCertificate(text) ?? {};
    return issuer === undefined ? [] : [{ role: "issuing", trustDomain: federation as TrustDomainName, notBeforeMs: issuer.validFromDate.getTime(), notAfterMs: issuer.validToDate.getTime() }];
  });
  // One may be from before a renewal.
  return shown.toSorted((a, b) => b.notAfterMs - a.notAfterMs).slice(0, 1);
}

/** Those of `rows` that have ended or soon will, with what ends with them and what to do. Pure. */
export function authorityFindings(rows: readonly Row[], context: AuthorityContext): AuthorityFindings {
  // That of the one certificate that no other trust domain has.
  const federation = rows.find(({ role }) => role === "issuing")?.trustDomain;
  const isTold = ({ notBeforeMs, notAfterMs }: Row, { ms, ofLifeRatio }: { readonly ms: number; readonly ofLifeRatio: number }): boolean => notAfterMs - context.nowMs <= Math.min(ms, (notAfterMs - notBeforeMs) * ofLifeRatio);
  const words = (row: Row): string => `${nameOf(row, federation)} ${endWords(row.notAfterMs - context.nowMs)}: ${whatToDo(row, federation, context)}`;
  const soon = rows.filter((row) => isTold(row, told.warning));
  const problems = soon.filter((row) => isTold(row, told.problem));
  return { warnings: soon.filter((row) => !problems.includes(row)).map(words), problems: problems.map(words) };
}

function nameOf({ role, trustDomain }: Row, federation: string | undefined): string {
  const owner = trustDomain === federation ? "the federation" : trustDomain;
  return `${owner}'s ${role === "issuing" ? "issuing certificate" : role}`;
}

function whatToDo({ role, trustDomain }: Row, federation: string | undefined, { keysDir }: AuthorityContext): string {
  if (role === "issuing") {
    const ends = "planes, engines and clients get no certificates after that, and those that they have end with it";
    return keysDir === undefined
      ? `${ends}; \`atoll renew-issuing --root-key FILE\` in the directory of \`atoll bootstrap\`, then \`sh renew-engines.sh\` there, or as docs/engines.md says`
      : `${ends}; \`atoll renew-issuing --keys ${keysDir} --root-key FILE\`, with the root's key; where that lies there the supervisor does it by itself, and logs/supervisor.log says why it has not`;
  }
  if (trustDomain === federation) return "planes, engines and clients believe nobody after that; nothing renews it, so bring everybody under a new federation by then";
  return role === "root" ? `its workloads are believed nowhere after that; \`atoll trust rotate ${trustDomain}\` gives it another` : "nothing that its signer says is believed after that; nothing renews it, so bring its workloads under a new trust domain by then";
}

import { lookup as systemLookup, Resolver } from "node:dns/promises";
import { isIPv4, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import { resultOf, type FamilyAnswer, type NameAnswer } from "./name-state.ts";

/** Asks for the addresses of a name. It never throws: what goes wrong is an answer, too. */
export type NameLookup = (name: string, signal: AbortSignal) => Promise<NameAnswer>;

export interface DnsLookupOptions {
  /** `address` or `address:port` (`[IPv6]:port`) of each server; absent: those of the system, read anew for each question. */
  readonly servers?: readonly string[];
}

/** The hosts file, and whatever else the system knows names by, tell no time to live. Ms. */
export const hostsTtlMs = 5_000;
/** A question is given up after this and put again … */
const questionMs = 1_000;
/** … so often, with each server. */
const tries = 2;

/**
 * Look-ups by DNS, A and AAAA side by side; a name that DNS does not know is looked up as the system would (hosts file, search
 * domains). IPv6 addresses beside IPv4 ones are left out where this host has no IPv6 address but on loopback: every address is
 * used, and those would only fail.
 */
export function createDnsLookup(options: DnsLookupOptions = {}): NameLookup {
  return async (name, signal) => {
    const resolver = new Resolver({ timeout: questionMs, tries });
    if (options.servers !== undefined) resolver.setServers([...options.servers]);
    const cancel = (): void => resolver.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      const [v4, v6] = await Promise.all([askFamily(resolver.resolve4(name, { ttl: true })), askFamily(resolver.resolve6(name, { ttl: true }))]);
      const answer = resultOf({ v4, v6 }) === "missing" ? await askSystem(name) : { v4, v6 };
      return withoutUnreachable(answer, hasIpv6());
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  };
}

/** IPv6 addresses are left out where there are IPv4 ones and `hasIpv6` is false. Pure. */
export function withoutUnreachable(answer: NameAnswer, hasIpv6: boolean): NameAnswer {
  return hasIpv6 || answer.v4.kind !== "found" ? answer : { v4: answer.v4, v6: { kind: "none" } };
}

function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ family, internal, scopeid }) => family === "IPv6" && !internal && scopeid === 0) === true);
}

async function askFamily(question: Promise<readonly { readonly address: string; readonly ttl: number }[]>): Promise<FamilyAnswer> {
  try {
    const records = await question;
    if (records.length === 0) return { kind: "none" };
    return { kind: "found", addresses: records.map(({ address }) => address), ttlMs: Math.min(...records.map(({ ttl }) => ttl)) * 1_000 };
  } catch (error) {
    return failedAnswer(error);
  }
}

async function askSystem(name: string): Promise<NameAnswer> {
  try {
    const addresses = (await systemLookup(name, { all: true })).map(({ address }) => address);
    const found = (isOf: (address: string) => boolean): FamilyAnswer => {
      const own = addresses.filter(isOf);
      return own.length === 0 ? { kind: "none" } : { kind: "found", addresses: own, ttlMs: hostsTtlMs };
    };
    return { v4: found(isIPv4), v6: found(isIPv6) };
  } catch (error) {
    const answer = failedAnswer(error);
    return { v4: answer, v6: answer };
  }
}

/** @see https://nodejs.org/api/dns.html#error-codes */
function failedAnswer(error: unknown): FamilyAnswer {
  const code = error instanceof Error && "code" in error ? String(error.code) : "EUNKNOWN";
  return code === "ENOTFOUND" || code === "ENODATA" ? { kind: "none" } : { kind: "failed", reason: code };
}

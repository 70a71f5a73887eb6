import { isDnsName } from "./host-name.ts";
import type { ResolvedNames } from "./name-resolver.ts";

/** A name that a process dials, and what is reached by it, in words. */
export interface DialledName {
  readonly name: string;
  readonly use: string;
}

/** A dialled name with what it stands for now, where it is dialled. */
export interface NameRow extends DialledName {
  /** Literal, those of the last answer that had any. */
  readonly addresses: readonly string[];
  /** Why the last look-up gave nothing; absent where it did, or none has ended yet. */
  readonly problem?: string;
}

/** The names among `hosts`, each once; literal addresses are left out. Pure. */
export function dialledNames(hosts: readonly string[], use: string): readonly DialledName[] {
  return [...new Set(hosts)].filter(isDnsName).map((name) => ({ name, use }));
}

/** The host in `scheme://host:port` or `host:port`, an IPv6 address without its brackets. Pure. */
export function hostOfAddress(address: string): string {
  return address
    .replace(/^[a-z]+:\/\//, "")
    .replace(/[/?].*$/, "")
    .replace(/:\d+$/, "")
    .replace(/^\[(.*)\]$/, "$1");
}

/** `dialled` with what a resolver knows of them; those that it does not follow are left out. Pure. */
export function nameRows(dialled: readonly DialledName[], resolved: ResolvedNames): readonly NameRow[] {
  return dialled.flatMap(({ name, use }) => {
    const known = resolved.get(name);
    if (known === undefined) return [];
    return [{ name, use, addresses: known.addresses, ...(known.problem === undefined ? {} : { problem: known.problem }) }];
  });
}

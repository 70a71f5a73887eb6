import { BlockList, isIP } from "node:net";

/** Whether `text` is an IPv4 or IPv6 network, `address/bits`. */
export function isCidr(text: string): boolean {
  return parseCidr(text) !== undefined;
}

/**
 * Whether `address` lies in one of `cidrs`; no networks at all means everywhere. An IPv4 address that an IPv6 socket shows
 * (`::ffff:10.0.0.1`) is the IPv4 address. False for what is no address. O(cidrs).
 */
export function isAddressWithin(address: string, cidrs: readonly string[]): boolean {
  if (cidrs.length === 0) return true;
  const plain = plainAddress(address);
  const version = isIP(plain);
  if (version === 0) return false;
  const list = new BlockList();
  for (const text of cidrs) {
    const cidr = parseCidr(text);
    if (cidr !== undefined) list.addSubnet(cidr.address, cidr.bits, cidr.family);
  }
  return list.check(plain, version === 6 ? "ipv6" : "ipv4");
}

/** `address` without brackets, and as IPv4 where it is one in IPv6's clothes. */
export function plainAddress(address: string): string {
  const bare = address.replace(/^\[|\]$/g, "");
  return /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(bare)?.[1] ?? bare;
}

function parseCidr(text: string): { readonly address: string; readonly bits: number; readonly family: "ipv4" | "ipv6" } | undefined {
  const match = /^([0-9A-Fa-f:.]{2,45})\/(\d{1,3})$/.exec(text);
  const address = match?.[1] ?? "";
  const bits = Number(match?.[2]);
  const version = isIP(address);
  if (version === 0 || bits > (version === 6 ? 128 : 32)) return undefined;
  return { address, bits, family: version === 6 ? "ipv6" : "ipv4" };
}

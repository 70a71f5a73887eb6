import { BlockList, isIPv6 } from "node:net";
import { plainAddress } from "#federation/model/cidr.ts";

/**
 * Addresses that no endpoint of another party has: this host itself, the link (where clouds keep a machine's credentials), and what is not
 * one host. Private networks are not among them: meshes federate over them.
 */
const never = blockList(["0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"], ["::/128", "fe80::/10", "ff00::/8", "fd00:ec2::254/128"]);
const loopback = blockList(["127.0.0.0/8"], ["::1/128"]);

/** Whether a plane dials `address`, a literal one, to fetch a bundle. One that itself serves on loopback alone has its neighbours there, too. Pure. */
export function isDialledForBundles(address: string, ownAddress: string): boolean {
  if (isWithin(never, address)) return false;
  return !isWithin(loopback, address) || isWithin(loopback, ownAddress);
}

function isWithin(list: BlockList, address: string): boolean {
  const plain = plainAddress(address);
  return list.check(plain, isIPv6(plain) ? "ipv6" : "ipv4");
}

function blockList(v4: readonly string[], v6: readonly string[]): BlockList {
  const list = new BlockList();
  for (const [family, networks] of [["ipv4", v4], ["ipv6", v6]] as const) {
    for (const network of networks) {
      const [address = "", bits = ""] = network.split("/");
      list.addSubnet(address, Number(bits), family);
    }
  }
  return list;
}

import { readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { forgetJoiningKey, keepJoiningKey } from "#federation/identity/joining-key.ts";
import { createKeyPair, type KeyPair } from "#federation/identity/key-pair.ts";
import { loadIdentity, saveBundles, saveSvid } from "#federation/identity/svid-files.ts";
import { parseAddress } from "#federation/identity/join-token.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { parseSpiffeId, trustDomainOf } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { writePrivateFile } from "#federation/runtime/private-file.ts";
import { isMissing } from "#federation/runtime/missing-file.ts";
import type { Joined } from "./join-plane.ts";
import { clusterOfPlane } from "./join-plane.ts";
import type { Plane } from "./plane-link.ts";

/** What an earlier life left behind. */
export interface StoredIdentity {
  readonly svid: X509Svid | undefined;
  readonly bundles: readonly TrustBundle[];
  readonly plane: Plane | undefined;
  readonly warnings: readonly string[];
}

const planeFile = "plane.json";
const joiningKeyFile = "joining.key";

/** Where a proxy keeps who it is: `identity/` under its data directory, files of mode 0600. With `keys: "memory"` the SVID is never written. */
export class IdentityStore {
  readonly #directory: string;
  readonly #keepsKeys: boolean;
  /** Of a proxy that writes no key: another one after a restart. */
  #joiningKeys: KeyPair | undefined;

  constructor(dataDir: string, keys: "disk" | "memory") {
    this.#directory = join(dataDir, "identity");
    this.#keepsKeys = keys === "disk";
  }

  async load(): Promise<StoredIdentity> {
    const { svid, bundles, warnings } = await loadIdentity(this.#directory);
    const loaded = await this.#loadPlane(bundles);
    return { svid: this.#keepsKeys ? svid : undefined, bundles, plane: loaded.plane, warnings: [...warnings, ...loaded.warnings] };
  }

  async saveJoined(joined: Joined): Promise<void> {
    const { identity, addresses, joinAddresses, bundle } = joined.plane;
    const others = joined.bundles.filter((candidate) => candidate.trustDomain !== bundle.trustDomain);
    await saveBundles(this.#directory, [bundle, ...others]);
    await writePrivateFile(join(this.#directory, planeFile), JSON.stringify({ identity, addresses, joinAddresses }));
    await this.saveSvid(joined.svid);
  }

  /** The key to join with: the same over all tries until it is forgotten, and over restarts where keys may lie on disk. */
  async joiningKeys(): Promise<KeyPair> {
    this.#joiningKeys ??= this.#keepsKeys ? await keepJoiningKey(join(this.#directory, joiningKeyFile)) : createKeyPair();
    return this.#joiningKeys;
  }

  async forgetJoiningKeys(): Promise<void> {
    this.#joiningKeys = undefined;
    await forgetJoiningKey(join(this.#directory, joiningKeyFile));
  }

  async saveSvid(svid: X509Svid): Promise<void> {
    if (this.#keepsKeys) await saveSvid(this.#directory, svid);
  }

  async #loadPlane(bundles: readonly TrustBundle[]): Promise<{ readonly plane: Plane | undefined; readonly warnings: readonly string[] }> {
    const path = join(this.#directory, planeFile);
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (error) {
      if (isMissing(error)) return { plane: undefined, warnings: [] };
      throw error;
    }
    try {
      return { plane: parsePlane(text, bundles), warnings: [] };
    } catch (error) {
      await rename(path, `${path}.corrupt`);
      return { plane: undefined, warnings: [`${path} could not be used and was moved aside: ${describeError(error)}`] };
    }
  }
}

function parsePlane(text: string, bundles: readonly TrustBundle[]): Plane {
  // Who joined before there was a way to renew at the join port has not noted where that is, and then finds it by joining again only.
  const { identity, addresses, joinAddresses = [] } = JSON.parse(text) as { readonly identity?: unknown; readonly addresses?: unknown; readonly joinAddresses?: unknown };
  if (typeof identity !== "string" || !areAddresses(addresses) || addresses.length === 0 || !areAddresses(joinAddresses)) throw new Error("a field is missing or damaged");
  const id = parseSpiffeId(identity);
  clusterOfPlane(id);
  const bundle = bundles.find((candidate) => candidate.trustDomain === trustDomainOf(id));
  if (bundle === undefined) throw new Error("the bundle of the plane's trust domain is missing");
  return { identity: id, addresses, joinAddresses, bundle };
}

function areAddresses(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((address) => typeof address === "string" && parseAddress(address) !== undefined);
}

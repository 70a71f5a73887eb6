/** Bounds of a provisioning token: one secret for many instances. A record with all its uses stays far below what a store takes as one value (1 MiB). */
export const provisioningLimits = {
  usesMax: 1_000,
  /** Ninety days. */
  lifeSecondsMax: 90 * 24 * 3_600,
  lifeSecondsMin: 10,
  cidrsMax: 32,
  /** Tokens of one plane that have not expired, revoked ones included: a list of all of them has some 16 MiB at worst. */
  tokensMax: 100,
} as const;

const idPrefix = "many-";

/** The id of a provisioning token made of a UUID; those of single-use tokens are bare UUIDs, so that an id tells the kinds apart. */
export function createProvisioningId(uuid: string): string {
  return idPrefix + uuid;
}

/** Whether `id` is that of a provisioning token. */
export function isProvisioningId(id: string): boolean {
  return id.startsWith(idPrefix) && /^[a-z0-9-]{1,63}$/.test(id);
}

/** Who used a provisioning token. The instance is its public key: whoever holds the private half is the same instance. */
export interface ProvisioningUse {
  /** SHA-256 of the public key (SPKI), lower-case hex. */
  readonly keySha256: string;
  /** Source address of the connection. */
  readonly address: string;
  /** Wall-clock ms. */
  readonly atMs: number;
}

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { TrustDomainStatement } from "#federation/admin-api/join-contract.ts";
import { createIssuer } from "#federation/identity/authority.ts";
import type { ClosedRole } from "#federation/model/closed-role.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { until, WatchedValue } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { readKeyFiles } from "./key-files.ts";
import { closedRoleError } from "./key-roles.ts";
import { hasServed } from "./plane-membership.ts";
import { TrustDomainSigner } from "./signer.ts";
import { hasRotated } from "./signer-roots.ts";

export interface SignerRoleOptions {
  readonly trustDomain: TrustDomainName;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Files that were put back are looked for so often. */
const lookMs = 5_000;

type Standing = { readonly kind: "open"; readonly signer: TrustDomainSigner } | { readonly kind: "closed"; readonly closed: ClosedRole };

/**
 * A plane's being the signer of its trust domain: open, or closed while its files are damaged or missing, of a plane that has served. What
 * the files held is made once in the life of a trust domain and never here; who puts them back need not start the plane again.
 */
export class SignerRole {
  readonly trustDomain: TrustDomainName;
  readonly #options: SignerRoleOptions;
  readonly #standing: WatchedValue<Standing>;

  private constructor(options: SignerRoleOptions) {
    this.trustDomain = options.trustDomain;
    this.#options = options;
    this.#standing = new WatchedValue(standingOf(options));
  }

  /** @throws {ATOLL_CONFIG_INVALID} for damaged files of a plane that has not served yet: nothing would go on without them */
  static open(options: SignerRoleOptions): SignerRole {
    const role = new SignerRole(options);
    const { closed } = role;
    if (closed !== undefined) options.logger.error("This plane cannot be its trust domain's signer: it certifies no cluster and approves nothing. Everything else goes on.", { reason: closed.reason });
    return role;
  }

  /** Why it is closed; undefined while it is open. */
  get closed(): ClosedRole | undefined {
    const { current } = this.#standing;
    return current.kind === "closed" ? current.closed : undefined;
  }

  /** @throws {ATOLL_ROLE_CLOSED} */
  current(): TrustDomainSigner {
    const { current } = this.#standing;
    if (current.kind === "closed") throw closedRoleError(current.closed);
    return current.signer;
  }

  async whenOpen(signal: AbortSignal): Promise<TrustDomainSigner> {
    await until(this.#standing, ({ kind }) => kind === "open", signal);
    return this.current();
  }

  /** What the federation is told of the trust domain; undefined while that cannot be signed: it has been told before. */
  statement(): TrustDomainStatement | undefined {
    return this.closed === undefined ? this.current().statement() : undefined;
  }

  /** Takes up files that are put back, until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    while (this.closed !== undefined) {
      await sleep(clock, lookMs, signal);
      this.#standing.set(standingOf(this.#options));
    }
    logger.debug("The trust domain's signer is open.", { trustDomain: this.trustDomain });
  }
}

function standingOf({ trustDomain, dataDir, clock }: SignerRoleOptions): Standing {
  try {
    return { kind: "open", signer: TrustDomainSigner.open(trustDomain, dataDir, clock.nowMs()) };
  } catch (error) {
    if (!hasServed(dataDir)) throw error;
    const directory = join(dataDir, "signer");
    const faults = faultsIn(directory);
    return { kind: "closed", closed: { role: "signer", reason: `in ${directory} ${faults.length === 0 ? describeError(error) : faults.join(", and ")}; put back from a copy what lay there: that is noticed without a restart, and never made again` } };
  }
}

/** Which of the pairs cannot be used, and why. */
function faultsIn(directory: string): readonly string[] {
  // A rotation that came so far holds its roots in a file of their own, which is whole or damaged as one.
  return (hasRotated(directory) ? ["authority"] : ["root", "authority"]).flatMap((name) => {
    const missing = [`${name}.key`, `${name}.pem`].filter((file) => !existsSync(join(directory, file)));
    if (missing.length > 0) return [`${missing.join(" and ")} ${missing.length === 1 ? "is" : "are"} missing${name === "root" ? " (or, after a rotation of the root, the newest roots.json)" : ""}`];
    try {
      const files = readKeyFiles(directory, name);
      if (files !== undefined) createIssuer(files.certificatePem, files.privateKeyPem);
      return [];
    } catch (error) {
      return [`${name}.key or ${name}.pem is damaged: ${describeError(error)}`];
    }
  });
}

import { join } from "node:path";
import { renewAnswerSchema, renewPath } from "#federation/admin-api/join-contract.ts";
import { createAnchors } from "#federation/identity/anchors.ts";
import { createCsr } from "#federation/identity/csr.ts";
import { createKeyPair, exportPrivateKeyPem } from "#federation/identity/key-pair.ts";
import { createX509Svid } from "#federation/identity/leaf.ts";
import { fetchMeshJson } from "#federation/identity/mesh-request.ts";
import { parseChainPem } from "#federation/identity/pem.ts";
import { saveSvid } from "#federation/identity/svid-files.ts";
import { SvidSource } from "#federation/identity/svid-source.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { acceptExactly } from "#federation/identity/tls-options.ts";
import { createSpiffeId } from "#federation/model/spiffe-id.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { runTasks } from "#federation/runtime/lifecycle.ts";
import type { Random } from "#federation/runtime/random.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { saveFacts, type PlaneMembership } from "./plane-membership.ts";

export interface PlaneCertificateOptions {
  readonly membership: PlaneMembership;
  /** Joins anew once the certificate has expired; absent where only a person can, with a new token. */
  readonly rejoin?: (signal: AbortSignal) => Promise<PlaneMembership>;
  readonly dataDir: string;
  /** Hears of each failed renewal. */
  readonly onFailure: () => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * A cluster plane's own certificate: 30 days, renewed at half of it by the global plane, to which the present one proves
 * who asks. While the global plane is away the present one goes on for the other half.
 */
export class PlaneCertificate {
  readonly #options: PlaneCertificateOptions;
  readonly #source: SvidSource;
  readonly #svid: WatchedValue<X509Svid>;
  #apiAddresses: readonly string[];

  constructor(options: PlaneCertificateOptions) {
    this.#options = options;
    this.#svid = new WatchedValue(options.membership.svid);
    this.#apiAddresses = options.membership.facts.apiAddresses;
    const { clock, random, logger } = options;
    this.#source = new SvidSource({
      initial: options.membership.svid,
      issue: (_newest, signal) => (this.#source.current === undefined && options.rejoin !== undefined ? this.#rejoin(options.rejoin, signal) : this.#renew(signal)),
      clock,
      random,
      onEvent: (event) => {
        if (event.kind === "renewed") logger.info("The plane's certificate was renewed.", { notAfterMs: event.svid.notAfterMs });
        else if (event.kind === "early") logger.error("The clock of this host is behind: the plane's certificate is not valid yet by it, nor is what others show. Set it right (NTP); everything goes on by itself then.", { earlyMs: event.earlyMs });
        else if (event.kind === "expired") logger.error(`The plane's certificate has expired; ${options.rejoin === undefined ? "join again with a new token" : "it joins again"}.`, { notAfterMs: event.svid.notAfterMs });
        else {
          options.onFailure();
          logger.warn("The plane's certificate could not be renewed; the present one goes on.", { failuresInRow: event.failuresInRow, reason: describeError(event.error) });
        }
      },
    });
  }

  /** The newest certificate. An expired one stays: peers refuse it by themselves. */
  get svid(): Watched<X509Svid> {
    return this.#svid;
  }

  async run(signal: AbortSignal): Promise<void> {
    await runTasks(
      [
        (inner) => this.#source.run(inner),
        async (inner) => {
          for await (const svid of this.#source.changes(inner)) if (svid !== undefined) this.#svid.set(svid);
        },
      ],
      signal,
    );
  }

  async #rejoin(rejoin: (signal: AbortSignal) => Promise<PlaneMembership>, signal: AbortSignal): Promise<X509Svid> {
    const { facts, svid } = await rejoin(signal);
    this.#checkIdentity(svid);
    this.#apiAddresses = facts.apiAddresses;
    return svid;
  }

  #checkIdentity(svid: X509Svid): void {
    if (svid.spiffeId !== this.#svid.current.spiffeId) throw new AtollError("ATOLL_CERTIFICATE_INVALID", `the new certificate is for ${svid.spiffeId}`);
  }

  async #renew(signal: AbortSignal): Promise<X509Svid> {
    const failures: string[] = [];
    for (const address of this.#apiAddresses) {
      try {
        return await this.#renewAt(address, signal);
      } catch (error) {
        if (signal.aborted) throw error;
        failures.push(`${address}: ${describeError(error)}`);
      }
    }
    const reason = failures.length === 0 ? "the membership names no address of the global plane" : failures.join("; ");
    throw new AtollError("ATOLL_PEER_UNAVAILABLE", `no new certificate (${reason})`);
  }

  async #renewAt(address: string, signal: AbortSignal): Promise<X509Svid> {
    const { membership, dataDir } = this.#options;
    const { federationBundle, facts } = membership;
    const keys = createKeyPair();
    const tls = {
      svid: this.#svid.current,
      anchors: createAnchors([federationBundle]),
      accept: acceptExactly([createSpiffeId(federationBundle.trustDomain, "atoll", "plane", "global")]),
    };
    const { status, json } = await fetchMeshJson({ url: `https://${address}${renewPath}`, json: { csr: createCsr(keys).toString("base64") }, tls }, signal);
    const answer = renewAnswerSchema.safeParse(json);
    if (status !== 200 || !answer.success) throw new AtollError("ATOLL_PEER_UNAVAILABLE", `the global plane answered ${status}`);
    const svid = createX509Svid(parseChainPem(answer.data.certificateChainPem), exportPrivateKeyPem(keys.privateKey));
    this.#checkIdentity(svid);
    // Durable before it is used: the old key is good for as long again.
    await saveSvid(join(dataDir, "plane"), svid);
    this.#apiAddresses = answer.data.apiAddresses;
    saveFacts(dataDir, { ...facts, apiAddresses: answer.data.apiAddresses });
    return svid;
  }
}

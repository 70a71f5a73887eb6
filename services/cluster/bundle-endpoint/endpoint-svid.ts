import { createKeyPair, exportPrivateKeyPem } from "#federation/identity/key-pair.ts";
import { createX509Svid, issueSvid } from "#federation/identity/leaf.ts";
import { SvidSource } from "#federation/identity/svid-source.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { bundleEndpointId } from "#federation/model/spiffe-id.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { runTasks } from "#federation/runtime/lifecycle.ts";
import type { Random } from "#federation/runtime/random.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { ClusterKeys } from "../credentials/cluster-keys.ts";
import { issuerOf } from "../credentials/key-roles.ts";
import type { CertificateSource } from "./shown-certificate.ts";

export interface EndpointSvidOptions {
  readonly trustDomain: TrustDomainName;
  readonly keys: Watched<Pick<ClusterKeys, "issuer" | "closed">>;
  readonly svidMs: number;
  /** Hears of each failed renewal. */
  readonly onFailure: () => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** For `https_spiffe`: an SVID that the plane issues itself by its cluster's intermediate, and anew with each new intermediate. Its key is in memory alone. */
export class EndpointSvid implements CertificateSource {
  readonly #options: EndpointSvidOptions;
  readonly #source: SvidSource;
  #fault: string | undefined;
  #issuedBy: Pick<ClusterKeys, "issuer" | "closed">;

  constructor(options: EndpointSvidOptions) {
    const { keys, clock, random, logger, onFailure } = options;
    this.#options = options;
    this.#fault = keys.current.closed.find(({ role }) => role === "issuing")?.reason;
    this.#issuedBy = keys.current;
    this.#source = new SvidSource({
      initial: keys.current.issuer === undefined ? undefined : this.#issue(),
      issue: async () => this.#issue(),
      clock,
      random,
      onEvent: (event) => {
        if (event.kind === "renewed") this.#fault = undefined;
        if (event.kind !== "renewalFailed") return;
        this.#fault = describeError(event.error);
        onFailure();
        logger.warn("The bundle endpoint's SVID could not be renewed; the present one goes on.", { reason: this.#fault });
      },
    });
  }

  get certificate(): Watched<X509Svid | undefined> {
    return this.#source;
  }

  get fault(): string | undefined {
    return this.#fault;
  }

  async run(signal: AbortSignal): Promise<void> {
    await runTasks(
      [
        (inner) => this.#source.run(inner),
        async (inner) => {
          for await (const keys of this.#options.keys.changes(inner)) if (keys !== this.#issuedBy) this.#source.renewNow();
        },
      ],
      signal,
    );
  }

  #issue(): X509Svid {
    const { trustDomain, keys, svidMs, clock } = this.#options;
    const { privateKey, publicKey } = createKeyPair();
    this.#issuedBy = keys.current;
    const chain = issueSvid(issuerOf(this.#issuedBy), { spiffeId: bundleEndpointId(trustDomain), publicKey, validityMs: svidMs, nowMs: clock.nowMs() });
    return createX509Svid(chain, exportPrivateKeyPem(privateKey));
  }
}

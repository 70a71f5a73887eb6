import type { TrustDomainName } from "#federation/model/names.ts";
import { bundleEndpointId } from "#federation/model/spiffe-id.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import type { Random } from "#federation/runtime/random.ts";
import { mapWatched, type Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { ClusterConfig } from "../config.ts";
import type { ClusterKeys } from "../credentials/cluster-keys.ts";
import type { ClusterMetrics } from "../metrics.ts";
import { BundleEndpoint } from "./bundle-endpoint.ts";
import type { BundleEndpointConfig } from "./endpoint-config.ts";
import { EndpointSvid } from "./endpoint-svid.ts";
import type { CertificateSource } from "./shown-certificate.ts";
import { WebCertificate } from "./web-certificate.ts";

export interface OpenBundleEndpointOptions {
  readonly config: Pick<ClusterConfig, "bundleEndpoint" | "listen" | "svidSeconds">;
  readonly trustDomain: TrustDomainName;
  readonly keys: Watched<Pick<ClusterKeys, "issuer" | "bundle" | "closed">>;
  readonly metrics: Pick<ClusterMetrics, "registry" | "renewalFailures">;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** The bundle endpoint that the configuration asks for; undefined where it asks for none. @throws {ATOLL_PORT_TAKEN} */
export async function openBundleEndpoint(options: OpenBundleEndpointOptions): Promise<BundleEndpoint | undefined> {
  const { config, trustDomain, keys, metrics, clock, logger } = options;
  const { bundleEndpoint, listen } = config;
  if (bundleEndpoint === undefined) return undefined;
  const { profile, address = listen.address, port } = bundleEndpoint;
  const endpoint = await BundleEndpoint.open({ profile, address, port, bundle: mapWatched(keys, ({ bundle }) => bundle), source: certificateSource(bundleEndpoint, options), registry: metrics.registry, clock });
  logger.info("The bundle endpoint serves.", { profile, port: endpoint.port, ...(profile === "https_spiffe" ? { spiffeId: bundleEndpointId(trustDomain) } : {}) });
  return endpoint;
}

function certificateSource(endpoint: BundleEndpointConfig, { config, trustDomain, keys, metrics, clock, random, logger }: OpenBundleEndpointOptions): CertificateSource {
  const onFailure = (): void => metrics.renewalFailures.inc({ certificate: "bundleEndpoint" });
  if (endpoint.profile === "https_spiffe") return new EndpointSvid({ trustDomain, keys, svidMs: config.svidSeconds * 1_000, onFailure, clock, random, logger });
  return new WebCertificate({ certificateFile: endpoint.certificateFile, keyFile: endpoint.keyFile, onFailure, clock, logger });
}

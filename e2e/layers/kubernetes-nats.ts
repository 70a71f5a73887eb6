import { createEngineId } from "#federation/model/engine-identity.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { natsConfig } from "#services/cli/engines/nats-config.ts";
import { planeUsers } from "#services/cli/up/engine-plan.ts";

/** Where the overlays lie, below the root of the repository. */
export const overlaysPath = "infra/kubernetes/overlays";
/** The regions of the example on Kubernetes, each with its cluster. */
export const overlays = [
  { region: "eu-west", cluster: "shop-eu" },
  { region: "us-east", cluster: "shop-us" },
  { region: "ap-south", cluster: "shop-ap" },
] as const;
/** Pods of the StatefulSet `nats`, by the names that its headless Service gives them. */
const servers = ["nats-0", "nats-1", "nats-2"] as const;
const federation = parseTrustDomainName("fed.example");
const everywhere = "0.0.0.0";

/** What a region's three nats-servers run on: one text for all, since each finds its name and its key in its environment. Pure. */
export function kubernetesNatsText(region: string): string {
  const users = planeUsers({ federation, clusters: overlays.map(({ cluster }) => ({ name: cluster })) });
  const tls = { certificate: "$CERTIFICATE", privateKey: "$PRIVATE_KEY", ca: "/etc/nats-tls/ca.pem" };
  const outside = (name: string): string => `nats.${name}.mesh.example`;
  const text = natsConfig({
    name: "$POD_NAME",
    address: everywhere,
    advertise: outside(region),
    port: 4222,
    tls,
    users,
    cluster: { name: region, address: everywhere, port: 6222, tls, spiffeId: createEngineId(federation, region), routes: servers.map((server) => ({ address: `${server}.nats.atoll-system.svc`, port: 6222 })) },
    gateway: { region, address: everywhere, port: 7222, tls, peers: overlays.map((peer) => ({ region: peer.region, address: outside(peer.region), port: 7222 })) },
  });
  // A variable stands outside of quotes in this language.
  return `# nats-servers of ${region}: one region of the supercluster. Written by e2e/layers/write-infra.ts.\n${text.replace(/"(\$[A-Z_]+)"/g, "$1")}`;
}

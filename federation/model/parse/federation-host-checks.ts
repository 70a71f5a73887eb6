import { isIP } from "node:net";
import { attestedFacts } from "../attestation.ts";
import { defaultAppPort } from "../federation-description.ts";
import { clusterHostsOf, clustersOf, regionOfHost, serviceClusters } from "./federation-defaults.ts";
import { expectKnown, regionNames, type Report, type Segments } from "./federation-report.ts";
import type { FederationDocument } from "./federation-schema.ts";

/** What is wrong about machines, and about what stands on them. */
export function checkHosts(document: FederationDocument, report: Report): void {
  checkAppPorts(document, report);
  checkPlaces(document, report);
  checkJoins(document, report);
}

/** A host is told from all others by what its document says, and from all other customers of its cloud. */
function checkJoins({ spec }: FederationDocument, report: Report): void {
  const sources = spec.attestation?.sources ?? {};
  const hosts = spec.hosts ?? [];
  for (const [index, { join }] of hosts.entries()) {
    if (join === undefined) continue;
    const at: Segments = ["hosts", index, "join"];
    expectKnown([...at, "source"], "source", join.source, Object.keys(sources), report);
    const kind = sources[join.source]?.kind;
    if (kind === undefined) continue;
    const { all, anchors }: { readonly all: readonly string[]; readonly anchors: readonly string[] } = attestedFacts[kind];
    for (const name of Object.keys(join.facts)) if (!all.includes(name)) report([...at, "facts", name], `the fact ${name}`, `one that a document of ${kind} has: ${all.join(", ")}`);
    if (!anchors.some((name) => Object.hasOwn(join.facts, name))) report([...at, "facts"], "facts of every customer's machines", `${anchors.join(" or ")} among them`);
    const other = hosts.find((host, which) => which !== index && host.join?.source === join.source && isWithin(join.facts, host.join.facts));
    if (other !== undefined) report([...at, "facts"], `what the document of ${other.name} says, too`, "facts that tell this machine from it");
  }
}

function isWithin(facts: Readonly<Record<string, string>>, others: Readonly<Record<string, string>>): boolean {
  return Object.entries(facts).every(([name, value]) => others[name] === value);
}

function checkPlaces(document: FederationDocument, report: Report): void {
  const { spec } = document;
  const hosts = spec.hosts ?? [];
  const names = hosts.map(({ name }) => name);
  const addresses = new Map<string, string>();
  for (const [index, host] of hosts.entries()) {
    if (host.region !== undefined) expectKnown(["hosts", index, "region"], "region", host.region, regionNames(spec), report);
    else if (spec.regions.length > 1) report(["hosts", index, "region"], "nothing", `one of the regions ${regionNames(spec).join(", ")}`);
    const other = addresses.get(host.address);
    if (other !== undefined) report(["hosts", index, "address"], `${host.address}, which is that of ${other}`, "an address of its own");
    addresses.set(host.address, host.name);
    if (host.listen === undefined && isIP(host.address) === 0) report(["hosts", index, "address"], `the name ${host.address} and no listen`, "listen: the literal address behind it, on which its programs listen");
  }
  const expectHost = (segments: Segments, name: string, region: string | undefined): void => {
    expectKnown(segments, "host", name, names, report);
    const host = hosts.find((candidate) => candidate.name === name);
    const itsRegion = host === undefined ? undefined : regionOfHost(spec, host);
    if (region !== undefined && itsRegion !== undefined && itsRegion !== region) report(segments, `${name} in ${itsRegion}`, `a host in ${region}`);
  };
  const clusters = clustersOf(document);
  const regionOf = (cluster: string): string | undefined => clusters.find(({ name }) => name === cluster)?.region;
  for (const [index, cluster] of (spec.clusters ?? []).entries()) {
    if (cluster.host !== undefined) expectHost(["clusters", index, "host"], cluster.host, regionOf(cluster.name));
    for (const [which, host] of (cluster.gateways?.hosts ?? []).entries()) expectHost(["clusters", index, "gateways", "hosts", which], host, regionOf(cluster.name));
  }
  for (const [index, service] of (spec.services ?? []).entries()) {
    for (const [which, { host, cluster }] of (service.instances ?? []).entries()) if (host !== undefined) expectHost(["services", index, "instances", which, "host"], host, regionOf(cluster));
  }
  for (const [index, { region, hosts: members = [] }] of (spec.engines?.places ?? []).entries()) {
    expectKnown(["engines", "places", index, "region"], "region", region, regionNames(spec), report);
    for (const [which, host] of members.entries()) expectHost(["engines", "places", index, "hosts", which], host, region);
  }
  if (spec.global !== undefined) expectHost(["global", "host"], spec.global.host, undefined);
  if (spec.hosts === undefined) return;
  const placed = clusterHostsOf(document);
  for (const [index, { name, region }] of clusters.entries()) {
    if (!placed.has(name)) report(spec.clusters === undefined ? ["regions", index, "name"] : ["clusters", index, "name"], `no host for ${name}`, `a host in ${region}`);
  }
}

/** Two applications cannot listen on one port of one host; without hosts, everything is on this machine. */
function checkAppPorts(document: FederationDocument, report: Report): void {
  const { spec } = document;
  const hosts = clusterHostsOf(document);
  const taken = new Map<string, string>();
  for (const [index, service] of (spec.services ?? []).entries()) {
    for (const [which, instance] of serviceClusters(document, service).entries()) {
      const isFree = service.command !== undefined && spec.hosts === undefined;
      const written = instance.appPort ?? service.appPort;
      if (written === undefined && isFree) continue;
      const host = instance.host ?? hosts.get(instance.cluster) ?? "this machine";
      const key = `${host} ${written ?? defaultAppPort}`;
      const segments: Segments = ["services", index, ...(instance.appPort === undefined ? (service.appPort === undefined ? ["name"] : ["appPort"]) : ["instances", which, "appPort"])];
      const other = taken.get(key);
      // Instances of one service that share a machine without hosts of their own are one application, or get ports of their own.
      const own = `services[${index}]`;
      if (other !== undefined && (other !== own || spec.hosts !== undefined)) report(segments, `port ${written ?? defaultAppPort} on ${host}, which ${other === own ? "another instance of it" : spec.services?.[Number(/\d+/.exec(other)?.[0])]?.name} has`, "an appPort of its own");
      taken.set(key, own);
    }
  }
}

import { isLabel, labelLengthMax } from "../names.ts";
import { clustersOf, defaultNamespace, edgeCluster, instanceNames, serviceClusters, trustDomainsOf } from "./federation-defaults.ts";
import { describeValue, formatPath, type Fault } from "./fault.ts";
import { checkHosts } from "./federation-host-checks.ts";
import { expectKnown, regionNames, serviceIds, type Report, type Segments } from "./federation-report.ts";
import type { FederationDocument } from "./federation-schema.ts";
import { checkTcp } from "./federation-tcp-checks.ts";

/** A server name `p<port>.<service>.<namespace>.svc.<trust domain>` has as many characters at most as any DNS name. */
const serverNameMax = 253;

/**
 * What fits the schema and yet makes no federation: names that mean nothing, or two things, or are too long for what is made of them.
 * All of it together. Pure, O(entries²) in the worst case of a bounded file.
 */
export function checkFederation(document: FederationDocument): readonly Fault[] {
  const faults: Fault[] = [];
  const report: Report = (segments, found, expected) => faults.push({ path: formatPath(["spec", ...segments]), segments: ["spec", ...segments], found, expected, onKey: false });
  checkDoubles(document, report);
  checkRegions(document, report);
  checkTrustDomains(document, report);
  checkClusters(document, report);
  checkServices(document, report);
  checkTcp(document, report);
  checkNames(document, report);
  checkRelations(document, report);
  checkUsers(document, report);
  checkClients(document, report);
  checkHosts(document, report);
  return faults;
}

function checkDoubles({ spec }: FederationDocument, report: Report): void {
  const lists: readonly (readonly [string, readonly { readonly key: string; readonly at: string }[]])[] = [
    ["regions", spec.regions.map(({ name }) => ({ key: name, at: "name" }))],
    ["hosts", (spec.hosts ?? []).map(({ name }) => ({ key: name, at: "name" }))],
    ["trustDomains", (spec.trustDomains ?? []).map(({ name }) => ({ key: name, at: "name" }))],
    ["clusters", (spec.clusters ?? []).map(({ name }) => ({ key: name, at: "name" }))],
    ["relationships", (spec.relationships ?? []).map(({ name }) => ({ key: name, at: "name" }))],
    ["policies", (spec.policies ?? []).map(({ name, namespace = defaultNamespace }) => ({ key: `${namespace}/${name}`, at: "name" }))],
  ];
  for (const [list, entries] of lists) {
    const seen = new Set<string>();
    for (const [index, { key, at }] of entries.entries()) {
      if (seen.has(key)) report([list, index, at], `${key} a second time`, "names that differ from each other");
      seen.add(key);
    }
  }
}

function checkRegions({ spec }: FederationDocument, report: Report): void {
  for (const [index, { between }] of (spec.distances ?? []).entries()) {
    for (const [side, name] of between.entries()) expectKnown(["distances", index, "between", side], "region", name, regionNames(spec), report);
    if (between[0] === between[1]) report(["distances", index, "between"], `${between[0]} twice`, "two regions");
  }
}

function checkTrustDomains(document: FederationDocument, report: Report): void {
  const { metadata, spec } = document;
  const clusters = clustersOf(document);
  const own = spec.trustDomain ?? `${metadata.name}.atoll`;
  if (trustDomainsOf(document).some((name) => name === own)) report(spec.trustDomain === undefined ? [] : ["trustDomain"], `${own} for workloads too`, "a trust domain of planes and engines alone");
  for (const [index, { name, signer }] of (spec.trustDomains ?? []).entries()) {
    if (!clusters.some((cluster) => cluster.trustDomain === name)) report(["trustDomains", index, "name"], `no cluster of ${name}`, "a cluster whose plane is its signer");
    if (signer === undefined) continue;
    const cluster = clusters.find((candidate) => candidate.name === signer);
    if (cluster === undefined) expectKnown(["trustDomains", index, "signer"], "cluster", signer, clusterNames(document), report);
    else if (cluster.trustDomain !== name) report(["trustDomains", index, "signer"], `${signer}, a cluster of ${cluster.trustDomain}`, `a cluster of ${name}`);
  }
}

function checkClusters(document: FederationDocument, report: Report): void {
  const { spec } = document;
  const trustDomains = trustDomainsOf(document);
  for (const [index, { region, trustDomain }] of (spec.clusters ?? []).entries()) {
    if (region !== undefined) expectKnown(["clusters", index, "region"], "region", region, regionNames(spec), report);
    else if (spec.regions.length > 1) report(["clusters", index, "region"], "nothing", `one of the regions ${regionNames(spec).join(", ")}`);
    if (trustDomain === undefined && trustDomains.length > 1) report(["clusters", index, "trustDomain"], "nothing", `one of the trust domains ${trustDomains.join(", ")}`);
    if (trustDomain !== undefined && spec.trustDomains !== undefined && !spec.trustDomains.some(({ name }) => name === trustDomain)) {
      expectKnown(["clusters", index, "trustDomain"], "trust domain", trustDomain, spec.trustDomains.map(({ name }) => name), report);
    }
  }
  if (spec.clusters === undefined && trustDomains.length > 1) report(["trustDomains"], `${trustDomains.length} trust domains and no clusters`, "clusters that say whose they are");
}

function checkServices(document: FederationDocument, report: Report): void {
  const { spec } = document;
  const clusters = clustersOf(document);
  const trustDomains = trustDomainsOf(document);
  const seen = new Set<string>();
  for (const [index, service] of (spec.services ?? []).entries()) {
    const at = (...rest: Segments): Segments => ["services", index, ...rest];
    if (service.clusters !== undefined && service.instances !== undefined) report(at("instances"), "clusters and instances", "one of the two");
    if (service.trustDomain !== undefined) expectKnown(at("trustDomain"), "trust domain", service.trustDomain, trustDomains, report);
    const key = service.instances === undefined ? "clusters" : "instances";
    const places = serviceClusters(document, service);
    for (const [place, { cluster }] of places.entries()) {
      if (service[key] !== undefined) expectKnown(key === "clusters" ? at(key, place) : at(key, place, "cluster"), "cluster", cluster, clusterNames(document), report);
    }
    const owners = [...new Set(places.flatMap(({ cluster }) => clusters.find(({ name }) => name === cluster)?.trustDomain ?? []))];
    if (places.length === 0) report(at("name"), `no cluster for ${service.name}`, trustDomains.length > 1 && service.trustDomain === undefined ? "clusters, or a trustDomain" : "at least one cluster");
    if (owners.length > 1) report(at(key), `clusters of ${owners.join(" and ")}`, "clusters of one trust domain");
    const [owner] = owners;
    if (owner !== undefined && service.trustDomain !== undefined && owner !== service.trustDomain && trustDomains.includes(service.trustDomain)) report(at("trustDomain"), `${service.trustDomain}, though its clusters are of ${owner}`, owner);
    const id = `${service.namespace ?? defaultNamespace}/${service.name}`;
    if (seen.has(`${id} ${owner}`)) report(at("name"), `${id} a second time in ${owner}`, "names that differ from each other");
    seen.add(`${id} ${owner}`);
    for (const [which, consumer] of (service.consumers ?? []).entries()) expectKnown(at("consumers", which), "trust domain", consumer, trustDomains, report);
    for (const [which, upstream] of (service.upstreams ?? []).entries()) expectKnown(at("upstreams", which), "service", upstream, serviceIds(document), report);
    if (service.export === false && (service.consumers ?? []).length > 0) report(at("consumers"), "consumers of what is not exported", "export: true, or no consumers");
    if (service.command === undefined && service.directory !== undefined) report(at("directory"), describeValue(service.directory), "a command that runs there");
    if (service.command === undefined && service.env !== undefined) report(at("env"), "variables", "a command that gets them");
    checkExportNamespace(document, index, report);
    const serverName = `p${service.port ?? 80}.${service.name}.${service.namespace ?? defaultNamespace}.svc.${owner ?? ""}`;
    if (serverName.length > serverNameMax) report(at("name"), `a server name of ${serverName.length} characters`, `at most ${serverNameMax}: a shorter name, namespace or trust domain`);
  }
}

function checkExportNamespace(document: FederationDocument, index: number, report: Report): void {
  const service = document.spec.services?.[index];
  if (service === undefined || service.export === false) return;
  const namespace = service.namespace ?? defaultNamespace;
  for (const { cluster } of serviceClusters(document, service)) {
    const at = document.spec.clusters?.findIndex(({ name }) => name === cluster) ?? -1;
    const allowed = document.spec.clusters?.[at]?.exportNamespaces;
    if (allowed !== undefined && !allowed.includes(namespace)) report(["clusters", at, "exportNamespaces"], `nothing of ${namespace}, the namespace of ${service.name}`, `${namespace} among them, or export: false there`);
  }
}

/** Names of processes are made of two names each, and have to differ and to be names themselves. */
function checkNames(document: FederationDocument, report: Report): void {
  const made = new Map<string, string>();
  const take = (segments: Segments, name: string, of: string): void => {
    if (name.length > labelLengthMax || !isLabel(name)) report(segments, `the process name ${name} of ${name.length} characters`, `at most ${labelLengthMax}: shorter names`);
    const other = made.get(name);
    // The same thing declared twice is told elsewhere, once.
    if (other !== undefined && other !== of) report(segments, `the process name ${name} of ${of} a second time, after ${other}`, "names that differ when joined");
    made.set(name, of);
  };
  for (const [index, { name }] of clustersOf(document).entries()) {
    const segments = document.spec.clusters === undefined ? ["regions", index, "name"] : ["clusters", index, "name"];
    for (const suffix of ["plane", "gateway"]) take(segments, `${name}-${suffix}`, `cluster ${name}`);
  }
  for (const [index, { name }] of document.spec.regions.entries()) for (const suffix of ["etcd", "nats", "edge"]) take(["regions", index, "name"], `${name}-${suffix}`, `region ${name}`);
  for (const [index, service] of (document.spec.services ?? []).entries()) {
    for (const name of instanceNames(service.name, serviceClusters(document, service))) {
      for (const suffix of ["proxy", "app"]) take(["services", index, "name"], `${name}-${suffix}`, `service ${service.namespace ?? defaultNamespace}/${service.name}`);
    }
  }
}

function checkRelations(document: FederationDocument, report: Report): void {
  const { spec } = document;
  const trustDomains = trustDomainsOf(document);
  for (const [index, { caller, callee }] of (spec.relationships ?? []).entries()) {
    expectKnown(["relationships", index, "caller", "trustDomain"], "trust domain", caller.trustDomain, trustDomains, report);
    expectKnown(["relationships", index, "callee", "trustDomain"], "trust domain", callee.trustDomain, trustDomains, report);
    if (caller.trustDomain === callee.trustDomain) report(["relationships", index, "callee", "trustDomain"], callee.trustDomain, "another trust domain than the caller's");
    for (const [which, service] of callee.services.entries()) expectKnown(["relationships", index, "callee", "services", which], "service", service, serviceIds(document), report);
  }
  for (const [index, { spec: policy }] of (spec.policies ?? []).entries()) {
    const { targetRef } = policy;
    expectKnown(["policies", index, "spec", "targetRef", "name"], "service", `${targetRef.namespace}/${targetRef.name}`, serviceIds(document), report);
    if (targetRef.trustDomain === undefined && trustDomains.length > 1) report(["policies", index, "spec", "targetRef"], "no trust domain", `one of ${trustDomains.join(", ")}`);
  }
}

function checkClients(document: FederationDocument, report: Report): void {
  for (const [index, { role, trustDomains = [], namespaces }] of (document.spec.clients ?? []).entries()) {
    for (const [which, name] of trustDomains.entries()) expectKnown(["clients", index, "trustDomains", which], "trust domain", name, trustDomainsOf(document), report);
    const isBound = trustDomains.length > 0 || namespaces !== undefined;
    if (isBound && role !== undefined && role !== "operator") report(["clients", index, "role"], `${role} with bounds`, "operator, whom alone trustDomains and namespaces bound");
  }
}

function checkUsers(document: FederationDocument, report: Report): void {
  const { spec } = document;
  for (const [index, users] of (spec.users ?? []).entries()) {
    const isKnown = regionNames(spec).includes(users.region) && serviceIds(document).includes(users.service);
    expectKnown(["users", index, "region"], "region", users.region, regionNames(spec), report);
    expectKnown(["users", index, "service"], "service", users.service, serviceIds(document), report);
    if (isKnown && edgeCluster(document, users) === undefined) report(["users", index, "region"], `no cluster of ${users.service}'s trust domain in ${users.region}`, "a region with one");
  }
}

/** By the names that are written, even where something else is missing. */
function clusterNames(document: FederationDocument): readonly string[] {
  return document.spec.clusters?.map(({ name }) => name) ?? clustersOf(document).map(({ name }) => name);
}

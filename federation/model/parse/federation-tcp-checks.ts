import { defaultAppPort } from "../federation-description.ts";
import { clusterHostsOf, serviceClusters, servicesNamed } from "./federation-defaults.ts";
import { expectKnown, serviceIds, type Report, type Segments } from "./federation-report.ts";
import type { FederationDocument, FederationDocumentService } from "./federation-schema.ts";

/** What is wrong about TCP services, about those who call them, and about ports beside an application. */
export function checkTcp(document: FederationDocument, report: Report): void {
  for (const [index, service] of (document.spec.services ?? []).entries()) {
    if (service.protocol === "tcp") checkTcpService(service, ["services", index], report);
    checkUpstreams(document, service, ["services", index], report);
  }
  for (const [index, { service }] of (document.spec.users ?? []).entries()) {
    if (isTcp(document, service)) report(["users", index, "service"], `${service}, which speaks tcp`, "a service that speaks http");
  }
  checkLocalPorts(document, report);
}

function checkTcpService({ port, readiness }: FederationDocumentService, at: Segments, report: Report): void {
  if (port === undefined) report([...at, "protocol"], "tcp without a port", "a port by which others call it");
  if (readiness !== undefined) report([...at, "readiness"], "a path that a tcp service does not answer", "no readiness: its port accepts");
}

function checkUpstreams(document: FederationDocument, { tcpUpstreams = [] }: FederationDocumentService, at: Segments, report: Report): void {
  for (const [which, { service }] of tcpUpstreams.entries()) {
    const segments = [...at, "tcpUpstreams", which, "service"];
    expectKnown(segments, "service", service, serviceIds(document), report);
    if (servicesNamed(document, service).length > 0 && !isTcp(document, service)) report(segments, `${service}, which speaks http`, "a tcp service; http ones are called by their name");
  }
}

function isTcp(document: FederationDocument, id: string): boolean {
  return servicesNamed(document, id).some(({ protocol }) => protocol === "tcp");
}

/** On a host, nobody else may have the port that a sidecar opens for its application. On one machine, others are chosen. */
function checkLocalPorts(document: FederationDocument, report: Report): void {
  const { spec } = document;
  if (spec.hosts === undefined) return;
  const hosts = clusterHostsOf(document);
  const taken = new Map<string, string>();
  const places = (spec.services ?? []).map((service) => serviceClusters(document, service).map((instance) => ({ ...instance, host: instance.host ?? hosts.get(instance.cluster) ?? "" })));
  for (const [index, service] of (spec.services ?? []).entries()) {
    for (const { host, appPort } of places[index] ?? []) taken.set(`${host} ${appPort ?? service.appPort ?? defaultAppPort}`, `the application of ${service.name}`);
  }
  for (const [index, { name, tcpUpstreams = [] }] of (spec.services ?? []).entries()) {
    for (const { host } of places[index] ?? []) {
      for (const [which, { service, localPort = servicesNamed(document, service)[0]?.port }] of tcpUpstreams.entries()) {
        if (localPort === undefined) continue;
        const other = taken.get(`${host} ${localPort}`);
        if (other !== undefined) report(["services", index, "tcpUpstreams", which, "service"], `port ${localPort} on ${host}, which ${other} has`, "a localPort of its own");
        taken.set(`${host} ${localPort}`, `the sidecar of ${name}`);
      }
    }
  }
}

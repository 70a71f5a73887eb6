import { isIP } from "node:net";
import {
  addressField,
  booleanField,
  choiceField,
  defaultField,
  integerField,
  listField,
  objectField,
  optionalField,
  parsedField,
  portField,
  stringField,
  type ConfigOf,
} from "#federation/runtime/config.ts";
import { joinAttestField } from "#federation/identity/attest/evidence-config.ts";
import { parseAddress } from "#federation/identity/join-token.ts";
import { checkOneSource } from "#federation/identity/join-voucher.ts";
import { parseLabel, parseRegionId, type ServiceHost, type TrustDomainName } from "#federation/model/names.ts";
import { serviceHost } from "#federation/model/service.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { checkSocketPath } from "#federation/runtime/socket-path.ts";
import { defaultHttpLimits, headBytesRange, type HttpLimits } from "./http/http-limits.ts";

const labelField = (what: string) => parsedField(stringField({ max: 63 }), (text) => parseLabel(text, what));
const fixedPortField = integerField({ min: 1, max: 65_535 });

/** `namespace/name` in one's own trust domain, or a whole service host. */
const serviceNameField = parsedField(stringField({ max: 253 }), (text) => {
  serviceHostOf(text, "own.example" as TrustDomainName);
  return text;
});

/** `address` or `address:port`, as Node's resolver takes it. */
const dnsServerField = parsedField(stringField({ max: 53 }), (text) => {
  if (isIP(text) === 0 && isIP(parseAddress(text)?.host ?? "") === 0) throw new AtollError("ATOLL_CONFIG_INVALID", "expected a literal IP address, with or without a port");
  return text;
});

const socketPathField = parsedField(stringField({ pattern: /^\/.*[^/]$/, expected: "the absolute path of a socket file" }), (text) => {
  checkSocketPath(text, "choose a shorter directory");
  return text;
});

const defaultPorts = { outbound: 15_001, inbound: 15_006, gateway: 15_443, admin: 15_000, metrics: 15_090 };

const fieldsOfProxy = objectField({
  mode: choiceField(["sidecar", "gateway"]),
  name: labelField("proxy"),
  dataDir: stringField(),
  /** By what it joins its plane until there is an SVID, and again when it has expired: a token, or evidence that others give. */
  joinTokenFile: defaultField(stringField({ min: 0 }), ""),
  joinAttest: optionalField(joinAttestField),
  /** Where the inbound or gateway port is bound, and what others dial. */
  address: addressField,
  region: parsedField(stringField({ max: 63 }), parseRegionId),
  zone: optionalField(labelField("zone")),
  ports: defaultField(
    objectField({
      outbound: defaultField(portField, defaultPorts.outbound),
      inbound: defaultField(portField, defaultPorts.inbound),
      gateway: defaultField(portField, defaultPorts.gateway),
      admin: defaultField(portField, defaultPorts.admin),
      metrics: defaultField(portField, defaultPorts.metrics),
    }),
    defaultPorts,
  ),
  /** Sidecar: what stands behind it. Absent for a sidecar that only calls. */
  workload: optionalField(
    objectField({
      instanceId: labelField("instance"),
      services: listField(objectField({ namespace: labelField("namespace"), service: labelField("service"), port: fixedPortField, appPort: fixedPortField }), { max: 64 }),
      weight: defaultField(integerField({ min: 1, max: 65_535 }), 1),
      readiness: defaultField(
        objectField({
          path: optionalField(stringField({ pattern: /^\/[\x21-\x7e]*$/, expected: "a path that begins with /" })),
          intervalMs: defaultField(integerField({ min: 100, max: 60_000 }), 1_000),
        }),
        { intervalMs: 1_000 },
      ),
    }),
  ),
  tcpListeners: defaultField(listField(objectField({ port: portField, service: serviceNameField, servicePort: fixedPortField }), { max: 64 }), []),
  /** Sidecar at the mesh's edge: its clients may say the class of a request in `x-atoll-priority`. Nobody else's word on that is taken. */
  edge: defaultField(booleanField, false),
  /** Sidecar: hands its application the identity itself, by the SPIFFE Workload API on a unix socket. Whoever may open the socket is the workload. */
  workloadApi: optionalField(
    objectField({
      path: socketPathField,
      /** `0660` lets in the socket's group too. */
      mode: defaultField(choiceField(["0600", "0660"]), "0600"),
    }),
  ),
  /** Services that are called; absent means every one that this proxy may see. */
  upstreams: optionalField(listField(serviceNameField, { max: 10_000 })),
  accessLog: optionalField(
    objectField({
      format: defaultField(choiceField(["text", "json"]), "json"),
      /** `failures` costs nothing while all is well. */
      filter: defaultField(choiceField(["all", "failures"]), "all"),
      path: stringField(),
    }),
  ),
  otlpEndpoint: optionalField(stringField({ pattern: /^https?:\/\/\S+$/, expected: "an http or https URL" })),
  /** `memory` never writes the private key, and forgoes the cold start without a plane. */
  keys: defaultField(choiceField(["disk", "memory"]), "disk"),
  /** Overrides where the plane says its discovery port is. */
  discovery: optionalField(
    listField(
      parsedField(stringField({ max: 300 }), (text) => {
        if (parseAddress(text) === undefined) throw new AtollError("ATOLL_CONFIG_INVALID", "expected host:port");
        return text;
      }),
      { min: 1, max: 16 },
    ),
  ),
  /** Who is asked for the names of gateways and planes; the system's resolvers unless given. */
  dns: defaultField(objectField({ servers: optionalField(listField(dnsServerField, { min: 1, max: 8 })) }), {}),
  /** Sidecar: bounds of HTTP messages; what is beyond is refused, and the refusal names the bound. */
  limits: defaultField(
    objectField({
      headBytes: defaultField(integerField(headBytesRange), defaultHttpLimits.headBytesMax),
      targetBytes: defaultField(integerField({ min: 1_024, max: 65_536 }), defaultHttpLimits.targetBytesMax),
      fields: defaultField(integerField({ min: 32, max: 1_000 }), defaultHttpLimits.fieldsMax),
      trailerBytes: defaultField(integerField({ min: 1_024, max: 65_536 }), defaultHttpLimits.trailerBytesMax),
    }),
    { headBytes: defaultHttpLimits.headBytesMax, targetBytes: defaultHttpLimits.targetBytesMax, fields: defaultHttpLimits.fieldsMax, trailerBytes: defaultHttpLimits.trailerBytesMax },
  ),
  /** How long connections may take to finish after SIGTERM. */
  drainMs: defaultField(integerField({ min: 0, max: 600_000 }), 10_000),
  logLevel: defaultField(choiceField(["debug", "info", "warn", "error"]), "info"),
});

/** The configuration file of a proxy. */
export const proxyConfigField = parsedField(fieldsOfProxy, (config) => {
  checkOneSource({ tokenFile: config.joinTokenFile, attest: config.joinAttest }, "joinTokenFile and joinAttest");
  if (config.workloadApi !== undefined && config.mode === "gateway") {
    throw new AtollError("ATOLL_CONFIG_INVALID", "workloadApi: a gateway has no application, and its identity is its own; it is for sidecars");
  }
  if (config.keys === "memory" && config.joinAttest?.evidence.kind === "aws") {
    throw new AtollError("ATOLL_CONFIG_INVALID", "keys: a machine's document of AWS never changes and belongs to the first key that came with it, so that a proxy without a key on disk could not join again after a restart");
  }
  return config;
});
export type ProxyConfig = ConfigOf<{ config: typeof proxyConfigField }>["config"];

/** The bounds of HTTP messages that a configuration asks for. */
export function httpLimitsOf({ limits }: Pick<ProxyConfig, "limits">): HttpLimits {
  const { headBytes, targetBytes, fields, trailerBytes } = limits;
  return { ...defaultHttpLimits, headBytesMax: headBytes, targetBytesMax: targetBytes, fieldsMax: fields, trailerBytesMax: trailerBytes };
}

/** The host that a configured service name means. @throws {ATOLL_NAME_INVALID | ATOLL_SPIFFE_ID_INVALID | ATOLL_CONFIG_INVALID} */
export function serviceHostOf(text: string, own: TrustDomainName): ServiceHost {
  const slash = text.indexOf("/");
  if (slash !== -1) {
    return serviceHost({ namespace: parseLabel(text.slice(0, slash), "namespace"), name: parseLabel(text.slice(slash + 1), "service"), trustDomain: own });
  }
  const [name = "", namespace = "", svc, ...rest] = text.split(".");
  if (svc !== "svc") throw new AtollError("ATOLL_CONFIG_INVALID", "expected namespace/name or name.namespace.svc.<trust domain>");
  return serviceHost({ namespace: parseLabel(namespace, "namespace"), name: parseLabel(name, "service"), trustDomain: parseTrustDomainName(rest.join(".")) });
}

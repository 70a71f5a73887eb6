import { X509Certificate } from "node:crypto";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { readCertificate } from "../certificate-reader.ts";
import { childrenOf, contextTagOf, oids, primitiveBytesOf, readDer } from "../der.ts";
import { jwtLimits } from "../jwt-token.ts";
import { sha256Hex } from "../key-pair.ts";
import { factsOf, recordOf, type Attestor } from "./attestor.ts";
import { certificatesOf } from "./certificates-file.ts";
import { readSignedData, type SignedData } from "./signed-data.ts";

/** A machine of AWS that was let in once is remembered for so long after the last time that it came. */
const rememberMs = 90 * 86_400_000;

const leewayMs = jwtLimits.leewaySeconds * 1_000;

export interface AwsSource {
  /** AWS's RSA-2048 certificates of the regions whose machines are believed, in PEM; read again when the file changes. */
  readonly certificatesFile: string;
  /** How long after its start a machine may come for the first time: its document never changes, and is good for nobody else after that. */
  readonly firstUseSeconds: number;
}

/**
 * Attests machines of EC2 by their instance identity document in its RSA-2048 form: the document lies within the signature, and the
 * certificate does not travel along.
 * @see https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/verify-rsa2048.html
 */
export function createAwsAttestor(source: string, { certificatesFile, firstUseSeconds }: AwsSource, clock: Clock): Attestor {
  const certificates = certificatesOf(certificatesFile);
  return {
    kind: "aws",
    async attest(document) {
      const signed = readSignedData(document);
      const signers = (await certificates()).filter((certificate) => isNamed(signed, certificate));
      if (!signers.some(({ publicKey }) => signed.isSignedBy(publicKey))) throw refused("none of AWS's certificates here made its signature");
      const said = parseJson(signed.content);
      const startedMs = Date.parse(String(said["pendingTime"]));
      const { accountId, region, availabilityZone, instanceId, imageId, instanceType, privateIp } = factsOf(said);
      if (accountId === undefined || instanceId === undefined || !Number.isFinite(startedMs)) throw refused("it names no account, machine and time of its start");
      const newKeyUntilMs = startedMs + firstUseSeconds * 1_000;
      return {
        source,
        documentSha256: sha256Hex(signed.content),
        facts: factsOf({ accountId, region, availabilityZone, instanceId, imageId, instanceType, privateIp }),
        subject: `${accountId}/${instanceId}`,
        newKeyUntilMs,
        rememberUntilMs: Math.max(newKeyUntilMs, clock.nowMs() + rememberMs),
      };
    },
  };
}

/** The names that Azure's clouds sign under. @see https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service#attested-data */
export const azureSignerNames = ["metadata.azure.com", "metadata.azure.us", "metadata.azure.cn"] as const;

export interface AzureSource {
  /** The authorities that issue the signers' certificates, in PEM: the intermediate ones, since no plane fetches any; read again when the file changes. */
  readonly certificatesFile: string;
  readonly signerName: (typeof azureSignerNames)[number];
}

/**
 * Attests machines of Azure by their attested document. Its signer's certificate travels along; the same authorities issue to
 * everybody, so that its name decides: the cloud's own, or one below it.
 * @see https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service#attested-data
 */
export function createAzureAttestor(source: string, { certificatesFile, signerName }: AzureSource, clock: Clock): Attestor {
  const authorities = certificatesOf(certificatesFile);
  return {
    kind: "azure",
    async attest(document) {
      const signed = readSignedData(document);
      const signer = signed.certificates.map((der) => new X509Certificate(der)).find((certificate) => isNamed(signed, certificate));
      if (signer === undefined || !signed.isSignedBy(signer.publicKey)) throw refused("the certificate that came along did not make its signature");
      const nowMs = clock.nowMs();
      if (Date.parse(signer.validFrom) > nowMs + leewayMs || Date.parse(signer.validTo) <= nowMs - leewayMs) throw refused("its signer's certificate does not hold now");
      if (!(await authorities()).some((authority) => authority.ca && signer.checkIssued(authority) && signer.verify(authority.publicKey))) throw refused("none of the authorities here issued its signer's certificate");
      if (!dnsNamesOf(signer.raw).some((name) => name === signerName || name.endsWith(`.${signerName}`))) throw refused(`its signer is not ${signerName}`);
      const said = parseJson(signed.content);
      const { createdOn, expiresOn } = recordOf(said["timeStamp"]);
      const [createdMs, expiresMs] = [parseAzureTime(createdOn), parseAzureTime(expiresOn)];
      if (createdMs > nowMs + leewayMs || expiresMs <= nowMs - leewayMs) throw refused("it does not hold now");
      const { subscriptionId, vmId, sku, licenseType } = factsOf(said);
      if (subscriptionId === undefined || vmId === undefined) throw refused("it names no subscription and machine");
      const overMs = expiresMs + 2 * leewayMs;
      return { source, documentSha256: sha256Hex(signed.content), facts: factsOf({ subscriptionId, vmId, sku, licenseType }), subject: `${subscriptionId}/${vmId}`, newKeyUntilMs: overMs, rememberUntilMs: overMs };
    },
  };
}

/** Whether the signer says that this certificate is its own. */
function isNamed({ signer }: SignedData, { raw, serialNumber }: X509Certificate): boolean {
  return BigInt(`0x${serialNumber}`) === BigInt(`0x${signer.serial.toString("hex") || "0"}`) && readCertificate(raw).issuerDer.equals(signer.issuerDer);
}

function dnsNamesOf(der: Buffer): readonly string[] {
  const names = readCertificate(der).extensions.get(oids.subjectAltName);
  if (names === undefined) return [];
  return childrenOf(readDer(names.value), "SEQUENCE").filter((name) => contextTagOf(name) === 2).map((name) => primitiveBytesOf(name).toString("latin1").toLowerCase());
}

function parseJson(content: Buffer): Readonly<Record<string, unknown>> {
  try {
    return recordOf(JSON.parse(content.toString("utf8")));
  } catch {
    // Without the cause: a JSON error quotes its input.
    throw refused("its content is not JSON");
  }
}

/** `MM/DD/YY hh:mm:ss -0000`, always UTC. */
function parseAzureTime(text: unknown): number {
  const match = typeof text === "string" ? /^(\d\d)\/(\d\d)\/(\d\d) (\d\d):(\d\d):(\d\d) -0000$/.exec(text) : null;
  if (match === null) throw refused("its times cannot be read");
  const [month = 0, day = 0, year = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  return Date.UTC(2_000 + year, month - 1, day, hour, minute, second);
}

function refused(reason: string): AtollError {
  return new AtollError("ATOLL_TOKEN_REFUSED", `the document is refused: ${reason}`);
}

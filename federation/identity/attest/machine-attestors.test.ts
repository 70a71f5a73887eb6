import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { createAwsAttestor, createAzureAttestor } from "./machine-attestors.ts";
import { createTestSigner, signAsAws, signAsAzure } from "./signed-data-fixture.ts";
import { readSignedData } from "./signed-data.ts";

const directory = mkdtempSync(join(tmpdir(), "atoll-machines-"));
afterAll(() => rmSync(directory, { recursive: true }));
const fileOf = (name: string, ...pems: readonly string[]): string => {
  const path = join(directory, name);
  writeFileSync(path, pems.join("\n"));
  return path;
};
const nowMs = systemClock.nowMs();

async function refusalOf(attested: Promise<unknown>): Promise<string> {
  const error: unknown = await attested.then(() => undefined, (reason: unknown) => reason);
  expect(error).toMatchObject({ code: expect.stringMatching(/^ATOLL_(TOKEN_REFUSED|CERTIFICATE_INVALID)$/) });
  return describeError(error);
}

describe("a machine of AWS", () => {
  const aws = createTestSigner("Amazon Web Services LLC");
  const stranger = createTestSigner("Amazon Web Services LLC");
  const attestor = createAwsAttestor("ec2", { certificatesFile: fileOf("aws.pem", stranger.issue({ commonName: "another region" }).certificatePem, aws.certificatePem), firstUseSeconds: 3_600 }, systemClock);
  // The fields of an instance identity document, in the form in which AWS prints it.
  const identity = (changed: Readonly<Record<string, unknown>> = {}): string => JSON.stringify({
    accountId: "123456789012",
    architecture: "x86_64",
    availabilityZone: "eu-west-1b",
    billingProducts: null,
    devpayProductCodes: null,
    marketplaceProductCodes: null,
    imageId: "ami-5fb8c835",
    instanceId: "i-1234567890abcdef0",
    instanceType: "t3.micro",
    kernelId: null,
    pendingTime: new Date(nowMs - 60_000).toISOString().replace(/\.\d+Z$/, "Z"),
    privateIp: "10.158.112.84",
    ramdiskId: null,
    region: "eu-west-1",
    version: "2017-09-30",
    ...changed,
  }, undefined, 2);

  it("is told by its document: account, region, zone, image, instance", async () => {
    const attested = await attestor.attest(signAsAws(identity(), aws));
    expect(attested).toMatchObject({
      source: "ec2",
      facts: { accountId: "123456789012", region: "eu-west-1", availabilityZone: "eu-west-1b", instanceId: "i-1234567890abcdef0", imageId: "ami-5fb8c835", instanceType: "t3.micro", privateIp: "10.158.112.84" },
      subject: "123456789012/i-1234567890abcdef0",
    });
    expect(attested.newKeyUntilMs).toBe(Math.floor((nowMs - 60_000) / 1_000) * 1_000 + 3_600_000);
    expect(attested.rememberUntilMs).toBeGreaterThan(nowMs + 80 * 86_400_000);
    // The same document in another signature is the same document.
    expect((await attestor.attest(signAsAws(identity(), aws))).documentSha256).toBe(attested.documentSha256);
  });

  it.each([
    ["signed by somebody else under the same name", () => signAsAws(identity(), stranger), /none of AWS's certificates/],
    ["with other content than the signed one", () => signAsAws(identity(), aws, { content: identity({ accountId: "999999999999" }) }), /content is not the signed one/],
    ["over another digest", () => signAsAws(identity(), aws, { digest: "1.3.14.3.2.26" }), /digest is not SHA-256/],
    ["that brings a certificate of its own along", () => signAsAzure(identity(), stranger), /none of AWS's certificates/],
    ["of no machine", () => signAsAws(identity({ instanceId: undefined }), aws), /names no account, machine/],
    ["without a time", () => signAsAws(identity({ pendingTime: "soon" }), aws), /names no account, machine and time/],
    ["of something else", () => signAsAws("[1]", aws), /names no account/],
    ["of no JSON", () => signAsAws("hello", aws), /not JSON/],
    ["cut off", () => signAsAws(identity(), aws).slice(0, 400), /not DER/],
    ["of nothing", () => "AAAA", /ASN\.1|DER/],
  ])("is refused by a document %s", async (_, document, reason) => {
    expect(await refusalOf(attestor.attest(document()))).toMatch(reason);
  });

  it("cannot be judged while the certificates cannot be read, which is no refusal", async () => {
    for (const certificatesFile of [join(directory, "absent.pem"), fileOf("empty.pem", "nothing")]) {
      await expect(createAwsAttestor("ec2", { certificatesFile, firstUseSeconds: 60 }, systemClock).attest(signAsAws(identity(), aws))).rejects.toMatchObject({ code: "ATOLL_CONFIG_INVALID" });
    }
  });
});

describe("a machine of Azure", () => {
  const authority = createTestSigner("Microsoft Azure RSA TLS Issuing CA 07");
  const names = { commonName: "metadata.azure.com", dnsNames: ["westeurope.metadata.azure.com"] };
  const signer = authority.issue(names);
  const attestor = createAzureAttestor("azure", { certificatesFile: fileOf("azure.pem", authority.certificatePem), signerName: "metadata.azure.com" }, systemClock);
  const time = (atMs: number): string => {
    const [year = "", month, day] = new Date(atMs).toISOString().slice(0, 10).split("-");
    return `${month}/${day}/${year.slice(2)} ${new Date(atMs).toISOString().slice(11, 19)} -0000`;
  };
  const attested = (changed: Readonly<Record<string, unknown>> = {}): string => JSON.stringify({
    licenseType: "",
    nonce: "20201130-211924",
    plan: { name: "", product: "", publisher: "" },
    sku: "12-gen2",
    subscriptionId: "8d10da13-8125-4ba9-a717-bf7490507b3d",
    timeStamp: { createdOn: time(nowMs - 5_000), expiresOn: time(nowMs + 6 * 3_600_000) },
    vmId: "02aab8a4-74ef-476e-8182-f6d2ba4166a6",
    ...changed,
  });

  it("is told by its document: subscription, machine, image", async () => {
    const result = await attestor.attest(signAsAzure(attested(), signer));
    expect(result).toMatchObject({ source: "azure", facts: { subscriptionId: "8d10da13-8125-4ba9-a717-bf7490507b3d", vmId: "02aab8a4-74ef-476e-8182-f6d2ba4166a6", sku: "12-gen2" }, subject: "8d10da13-8125-4ba9-a717-bf7490507b3d/02aab8a4-74ef-476e-8182-f6d2ba4166a6" });
    expect(result.facts).not.toHaveProperty("licenseType");
    expect(result.newKeyUntilMs).toBe(Math.floor((nowMs + 6 * 3_600_000) / 1_000) * 1_000 + 120_000);
  });

  it.each([
    ["whose signer the authority made for somebody else", () => signAsAzure(attested(), authority.issue({ commonName: "metadata.azure.com", dnsNames: ["evil.example", "notmetadata.azure.com"] })), /signer is not metadata\.azure\.com/],
    ["whose signer is called so in its subject only", () => signAsAzure(attested(), authority.issue({ commonName: "x.metadata.azure.com" })), /signer is not metadata\.azure\.com/],
    ["whose signer no authority here made", () => signAsAzure(attested(), createTestSigner("Microsoft Azure RSA TLS Issuing CA 07").issue(names)), /none of the authorities/],
    ["whose signer's certificate is over", () => signAsAzure(attested(), authority.issue({ ...names, notAfter: new Date(nowMs - 120_000) })), /certificate does not hold now/],
    ["whose signer's key is short", () => signAsAzure(attested(), authority.issue({ ...names, bits: 1_024 })), /did not make its signature/],
    ["with other content than the signed one", () => signAsAzure(attested(), signer, { content: attested({ subscriptionId: "mine" }) }), /did not make its signature/],
    ["with two signatures", () => signAsAzure(attested(), signer, { isTwice: true }), /2 signers/],
    ["that is over", () => signAsAzure(attested({ timeStamp: { createdOn: time(nowMs - 7_200_000), expiresOn: time(nowMs - 120_000) } }), signer), /does not hold now/],
    ["from the future", () => signAsAzure(attested({ timeStamp: { createdOn: time(nowMs + 3_600_000), expiresOn: time(nowMs + 7_200_000) } }), signer), /does not hold now/],
    ["without times", () => signAsAzure(attested({ timeStamp: undefined }), signer), /times cannot be read/],
    ["of a classic machine, which names no subscription", () => signAsAzure(attested({ subscriptionId: undefined }), signer), /no subscription/],
    ["without its certificate", () => signAsAws(attested(), signer), /did not make its signature/],
  ])("is refused by a document %s", async (_, document, reason) => {
    expect(await refusalOf(attestor.attest(document()))).toMatch(reason);
  });
});

describe("signed data", () => {
  it("is read or refused with one code whatever byte of it is changed, and never believed with other content", () => {
    const signer = createTestSigner("any");
    const content = JSON.stringify({ accountId: "123456789012", filler: "x".repeat(40) });
    for (const made of [signAsAws(content, signer), signAsAzure(content, signer)]) {
      const bytes = Buffer.from(made, "base64");
      const { publicKey } = new X509Certificate(signer.certificatePem);
      for (let at = 0; at < bytes.length; at++) {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ 0x01;
        try {
          const read = readSignedData(changed.toString("base64"));
          if (read.isSignedBy(publicKey)) expect(read.content.toString()).toBe(content);
        } catch (error) {
          expect(error).toMatchObject({ code: "ATOLL_CERTIFICATE_INVALID" });
        }
      }
    }
  });
});

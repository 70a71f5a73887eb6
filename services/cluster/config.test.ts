import { expect, it } from "vitest";
import { readConfig } from "#federation/runtime/config.ts";
import { clusterConfigField } from "./config.ts";

const attest = { addresses: ["plane.example:7401"], rootSha256: "ab".repeat(32), evidence: { kind: "aws" } };
const enrolment = { sources: { ec2: { kind: "aws", certificatesFile: "/aws.pem" } }, rules: [{ source: "ec2", facts: { accountId: "1" }, gives: { kind: "enrolment", cluster: "shop-us" } }] };
const base = { cluster: "shop-eu", dataDir: "/var/lib/atoll", bus: { kind: "socket", path: "/run/bus" }, signer: { kind: "own", trustDomain: "shop.example" } };
const read = (more: object) => readConfig(JSON.stringify({ ...base, ...more }), "plane.json", clusterConfigField);

it("takes evidence in the place of tokens, at the global plane and at the signer", () => {
  const config = read({ globalJoinAttest: attest, signer: { kind: "remote", attest } });
  expect(config.globalJoinAttest?.evidence).toEqual({ kind: "aws", metadataUrl: "http://169.254.169.254" });
  expect(config.signer).toMatchObject({ kind: "remote", tokenFile: "", attest: { addresses: attest.addresses } });
  expect(read({ attestation: enrolment }).attestation.rules).toHaveLength(1);
});

it("serves a bundle only where it is told to, beside the plane's other ports unless elsewhere", () => {
  expect(read({}).bundleEndpoint).toBeUndefined();
  expect(read({ bundleEndpoint: { profile: "https_spiffe" } }).bundleEndpoint).toEqual({ profile: "https_spiffe", port: 7412 });
  const web = { profile: "https_web", address: "::", port: 443, certificateFile: "/etc/tls/full.pem", keyFile: "/etc/tls/key.pem" };
  expect(read({ bundleEndpoint: web }).bundleEndpoint).toEqual(web);
});

it.each([
  ["two ways to join the federation", { globalJoinTokenFile: "/token", globalJoinAttest: attest }, /globalJoinTokenFile and globalJoinAttest: expected one of them/],
  ["two ways to enrol", { signer: { kind: "remote", tokenFile: "/token", attest } }, /signer\.tokenFile and signer\.attest: expected one/],
  ["no way to enrol", { signer: { kind: "remote" } }, /signer\.tokenFile: required, or signer\.attest/],
  ["enrolments by a plane without the trust domain's keys", { signer: { kind: "remote", tokenFile: "/token" }, attestation: enrolment }, /attestation\.rules\[0\]: enrolments are given by the plane/],
  ["a root that is no hash", { globalJoinAttest: { ...attest, rootSha256: "AB" } }, /globalJoinAttest\.rootSha256: expected 64 digits/],
  ["a bundle endpoint without a profile", { bundleEndpoint: { port: 1 } }, /bundleEndpoint\.profile: expected one of https_spiffe, https_web/],
  ["a web certificate without its key", { bundleEndpoint: { profile: "https_web", certificateFile: "/full.pem" } }, /bundleEndpoint\.keyFile: required/],
  ["a web certificate by a path from nowhere", { bundleEndpoint: { profile: "https_web", certificateFile: "full.pem", keyFile: "/key.pem" } }, /bundleEndpoint\.certificateFile: expected an absolute path/],
  ["files for an SVID", { bundleEndpoint: { profile: "https_spiffe", keyFile: "/key.pem" } }, /bundleEndpoint\.keyFile: unknown field/],
  ["an address without a port", { globalJoinAttest: { ...attest, addresses: ["plane.example"] } }, /addresses\[0\]: expected host:port/],
])("refuses %s", (_, more, fault) => {
  expect(() => read(more)).toThrow(fault);
});

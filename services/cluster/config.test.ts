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

it.each([
  ["two ways to join the federation", { globalJoinTokenFile: "/token", globalJoinAttest: attest }, /globalJoinTokenFile and globalJoinAttest: expected one of them/],
  ["two ways to enrol", { signer: { kind: "remote", tokenFile: "/token", attest } }, /signer\.tokenFile and signer\.attest: expected one/],
  ["no way to enrol", { signer: { kind: "remote" } }, /signer\.tokenFile: required, or signer\.attest/],
  ["enrolments by a plane without the trust domain's keys", { signer: { kind: "remote", tokenFile: "/token" }, attestation: enrolment }, /attestation\.rules\[0\]: enrolments are given by the plane/],
  ["a root that is no hash", { globalJoinAttest: { ...attest, rootSha256: "AB" } }, /globalJoinAttest\.rootSha256: expected 64 digits/],
  ["an address without a port", { globalJoinAttest: { ...attest, addresses: ["plane.example"] } }, /addresses\[0\]: expected host:port/],
])("refuses %s", (_, more, fault) => {
  expect(() => read(more)).toThrow(fault);
});

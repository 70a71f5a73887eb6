import { describe, expect, it } from "vitest";
import { readConfig, objectField } from "#federation/runtime/config.ts";
import { attestationField } from "./attestation-config.ts";

const sources = {
  pods: { kind: "kubernetes", issuer: "https://cluster.example", audience: "atoll", keysFile: "/keys.json" },
  google: { kind: "google", audience: "atoll", keysFile: "/google.json" },
};
const machines = { ec2: { kind: "aws", certificatesFile: "/aws.pem" }, vms: { kind: "azure", certificatesFile: "/azure.pem" } };
const gateway = { source: "google", facts: { projectId: "shop" }, gives: { kind: "gateway" } };

function read(attestation: unknown): ReturnType<typeof readOf>["attestation"] {
  return readOf(attestation).attestation;
}
function readOf(attestation: unknown) {
  const text = JSON.stringify(attestation === undefined ? {} : { attestation });
  return readConfig(text, "plane.json", objectField({ attestation: attestationField(["workload", "gateway"]) }));
}
const faultOf = (rule: Readonly<Record<string, unknown>>): (() => unknown) => () => read({ sources, rules: [{ ...gateway, ...rule }] });

describe("the attestation of a plane", () => {
  it("lets in nobody unless it is configured", () => {
    expect(read(undefined)).toEqual({ sources: {}, rules: [] });
  });

  it("takes sources by name, and rules over what they say", () => {
    expect(read({ sources, rules: [gateway] }).rules).toEqual([{ ...gateway, cidrs: [] }]);
    expect(read({ sources, rules: [{ source: "pods", facts: {}, gives: { kind: "workload" } }] }).rules).toHaveLength(1);
  });

  it.each([
    ["a source that is not there", { source: "aws" }, /no source is called aws; there are pods, google/],
    ["a fact that the document does not have", { facts: { projectId: "shop", region: "x" } }, /a google document has no region/],
    ["no project, and so every customer of the cloud", { facts: { zone: "europe-west1-b" } }, /projectId or projectNumber, or this rule would let in every customer/],
    ["no namespace, and so every pod", { source: "pods", facts: { serviceAccount: "gateway" } }, /namespace, or this rule would let in every pod/],
    ["every pod as one workload", { source: "pods", facts: {}, gives: { kind: "workload", namespace: "web", serviceAccount: "edge" } }, /would let in every pod/],
    ["a workload that nothing names", { gives: { kind: "workload" } }, /a google document names no workload/],
    ["an identity that this plane does not give", { gives: { kind: "cluster", cluster: "shop-us" } }, /this plane gives workload, gateway, not cluster/],
    ["a network that is none", { cidrs: ["10.0.0.0"] }, /rules\[0\]\.cidrs\[0\]: expected a network/],
    ["a field that is not there", { fact: {} }, /unknown field/],
  ])("refuses a rule with %s", (_, rule, fault) => {
    expect(faultOf(rule)).toThrow(fault);
  });

  it("lets machines come for the first time within an hour of their start, and believes Azure's public cloud, unless told", () => {
    const rules = [
      { source: "ec2", facts: { accountId: "123456789012", region: "eu-west-1" }, gives: { kind: "gateway" } },
      { source: "vms", facts: { subscriptionId: "8d10da13" }, gives: { kind: "gateway" } },
    ];
    expect(read({ sources: machines, rules }).sources).toMatchObject({ ec2: { firstUseSeconds: 3_600 }, vms: { signerName: "metadata.azure.com" } });
    expect(() => read({ sources: machines, rules: [{ ...rules[0], facts: { region: "eu-west-1" } }] })).toThrow(/accountId, or this rule would let in every customer/);
    expect(() => read({ sources: machines, rules: [{ ...rules[1], facts: { sku: "x" } }] })).toThrow(/subscriptionId, or this rule/);
  });

  it("refuses sources without rules, which let nobody in", () => {
    expect(() => read({ sources, rules: [] })).toThrow(/rules: expected 1 to 256 items/);
  });
});

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createTokenMint, decodeJoinToken } from "#federation/identity/join-token.ts";
import { parseFederation } from "#federation/model/parse/parse-federation.ts";
import { readConfig } from "#federation/runtime/config.ts";
import { proxyConfigField } from "#proxy/config.ts";
import { clusterConfigField } from "#services/cluster/config.ts";
import { globalConfigField } from "#services/global/config.ts";
import { initFederation } from "#services/global/federation-keys.ts";
import { bootstrapFiles } from "./bootstrap-files.ts";
import { rootOf } from "./federation-keys.ts";

const rootSha256 = "ab".repeat(32);
const sources = `  attestation:
    sources:
      ec2: { kind: aws, certificatesFile: /etc/atoll/aws.pem }
      gce: { kind: google, audience: "atoll://shop", keysFile: /etc/atoll/google.json }
`;
const spec = `  regions: [{ name: eu }, { name: us }]
${sources}  hosts:
    - { name: e1, address: 10.1.0.1, region: eu }
    - { name: e2, address: 10.1.0.2, region: eu, join: { source: ec2, facts: { accountId: "1", instanceId: i-e2 } } }
    - { name: u1, address: u1.example, listen: 10.2.0.1, region: us, join: { source: gce, facts: { projectId: shop, instanceName: u1 } } }
  clusters: [{ name: shop-eu, region: eu, trustDomain: shop.example }, { name: shop-us, region: us, trustDomain: shop.example }]
  services: [{ name: front, namespace: web, instances: [{ cluster: shop-eu, host: e2 }] }]
`;

function described(text: string) {
  const outcome = parseFederation(`apiVersion: atoll.dev/v1alpha1\nkind: Federation\nmetadata: { name: shop }\nspec:\n${text}`, "f.yaml");
  if (outcome.kind === "faults") throw new Error(JSON.stringify(outcome.faults));
  return outcome.value;
}

function filesOf(text: string, more: { readonly rootSha256?: string; readonly compose?: { readonly baseDir: string } } = { rootSha256 }): (path: string) => string {
  const files = bootstrapFiles(described(text), { home: "/opt/atoll", hasKeys: true, source: "", ...more });
  return (path) => files.get(path)?.text ?? "";
}

describe("machines that their cloud vouches for", () => {
  it("get configurations without a token file, which name the plane, the root and the evidence", () => {
    const textOf = filesOf(spec);
    const sidecar = readConfig(textOf("hosts/e2/config/shop-eu-front-proxy.json"), "sidecar", proxyConfigField);
    expect([sidecar.joinTokenFile, sidecar.joinAttest]).toMatchObject(["", { addresses: ["10.1.0.1:7411"], rootSha256, evidence: { kind: "aws" } }]);
    const plane = readConfig(textOf("hosts/u1/config/shop-us-plane.json"), "plane", clusterConfigField);
    const google = { kind: "google", audience: "atoll://shop" };
    expect([plane.globalJoinTokenFile, plane.globalJoinAttest]).toMatchObject(["", { addresses: ["10.1.0.1:7401"], rootSha256, evidence: google }]);
    expect(plane.signer).toMatchObject({ kind: "remote", tokenFile: "", attest: { addresses: ["10.1.0.1:7411"], evidence: google } });
    const gateway = readConfig(textOf("hosts/u1/config/shop-us-gateway.json"), "gateway", proxyConfigField);
    expect(gateway.joinAttest).toMatchObject({ addresses: ["u1.example:7411"], evidence: google });
    for (const host of ["e2", "u1"]) {
      expect(textOf(`hosts/${host}/install.sh`)).not.toMatch(/^join /m);
      expect(textOf(`hosts/${host}/install.sh`)).toMatch(/^start atoll-/m);
    }
    // The others go on as they did.
    expect(readConfig(textOf("hosts/e1/config/shop-eu-gateway.json"), "gateway", proxyConfigField)).toMatchObject({ joinTokenFile: "/etc/atoll/tokens/shop-eu-gateway" });
  });

  it("are let in by exactly what each is, at exactly the planes where they join", () => {
    const textOf = filesOf(spec);
    const ec2 = { source: "ec2", facts: { accountId: "1", instanceId: "i-e2" } };
    const gce = { source: "gce", facts: { projectId: "shop", instanceName: "u1" } };
    const global = readConfig(textOf("hosts/e1/config/global.json"), "global", globalConfigField).attestation;
    expect(global.rules).toMatchObject([{ ...gce, gives: { kind: "cluster", cluster: "shop-us" } }]);
    expect(Object.keys(global.sources)).toEqual(["gce"]);
    const eu = readConfig(textOf("hosts/e1/config/shop-eu-plane.json"), "plane", clusterConfigField).attestation;
    expect(eu.rules).toMatchObject([{ ...ec2, gives: { kind: "workload", namespace: "web", serviceAccount: "front" } }, { ...gce, gives: { kind: "enrolment", cluster: "shop-us" } }]);
    const us = readConfig(textOf("hosts/u1/config/shop-us-plane.json"), "plane", clusterConfigField).attestation;
    expect(us.rules).toMatchObject([{ ...gce, gives: { kind: "gateway" } }]);
    expect(us.sources).toMatchObject({ gce: { kind: "google", audience: "atoll://shop", keysFile: "/etc/atoll/google.json" } });
  });

  it("need no step of a person's but the files by which they are believed", () => {
    const steps = filesOf(spec)("README.md");
    expect(steps).toContain("`/etc/atoll/google.json` on e1");
    expect(steps).toContain("`/etc/atoll/aws.pem` on e1");
    expect(steps).toContain("token create gateway --cluster shop-eu > hosts/e1/tokens/shop-eu-gateway");
    expect(steps).not.toMatch(/hosts\/(e2|u1)\/tokens/);
    expect(steps).toMatch(/What stands on e2, u1 was started by step 1/);
  });

  it("pin the root that tokens pin", () => {
    const keysDir = mkdtempSync(join(tmpdir(), "atoll-root-"));
    try {
      expect(rootOf(keysDir)).toEqual({});
      initFederation(keysDir, "fed.example", Date.UTC(2026, 5, 1));
      const rootPem = readFileSync(join(keysDir, "federation-root.pem"), "utf8");
      const { text } = createTokenMint("10.0.0.1:7401", rootPem)("one");
      expect(rootOf(keysDir).rootSha256).toBe(decodeJoinToken(text).rootSha256);
    } finally {
      rmSync(keysDir, { recursive: true });
    }
  });

  it("are refused without a root, in containers, and where two processes would share a document", () => {
    const refused = (message: string) => expect.objectContaining({ code: "ATOLL_USAGE", message: expect.stringContaining(message) as string }) as Error;
    expect(() => filesOf(spec, {})).toThrow(refused("what stands on e2, u1 joins by what its cloud signs, and has to know the federation's root: make it first, with --init"));
    expect(() => filesOf(spec, { rootSha256, compose: { baseDir: "/" } })).toThrow(refused("have no cloud"));
    const shared = spec.replace("host: e2 }]", "host: e2 }, { cluster: shop-eu, host: e2, appPort: 8081 }]");
    expect(() => filesOf(shared)).toThrow(refused("both shop-eu-front-proxy and shop-eu-front-2-proxy join at shop-eu-plane"));
  });

  it.each([
    ["{ source: gke, facts: { projectId: a } }", 'spec.hosts[0].join.source: found source "gke", which is not declared, expected one of ec2, gce'],
    ["{ source: ec2, facts: { instanceId: i-1 } }", "spec.hosts[0].join.facts: found facts of every customer's machines, expected accountId among them"],
    ["{ source: ec2, facts: { accountId: a, projectId: b } }", "spec.hosts[0].join.facts.projectId: found the fact projectId, expected one that a document of aws has: accountId"],
    ['{ source: ec2, facts: { accountId: "1" } }', "spec.hosts[0].join.facts: found what the document of b says, too, expected facts that tell this machine from it"],
  ])("are refused as %s", (join, fault) => {
    const outcome = parseFederation(
      `apiVersion: atoll.dev/v1alpha1\nkind: Federation\nmetadata: { name: shop }\nspec:\n  regions: [{ name: eu }]\n${sources}  hosts: [{ name: a, address: 10.0.0.1, join: ${join} }, { name: b, address: 10.0.0.2, join: { source: ec2, facts: { accountId: "1", instanceId: i-b } } }]\n`,
      "f.yaml",
    );
    const faults = outcome.kind === "faults" ? outcome.faults.map(({ path, found, expected }) => `${path}: found ${found}, expected ${expected}`) : [];
    expect(faults.filter((one) => one.startsWith(fault))).toHaveLength(1);
  });
});

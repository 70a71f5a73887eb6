import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { createTestIssuer } from "../jwt-fixture.ts";
import { jwtLimits } from "../jwt-token.ts";
import { createGoogleAttestor, createServiceAccountAttestor } from "./jwt-attestor.ts";

const directory = mkdtempSync(join(tmpdir(), "atoll-attest-"));
const signer = createTestIssuer("RS256");
const keysFile = join(directory, "keys.json");
writeFileSync(keysFile, signer.jwks);
afterAll(() => rmSync(directory, { recursive: true }));

const now = Math.floor(systemClock.nowMs() / 1_000);
const audience = "atoll://shop-eu";
const cluster = { issuer: "https://cluster.example", audience, keysFile };

/** The claims of a projected token as a Kubernetes 1.32 API server signs them. */
const pod = {
  aud: [audience],
  exp: now + 3_600,
  iat: now - 5,
  iss: cluster.issuer,
  jti: "aed34954-b33a-4142-b1ec-389d6bbb4936",
  "kubernetes.io": {
    namespace: "web",
    node: { name: "node-7", uid: "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1" },
    pod: { name: "edge-5c9f", uid: "5e0bd49b-f040-43b0-99b7-22765a53f7f3" },
    serviceaccount: { name: "edge", uid: "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798" },
  },
  nbf: now - 5,
  sub: "system:serviceaccount:web:edge",
};
const account = { name: "edge", uid: "1" };

/** The payload of an identity token in the full format of Compute Engine's metadata server. */
const machine = {
  iss: "https://accounts.google.com",
  iat: now - 5,
  exp: now + 3_600,
  aud: audience,
  sub: "107517467455664443765",
  azp: "107517467455664443765",
  email: "1234567890-compute@developer.gserviceaccount.com",
  email_verified: true,
  google: {
    compute_engine: {
      project_id: "shop-prod",
      project_number: 739_419_398_126,
      zone: "europe-west1-b",
      instance_id: "152986662232938449",
      instance_name: "gateway-1",
      instance_creation_timestamp: now - 900,
      instance_confidentiality: 0,
      license_id: ["1000204"],
    },
  },
};

async function refusalOf(attested: Promise<unknown>): Promise<string> {
  const error: unknown = await attested.then(() => undefined, (reason: unknown) => reason);
  expect(error).toMatchObject({ code: "ATOLL_TOKEN_REFUSED" });
  return describeError(error);
}

describe("a service account's token", () => {
  const attestor = createServiceAccountAttestor("pods", cluster, systemClock);

  it("tells namespace, account, pod and node, and for how long it is of use", async () => {
    const overMs = (pod.exp + 2 * jwtLimits.leewaySeconds) * 1_000;
    expect(await attestor.attest(signer.sign(pod))).toEqual({
      source: "pods",
      documentSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      facts: { namespace: "web", serviceAccount: "edge", pod: "edge-5c9f", node: "node-7" },
      subject: "web/edge in pod edge-5c9f",
      newKeyUntilMs: overMs,
      rememberUntilMs: overMs,
    });
  });

  it.each([
    ["another cluster's issuer", { iss: "https://other.example" }, /claim iss/],
    ["another audience", { aud: ["https://kubernetes.default.svc"] }, /claim aud/],
    ["over", { exp: now - 61 }, /expired/],
    ["without an end", { exp: undefined }, /claim exp/],
    ["of no pod", { "kubernetes.io": { namespace: "web", serviceaccount: account } }, /not bound to a pod/],
    ["of the kind that never ends", { "kubernetes.io": undefined, "kubernetes.io/serviceaccount/namespace": "web" }, /not bound to a pod/],
    ["that calls itself somebody else", { sub: "system:serviceaccount:kube-system:edge" }, /subject/],
    ["with names that are no texts", { "kubernetes.io": { namespace: ["web"], serviceaccount: account, pod: account } }, /not bound/],
  ])("is refused when it is %s", async (_, changed, reason) => {
    expect(await refusalOf(attestor.attest(signer.sign({ ...pod, ...changed })))).toMatch(reason);
  });

  it("is refused beyond the age that the plane allows, whatever its own end", async () => {
    const strict = createServiceAccountAttestor("pods", { ...cluster, maxAgeSeconds: 600 }, systemClock);
    expect(await refusalOf(strict.attest(signer.sign({ ...pod, iat: now - 700, exp: now + 3_600 })))).toMatch(/iat/);
    expect((await strict.attest(signer.sign(pod))).newKeyUntilMs).toBe((pod.iat + 600 + 2 * jwtLimits.leewaySeconds) * 1_000);
  });

  it("is refused from anybody but the cluster's keys", async () => {
    expect(await refusalOf(attestor.attest(createTestIssuer("RS256").sign(pod)))).toMatch(/signature/);
    expect(await refusalOf(attestor.attest(signer.signConfused(pod)))).toMatch(/algorithm/);
  });

  it("is one document however its signature is made, and another with each token", async () => {
    const elliptic = createTestIssuer("ES256");
    writeFileSync(join(directory, "ec.json"), elliptic.jwks);
    const attest = createServiceAccountAttestor("pods", { ...cluster, keysFile: join(directory, "ec.json") }, systemClock).attest;
    // ECDSA signs the same words differently each time.
    const [once, again] = [elliptic.sign(pod), elliptic.sign(pod)];
    expect(once).not.toBe(again);
    expect((await attest(once)).documentSha256).toBe((await attest(again)).documentSha256);
    expect((await attest(elliptic.sign({ ...pod, jti: "another" }))).documentSha256).not.toBe((await attest(once)).documentSha256);
  });
});

describe("a machine's identity token", () => {
  const attestor = createGoogleAttestor("machines", { audience, keysFile }, systemClock);

  it("tells project, zone, instance and service account", async () => {
    expect(await attestor.attest(signer.sign(machine))).toMatchObject({
      source: "machines",
      facts: { projectId: "shop-prod", projectNumber: "739419398126", zone: "europe-west1-b", instanceId: "152986662232938449", instanceName: "gateway-1", serviceAccount: machine.email },
      subject: "shop-prod/gateway-1",
    });
  });

  it("tells no service account whose address is not verified", async () => {
    expect((await attestor.attest(signer.sign({ ...machine, email_verified: false }))).facts).not.toHaveProperty("serviceAccount");
  });

  it.each([
    ["of another issuer", { iss: "https://accounts.example" }, /claim iss/],
    ["for another audience", { aud: "https://other.example" }, /claim aud/],
    ["in the standard format, which names no machine", { google: undefined }, /format=full/],
    ["of a machine without an id", { google: { compute_engine: { project_id: "shop-prod" } } }, /format=full/],
  ])("is refused when it is %s", async (_, changed, reason) => {
    expect(await refusalOf(attestor.attest(signer.sign({ ...machine, ...changed })))).toMatch(reason);
  });
});

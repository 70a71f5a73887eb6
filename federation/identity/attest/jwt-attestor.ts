import type { JWTPayload } from "jose";
import type { Attested } from "#federation/model/attestation.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { jwtLimits } from "../jwt-token.ts";
import { createJwtVerifier, type JwtIssuer } from "../jwt-verify.ts";
import { sha256Hex } from "../key-pair.ts";
import { factsOf, recordOf, type Attestor } from "./attestor.ts";

/** What is read out of the claims of one kind of token. */
interface Reading {
  readonly facts: Readonly<Record<string, string>>;
  readonly subject: string;
}

/**
 * Attests pods by the token of their service account that the orchestrator projects into a file: signed by the cluster's own issuer
 * for the configured audience, and bound to a pod, so that it ends with it. Tokens of the old kind, which never end, have none of these claims.
 * @see https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#schema-for-service-account-private-claims
 */
export function createServiceAccountAttestor(source: string, issuer: JwtIssuer, clock: Clock): Attestor {
  return { kind: "kubernetes", attest: tokenAttestor(source, issuer, clock, readServiceAccount) };
}

/**
 * Attests machines of Compute Engine by the identity token of their metadata server, in its full format: without the claims of the
 * machine a token says only which service account asked, from wherever.
 * @see https://cloud.google.com/compute/docs/instances/verifying-instance-identity#payload
 */
export function createGoogleAttestor(source: string, issuer: Omit<JwtIssuer, "issuer">, clock: Clock): Attestor {
  return { kind: "google", attest: tokenAttestor(source, { ...issuer, issuer: "https://accounts.google.com" }, clock, readGoogle) };
}

function tokenAttestor(source: string, issuer: JwtIssuer, clock: Clock, read: (claims: JWTPayload & { readonly sub: string }) => Reading): Attestor["attest"] {
  const verify = createJwtVerifier(issuer, clock);
  const maxAgeSeconds = issuer.maxAgeSeconds ?? jwtLimits.lifeSecondsMax;
  return async (document): Promise<Attested> => {
    const claims = await verify(document);
    const { iat = 0, exp = 0 } = claims;
    // After both leeways it is refused by itself, on every replica's clock.
    const overMs = (Math.min(exp, iat + maxAgeSeconds) + 2 * jwtLimits.leewaySeconds) * 1_000;
    // The signature is left out: some algorithms let anybody write the same one in another way.
    const signed = document.slice(0, document.lastIndexOf("."));
    return { source, documentSha256: sha256Hex(Buffer.from(signed)), ...read(claims), newKeyUntilMs: overMs, rememberUntilMs: overMs };
  };
}

function readServiceAccount(claims: JWTPayload & { readonly sub: string }): Reading {
  const held = recordOf(claims["kubernetes.io"]);
  const { namespace, serviceAccount, pod, node } = factsOf({
    namespace: held["namespace"],
    serviceAccount: recordOf(held["serviceaccount"])["name"],
    pod: recordOf(held["pod"])["name"],
    node: recordOf(held["node"])["name"],
  });
  if (namespace === undefined || serviceAccount === undefined || pod === undefined) throw refused("it is not bound to a pod and its service account");
  if (claims.sub !== `system:serviceaccount:${namespace}:${serviceAccount}`) throw refused("its subject is another than its service account");
  return { facts: { namespace, serviceAccount, pod, ...(node === undefined ? {} : { node }) }, subject: `${namespace}/${serviceAccount} in pod ${pod}` };
}

function readGoogle(claims: JWTPayload): Reading {
  const machine = recordOf(recordOf(claims["google"])["compute_engine"]);
  const number = machine["project_number"];
  const facts = factsOf({
    projectId: machine["project_id"],
    projectNumber: typeof number === "number" ? String(number) : number,
    zone: machine["zone"],
    instanceId: machine["instance_id"],
    instanceName: machine["instance_name"],
    serviceAccount: claims["email_verified"] === true ? claims["email"] : undefined,
  });
  if (facts["projectId"] === undefined || facts["instanceId"] === undefined) throw refused("it has no claims of a machine; ask for it with format=full");
  return { facts, subject: `${facts["projectId"]}/${facts["instanceName"] ?? facts["instanceId"]}` };
}

function refused(reason: string): AtollError {
  return new AtollError("ATOLL_TOKEN_REFUSED", `the token is refused: ${reason}`);
}

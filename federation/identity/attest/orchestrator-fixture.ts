import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import type { AttestationRule } from "#federation/model/attestation.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { createTestIssuer } from "../jwt-fixture.ts";
import type { AttestationConfig } from "./attestation-config.ts";

/** An orchestrator of a test, as the source `pods` of a plane: it gives pods the tokens that a real one projects. */
export interface TestOrchestrator {
  readonly config: AttestationConfig;
  /** `changed` replaces claims of a right token. */
  tokenOf(account: { readonly namespace: string; readonly serviceAccount: string }, changed?: Readonly<Record<string, unknown>>): string;
  hideKeys(): void;
  showKeys(): void;
}

/** Made in a `describe`, for all of its tests; its directory goes after the last of them. */
export function createTestOrchestrator(rules: readonly AttestationRule[]): TestOrchestrator {
  const directory = mkdtempSync(join(tmpdir(), "atoll-pods-"));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const keysFile = join(directory, "keys.json");
  const signer = createTestIssuer("RS256");
  const issuer = "https://cluster.example";
  const audience = "atoll://shop-eu";
  writeFileSync(keysFile, signer.jwks);
  return {
    config: { sources: { pods: { kind: "kubernetes", issuer, audience, keysFile } }, rules },
    tokenOf({ namespace, serviceAccount }, changed = {}) {
      const now = Math.floor(systemClock.nowMs() / 1_000);
      return signer.sign({
        aud: [audience],
        exp: now + 3_600,
        iat: now,
        iss: issuer,
        jti: randomUUID(),
        "kubernetes.io": {
          namespace,
          node: { name: "node-1", uid: randomUUID() },
          pod: { name: `${serviceAccount}-1`, uid: randomUUID() },
          serviceaccount: { name: serviceAccount, uid: randomUUID() },
        },
        nbf: now,
        sub: `system:serviceaccount:${namespace}:${serviceAccount}`,
        ...changed,
      });
    },
    hideKeys: () => rmSync(keysFile),
    showKeys: () => writeFileSync(keysFile, signer.jwks),
  };
}

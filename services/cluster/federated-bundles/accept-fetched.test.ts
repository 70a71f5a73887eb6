import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createRoot } from "#federation/identity/authority.ts";
import { jwtAuthorityOf } from "#federation/identity/jwt-svid.ts";
import { createKeyPair } from "#federation/identity/key-pair.ts";
import { federatedRootsMax } from "#federation/model/federated-trust-domain.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { acceptFetched } from "./accept-fetched.ts";

const trustDomain = parseTrustDomainName("partner.example");
const roots = Array.from({ length: 3 }, () => createRoot({ trustDomain, validityMs: 1e10, nowMs: Date.UTC(2026, 0, 1) }).certificateDer);
const useless = Uint8Array.of(1, 2, 3);
const bundle = (sequence: number, ...x509Authorities: readonly (Uint8Array | undefined)[]): TrustBundle => ({ trustDomain, sequence, refreshHintSeconds: 300, x509Authorities: x509Authorities.filter((one) => one !== undefined) });

describe("a fetched bundle", () => {
  it("takes the place of one with a lower sequence, and of none with a higher one", () => {
    const current = bundle(5, roots[0]);
    expect(acceptFetched(undefined, current)).toEqual({ kind: "accepted", bundle: current });
    expect(acceptFetched(current, bundle(6, roots[1])).kind).toBe("accepted");
    expect(acceptFetched(current, bundle(5, roots[0]))).toEqual({ kind: "unchanged", bundle: current });
    expect(acceptFetched(current, bundle(4, roots[0], roots[1]))).toMatchObject({ kind: "refused", reason: "sequence", message: "its bundle has sequence 4, and one with 5 is believed" });
    expect(acceptFetched(current, bundle(0, roots[1])), "one that has lost its sequence").toMatchObject({ kind: "refused", reason: "sequence" });
    expect(acceptFetched(current, bundle(5, roots[1]))).toMatchObject({ kind: "refused", reason: "sequence", message: expect.stringContaining("other roots") as string });
  });

  it("without a sequence takes the place of another without one", () => {
    expect(acceptFetched(bundle(0, roots[0]), bundle(0, roots[1]))).toEqual({ kind: "accepted", bundle: bundle(0, roots[1]) });
    expect(acceptFetched(bundle(0, roots[0]), bundle(0, roots[0])).kind).toBe("unchanged");
  });

  it("is taken for other keys of JWT-SVIDs alone", () => {
    const key = jwtAuthorityOf(createKeyPair().publicKey);
    const current = { ...bundle(5, roots[0]), jwtAuthorities: [key] };
    expect(acceptFetched(current, current).kind).toBe("unchanged");
    const next = { ...current, jwtAuthorities: [jwtAuthorityOf(createKeyPair().publicKey), key] };
    expect(acceptFetched(current, next)).toEqual({ kind: "accepted", bundle: next });
    expect(acceptFetched(current, bundle(5, roots[0])).kind).toBe("accepted");
  });

  it("is refused when it has no root that is of use, or more than proxies are told", () => {
    for (const next of [bundle(9), bundle(9, useless)]) expect(acceptFetched(bundle(5, roots[0]), next)).toMatchObject({ kind: "refused", reason: "empty" });
    expect(acceptFetched(undefined, bundle(9, useless))).toMatchObject({ kind: "refused", reason: "empty" });
    const many = bundle(9, ...Array.from({ length: federatedRootsMax + 1 }, () => roots[0]));
    expect(acceptFetched(undefined, many)).toMatchObject({ kind: "refused", reason: "size" });
  });

  it("never goes back, is never a mixture, and never leaves nobody: whatever is served in whatever order", () => {
    const served = fc.record({ sequence: fc.nat({ max: 4 }), members: fc.subarray([...roots.keys(), -1]) }).map(({ sequence, members }) => bundle(sequence, ...members.map((at) => (at === -1 ? useless : roots[at]))));
    fc.assert(
      fc.property(fc.array(served, { maxLength: 12 }), (documents) => {
        let current: TrustBundle | undefined;
        for (const document of documents) {
          const decision = acceptFetched(current, document);
          const next = decision.kind === "refused" ? current : decision.bundle;
          expect(next?.sequence ?? 0).toBeGreaterThanOrEqual(current?.sequence ?? 0);
          expect([current, document]).toContain(next);
          if (next !== undefined) expect(next.x509Authorities.some((root) => root !== useless)).toBe(true);
          // By one number there is one set of roots.
          if (current !== undefined && next?.sequence === current.sequence && current.sequence > 0) expect(new Set(next.x509Authorities)).toEqual(new Set(current.x509Authorities));
          current = next;
        }
      }),
    );
  });
});

import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { AtollError } from "#federation/runtime/errors.ts";
import type { ObjectPayload, OpenedObject } from "#federation/model/replicated-object.ts";
import { signObject } from "./signed-object.ts";
import type { ObjectSigner, VerifyChain } from "./signed-object.ts";

/** Origins for tests: each signs with a real key, and its "chain" is that key's SPKI instead of certificates. */
export class TestOrigins {
  readonly federation = "demo.atoll";
  readonly #signers = new Map<string, ObjectSigner>();

  /** The signer of `origin`, the same at every call. */
  signer(origin: string): ObjectSigner {
    let signer = this.#signers.get(origin);
    if (signer === undefined) {
      const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      signer = { privateKey, chain: [new Uint8Array(publicKey.export({ type: "spki", format: "der" }))] };
      this.#signers.set(origin, signer);
    }
    return signer;
  }

  /** A signed object of kind `Note`. */
  object(origin: string, key: string, revision: number, rest: Partial<ObjectPayload> = {}): OpenedObject {
    const value = rest.tombstone === true ? new Uint8Array(0) : new TextEncoder().encode(JSON.stringify({ key, revision }));
    const header = { federation: this.federation, origin, originTrustDomain: trustDomainOf(origin), kind: "Note", key };
    const payload: ObjectPayload = { ...header, generation: { epoch: 1, revision }, audience: ["*"], tombstone: false, value, ...rest };
    return signObject(payload, this.signer(origin));
  }

  /** Accepts the chain of exactly the origin that is asked about. */
  readonly verifyChain: VerifyChain = (chain, { origin, federation, trustDomain }) => {
    const [own] = this.signer(origin).chain;
    const [shown] = chain;
    if (own === undefined || shown === undefined || !Buffer.from(own).equals(shown) || federation !== this.federation || trustDomain !== trustDomainOf(origin)) {
      throw new AtollError("ATOLL_SIGNATURE_INVALID", "the chain is not the origin's");
    }
    return createPublicKey({ key: Buffer.from(own), type: "spki", format: "der" });
  };
}

function trustDomainOf(origin: string): string {
  return origin === "global" ? "demo.atoll" : `${origin}.example`;
}

import { createPublicKey, generateKeyPairSync } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { AtollError } from "#federation/runtime/errors.ts";
import type { ObjectSigner, VerifyChain } from "#federation/wire/signed-object.ts";

/** The signers of a mesh that lives in one process. Their "chain" is the key itself, since a real one is judged once and remembered. */
export class BenchOrigins {
  readonly #signers = new Map<string, ObjectSigner>();
  readonly #publicKeys = new Map<string, KeyObject>();

  /** The signer of `origin`, the same at every call. */
  signer(origin: string): ObjectSigner {
    let signer = this.#signers.get(origin);
    if (signer === undefined) {
      const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const spki = publicKey.export({ type: "spki", format: "der" });
      signer = { privateKey, chain: [new Uint8Array(spki)] };
      this.#signers.set(origin, signer);
      this.#publicKeys.set(origin, createPublicKey({ key: spki, type: "spki", format: "der" }));
    }
    return signer;
  }

  readonly verifyChain: VerifyChain = (_chain, { origin }) => {
    const key = this.#publicKeys.get(origin);
    if (key === undefined) throw new AtollError("ATOLL_SIGNATURE_INVALID", `${origin} has signed nothing here`);
    return key;
  };
}

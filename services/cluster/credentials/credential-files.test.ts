import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createCsr } from "#federation/identity/csr.ts";
import { createKeyPair } from "#federation/identity/key-pair.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { readClusterKeys, type ClusterKeys } from "./cluster-keys.ts";
import { credentialFiles, settleKeys, writeCredentials } from "./credential-files.ts";
import { TrustDomainSigner } from "./signer.ts";

const shop = "shop.example" as TrustDomainName;
const nowMs = systemClock.nowMs();

describe("a cluster's credentials", () => {
  let directory: string;
  let signer: TrustDomainSigner;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "atoll-credentials-"));
    signer = TrustDomainSigner.open(shop, join(directory, "signer-plane"), nowMs);
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const made = (): ReturnType<typeof credentialFiles> => {
    const [signing, intermediate] = [createKeyPair(), createKeyPair()];
    return credentialFiles(directory, signer.certify("shop-us", createCsr(intermediate), createCsr(signing), nowMs), { signing, intermediate });
  };
  const write = (files: ReturnType<typeof credentialFiles>): void => {
    for (const [path, content] of files) writeFileSync(path, content);
  };
  const read = (): ClusterKeys => {
    const { keys, damaged } = readClusterKeys(directory, shop, nowMs);
    expect(damaged).toEqual([]);
    if (keys === undefined) throw new Error("there are none");
    return keys;
  };

  it("can be used after every step of writing others over them, and are the others in the end", () => {
    const [before, after] = [made(), made()];
    write(after);
    const wanted = read();
    for (let steps = 0; steps <= after.length; steps++) {
      write(before);
      write(after.slice(0, steps));
      expect(read().closed, `after ${steps} steps`).toEqual([]);
    }
    expect([read().signer?.chain, read().issuer?.chain]).toEqual([wanted.signer?.chain, wanted.issuer?.chain]);
  });

  it("are settled before others are written, where an earlier writing has ended after any step", () => {
    const [before, after] = [made(), made()];
    for (let steps = 0; steps <= after.length; steps++) {
      write(before);
      write(after.slice(0, steps));
      const [signing, intermediate] = [createKeyPair(), createKeyPair()];
      const files = credentialFiles(directory, signer.certify("shop-us", createCsr(intermediate), createCsr(signing), nowMs), { signing, intermediate });
      settleKeys(directory);
      expect(read().closed, `settled after ${steps} steps`).toEqual([]);
      for (const [path, content] of files) {
        writeFileSync(path, content);
        expect(read().closed, `${path} after ${steps} steps`).toEqual([]);
      }
    }
  });

  it("lie in the end where a program of before looks for them, and nowhere else", () => {
    const [signing, intermediate] = [createKeyPair(), createKeyPair()];
    writeCredentials(directory, signer.certify("shop-us", createCsr(intermediate), createCsr(signing), nowMs), { signing, intermediate });
    expect(readdirSync(directory).filter((file) => file !== "signer-plane").toSorted()).toEqual(["authority.pem", "bundle.json", "intermediate.key", "intermediate.pem", "signing.key", "signing.pem"]);
    expect(read().closed).toEqual([]);
  });

  it("are damaged as the first name of a key says, where neither key is that of the certificate", () => {
    write(made());
    for (const file of ["signing.key", "signing.next.key"]) writeFileSync(join(directory, file), "");
    expect(readClusterKeys(directory, shop, nowMs)).toMatchObject({ signer: undefined, damaged: [expect.stringContaining("signing.pem: ")], keys: { closed: [{ role: "signing" }] } });
  });
});

import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { createIssuer, parseX509, trustDomainOfAuthority, type Issuer } from "#federation/identity/authority.ts";
import { parseChainPem } from "#federation/identity/pem.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { writePrivateFileSync } from "#federation/runtime/private-file.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import { readKeyFiles } from "./key-files.ts";
import { believedRoots, type SignerRoots } from "./root-rotation.ts";

/** Holds everything of a rotation; there from the first one on, in the place of `root.key` and `root.pem`. */
const fileName = "roots.json";

const keyFilesSchema = z.strictObject({ certificatePem: z.string(), privateKeyPem: z.string() });
const common = { sequence: z.int().min(1), issuing: keyFilesSchema };
const rootsSchema = z.discriminatedUnion("phase", [
  z.strictObject({ ...common, phase: z.literal("settled") }),
  z.strictObject({ ...common, phase: z.literal("distributing"), next: keyFilesSchema }),
  z.strictObject({ ...common, phase: z.literal("draining"), formerPem: z.string() }),
  z.strictObject({ ...common, phase: z.literal("tainted"), formerPem: z.string() }),
]);

/** A signer's roots, as what is issued and told is made of them. */
export interface ReadRoots {
  readonly roots: SignerRoots;
  readonly issuer: Issuer;
  /** Those of the bundle, DER. */
  readonly believed: readonly Uint8Array[];
}

/** Whether the roots of the signer in `directory` have been rotated, or are. */
export function hasRotated(directory: string): boolean {
  return existsSync(join(directory, fileName));
}

/** The roots of a signer on its disk, 0600. */
export class RootsFile {
  readonly #trustDomain: TrustDomainName;
  readonly #directory: string;
  readonly #current: WatchedValue<ReadRoots>;

  private constructor(trustDomain: TrustDomainName, directory: string, roots: SignerRoots) {
    this.#trustDomain = trustDomain;
    this.#directory = directory;
    this.#current = new WatchedValue(readRoots(trustDomain, roots));
  }

  /** Throws for what cannot be used, and makes nothing in its place. */
  static open(trustDomain: TrustDomainName, directory: string): RootsFile {
    if (hasRotated(directory)) {
      const roots = rootsSchema.parse(JSON.parse(readFileSync(join(directory, fileName), "utf8")));
      const file = new RootsFile(trustDomain, directory, roots);
      file.#forgetFirst();
      return file;
    }
    const issuing = readKeyFiles(directory, "root");
    if (issuing === undefined) throw new Error("root.pem is missing");
    return new RootsFile(trustDomain, directory, { phase: "settled", sequence: 1, issuing });
  }

  get current(): Watched<ReadRoots> {
    return this.#current;
  }

  /** Goes by `roots` from now on; they are on the disk first, in one write. */
  replace(roots: SignerRoots): void {
    const read = readRoots(this.#trustDomain, roots);
    writePrivateFileSync(join(this.#directory, fileName), JSON.stringify(roots));
    this.#forgetFirst();
    this.#current.set(read);
  }

  /** A version that knows no rotation would issue by it again, and its key has to end with it. */
  #forgetFirst(): void {
    for (const name of ["root.key", "root.pem"]) rmSync(join(this.#directory, name), { force: true });
  }
}

/** @throws {ATOLL_CERTIFICATE_INVALID} when a key is not that of its certificate, or a certificate none of a root of `trustDomain` */
function readRoots(trustDomain: TrustDomainName, roots: SignerRoots): ReadRoots {
  const issuer = createIssuer(roots.issuing.certificatePem, roots.issuing.privateKeyPem);
  if (roots.phase === "distributing") createIssuer(roots.next.certificatePem, roots.next.privateKeyPem);
  const believed = believedRoots(roots).map((pem) => {
    const [der = new Uint8Array()] = parseChainPem(pem);
    parseX509(der);
    if (trustDomainOfAuthority(der) !== trustDomain) throw new AtollError("ATOLL_CERTIFICATE_INVALID", `a root is none of ${trustDomain}`);
    return der;
  });
  return { roots, issuer, believed };
}

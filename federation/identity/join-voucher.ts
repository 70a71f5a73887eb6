import { readFile } from "node:fs/promises";
import { AtollError } from "#federation/runtime/errors.ts";
import type { JoinAttest } from "./attest/evidence-config.ts";
import { readEvidence } from "./attest/read-evidence.ts";
import { encodeAttestation } from "./join-proof.ts";
import { decodeJoinToken } from "./join-token.ts";

/** Where a configuration says to get in by: a file with a token, or evidence that others give. Neither: this process cannot join. */
export interface JoinSource {
  /** Empty when there is none. */
  readonly tokenFile: string;
  readonly attest?: JoinAttest;
}

/** Where to join, whom to believe there, and by what. */
export interface JoinVoucher {
  /** `host:port` of each server that takes the proof. */
  readonly addresses: readonly string[];
  /** Lower-case hex SHA-256 of the server's root certificate in DER. */
  readonly rootSha256: string;
  /** A token that was refused stays so; evidence is another tomorrow, and so is what a plane thinks of it. */
  readonly isLasting: boolean;
  /** The proof as it travels. A secret: never log it. Evidence is fetched anew each time, and may be unavailable. */
  readonly prove: (signal: AbortSignal) => Promise<string>;
}

/** Checks that a configuration says one way to join at most; `names` are those of its fields. @throws {ATOLL_CONFIG_INVALID} */
export function checkOneSource({ tokenFile, attest }: { readonly tokenFile: string; readonly attest: JoinAttest | undefined }, names: string): void {
  if (tokenFile !== "" && attest !== undefined) throw new AtollError("ATOLL_CONFIG_INVALID", `${names}: expected one of them, since only one can be what this process joins by`);
}

/** Whether there is anything to join by. */
export function isJoinable({ tokenFile, attest }: JoinSource): boolean {
  return tokenFile !== "" || attest !== undefined;
}

/**
 * Reads what the source says now.
 * @throws {ATOLL_JOIN_TOKEN_INVALID} when there is no source, its file cannot be read, or holds no token.
 */
export async function openVoucher({ tokenFile, attest }: JoinSource): Promise<JoinVoucher> {
  if (attest !== undefined) {
    const { addresses, rootSha256, evidence } = attest;
    return {
      addresses,
      rootSha256,
      isLasting: true,
      prove: async (signal) => {
        const { kind, document } = await readEvidence(evidence, signal);
        return encodeAttestation(kind, document);
      },
    };
  }
  if (tokenFile === "") throw new AtollError("ATOLL_JOIN_TOKEN_INVALID", "there is no valid identity, and neither a token file nor evidence to get one with");
  try {
    return tokenVoucher(await readFile(tokenFile, "utf8"));
  } catch (error) {
    if (error instanceof AtollError) throw error;
    throw new AtollError("ATOLL_JOIN_TOKEN_INVALID", `the join token cannot be read from ${tokenFile}`, { cause: error });
  }
}

/** What a token in hand is good for. @throws {ATOLL_JOIN_TOKEN_INVALID} */
export function tokenVoucher(text: string): JoinVoucher {
  const { addresses, rootSha256 } = decodeJoinToken(text);
  return { addresses, rootSha256, isLasting: false, prove: () => Promise.resolve(text.trim()) };
}

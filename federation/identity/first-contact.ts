import { isIP } from "node:net";
import { connect, type DetailedPeerCertificate } from "node:tls";
import { AtollError } from "#federation/runtime/errors.ts";
import { abortedError } from "#federation/runtime/clock.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { trustDomainOfAuthority } from "./authority.ts";
import { parseAddress } from "./join-token.ts";
import { sha256Hex } from "./key-pair.ts";
import { chainLengthMax } from "./pem.ts";

/**
 * First contact with a server of which only the root's SHA-256 is known: takes the chain that it shows without believing it and
 * returns the one certificate (DER) with that hash. Nothing is sent over this connection; connect again with the root as
 * constrained anchor. Ask with a deadline in `signal`.
 * @throws {ATOLL_PEER_UNVERIFIED} when no certificate of the chain has the hash, or it is not the authority of a trust domain.
 * @throws {ATOLL_PEER_UNAVAILABLE} when the address cannot be reached.
 * @throws {ATOLL_ABORTED} when `signal` aborts.
 */
export async function fetchPinnedRoot(address: string, rootSha256: string, signal: AbortSignal): Promise<Buffer> {
  const root = (await fetchPresentedChain(address, signal)).find((der) => sha256Hex(der) === rootSha256);
  if (root === undefined) throw new AtollError("ATOLL_PEER_UNVERIFIED", `no certificate of ${address} is the root that the token pins`);
  trustDomainOfAuthority(root);
  return root;
}

/** A bundle for a pinned root, of the trust domain that the root itself names; sequence 0, so that any real bundle replaces it. */
export function createPinnedBundle(root: Uint8Array): TrustBundle {
  return { trustDomain: trustDomainOfAuthority(root), sequence: 0, refreshHintSeconds: 300, x509Authorities: [root] };
}

function fetchPresentedChain(address: string, signal: AbortSignal): Promise<readonly Buffer[]> {
  const target = parseAddress(address);
  if (target === undefined) return Promise.reject(new AtollError("ATOLL_PEER_UNAVAILABLE", "the address is not host:port"));
  if (signal.aborted) return Promise.reject(abortedError(signal));
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: target.host,
      port: target.port,
      servername: isIP(target.host) === 0 ? target.host : "",
      minVersion: "TLSv1.3",
      // Deliberately unverified: the pin below decides, and only a hash is taken from here.
      rejectUnauthorized: false,
      ALPNProtocols: ["h2", "http/1.1"],
    });
    const settle = (act: () => void): void => {
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      act();
    };
    const onAbort = (): void => settle(() => reject(abortedError(signal)));
    const unavailable = (cause?: unknown): void => settle(() => reject(new AtollError("ATOLL_PEER_UNAVAILABLE", `no first contact with ${address}`, { cause })));
    signal.addEventListener("abort", onAbort, { once: true });
    socket.on("error", unavailable);
    socket.once("close", () => unavailable());
    socket.once("secureConnect", () => {
      const chain = walkChain(socket.getPeerCertificate(true));
      settle(() => resolve(chain));
    });
  });
}

/** The certificates from leaf to root; Node links each to its issuer, and a root to itself. */
function walkChain(leaf: DetailedPeerCertificate): readonly Buffer[] {
  const chain: Buffer[] = [];
  let current: DetailedPeerCertificate | undefined = leaf;
  while (current?.raw !== undefined && chain.length < chainLengthMax) {
    chain.push(current.raw);
    current = current.issuerCertificate === current ? undefined : current.issuerCertificate;
  }
  return chain;
}

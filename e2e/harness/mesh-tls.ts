import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { createAnchors } from "#federation/identity/anchors.ts";
import { createIssuer } from "#federation/identity/authority.ts";
import { parseBundle } from "#federation/identity/bundle-jwks.ts";
import { createKeyPair, exportPrivateKeyPem } from "#federation/identity/key-pair.ts";
import { createX509Svid, issueSvid } from "#federation/identity/leaf.ts";
import { loadIdentity } from "#federation/identity/svid-files.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { createClientTlsOptions } from "#federation/identity/tls-options.ts";
import { parseSpiffeId, parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { systemClock } from "#federation/runtime/clock.ts";

/** How a dial over mutual TLS ended. */
export type Dial =
  /** The first bytes of the answer: the handshake was accepted by both sides. */
  | { readonly kind: "answered"; readonly bytes: Buffer }
  /** The connection ended without one byte of an answer. */
  | { readonly kind: "refused"; readonly reason: string };

export interface DialOptions {
  readonly port: number;
  readonly svid: X509Svid;
  /** Of the server's trust domain. */
  readonly bundle: TrustBundle;
  readonly servername?: string;
  readonly alpn?: readonly string[];
  /** What is sent once the client's side of the handshake is done; a plain HTTP/1.1 request unless told. */
  readonly hello?: Buffer;
}

const dialWithinMs = 15_000;
const httpHello = Buffer.from("GET / HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n");
/** The client preface of HTTP/2 with an empty SETTINGS frame. @see https://www.rfc-editor.org/rfc/rfc9113#section-3.4 */
export const http2Hello = Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]);

/**
 * Dials as `svid` and waits for the first byte of an answer. In TLS 1.3 a client believes the handshake done before the
 * server has looked at its certificate, so only an answer shows that it was accepted.
 */
export function dial(options: DialOptions): Promise<Dial> {
  const { port, svid, bundle, servername, alpn, hello = httpHello } = options;
  return new Promise((resolve) => {
    const socket = connect({
      host: "127.0.0.1",
      port,
      ...createClientTlsOptions({ svid, anchors: createAnchors([bundle]), accept: () => true, ...(servername === undefined ? {} : { servername }), ...(alpn === undefined ? {} : { alpn }) }),
    });
    let reason = "closed without an answer";
    socket.setTimeout(dialWithinMs, () => socket.destroy(new Error("neither an answer nor an end")));
    socket.once("secureConnect", () => socket.write(hello));
    socket.once("data", (bytes: Buffer) => {
      resolve({ kind: "answered", bytes });
      socket.destroy();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => (reason = error.code ?? error.message));
    socket.once("close", () => resolve({ kind: "refused", reason }));
  });
}

/** Signs an identity with the intermediate that a plane keeps in `planeDir`: what a plane gone bad could do. */
export function issueWithIntermediateOf(planeDir: string, spiffeId: string): X509Svid {
  const file = (name: string): string => readFileSync(join(planeDir, "ca", name), "utf8");
  const keys = createKeyPair();
  const issued = issueSvid(createIssuer(file("intermediate.pem"), file("intermediate.key")), {
    spiffeId: parseSpiffeId(spiffeId),
    publicKey: keys.publicKey,
    validityMs: 3_600_000,
    nowMs: systemClock.nowMs(),
  });
  return createX509Svid(issued, exportPrivateKeyPem(keys.privateKey));
}

/** The bundle of the trust domain that the plane in `planeDir` belongs to. */
export function bundleOf(planeDir: string, trustDomain: string): TrustBundle {
  return parseBundle(readFileSync(join(planeDir, "ca", "bundle.json"), "utf8"), parseTrustDomainName(trustDomain));
}

/** The SVID that a proxy keeps in `proxyDir`. */
export async function svidOf(proxyDir: string): Promise<X509Svid> {
  const { svid } = await loadIdentity(join(proxyDir, "identity"));
  if (svid === undefined) throw new Error(`there is no SVID in ${proxyDir}`);
  return svid;
}

import type { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";

/** One side of mutual TLS, as PEM. */
export interface HandshakeTls {
  readonly caPem: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export interface PeerCertificateOptions {
  readonly host: string;
  readonly port: number;
  /** Who is shown to it. */
  readonly tls: HandshakeTls;
  /** It says a line before TLS begins, as nats-server does. */
  readonly speaksFirst: boolean;
}

/** For all of it: a peer that stands still says nothing by then. */
const withinMs = 3_000;
/** Of the line, of which a real one has some hundred bytes. */
const lineBytesMax = 65_536;

/**
 * What a peer shows in the handshake, also one that has ended or that nobody would believe: it is looked at and never trusted, nothing is
 * sent after the handshake, and the connection ends. @throws whatever keeps it from being seen
 */
export async function readPeerCertificate({ host, port, tls, speaksFirst }: PeerCertificateOptions): Promise<X509Certificate> {
  const signal = AbortSignal.timeout(withinMs);
  const socket: Socket = connect(port, host);
  // What comes after the end of the wait is nobody's.
  socket.on("error", () => undefined);
  let secure: TLSSocket | undefined;
  try {
    if (speaksFirst) await readLine(socket, signal);
    else await once(socket, "connect", { signal });
    secure = connectTls({ socket, ca: tls.caPem, cert: tls.certificatePem, key: tls.privateKeyPem, rejectUnauthorized: false, ...(isIP(host) === 0 ? { servername: host } : {}) });
    secure.on("error", () => undefined);
    await once(secure, "secureConnect", { signal });
    const certificate = secure.getPeerX509Certificate();
    if (certificate === undefined) throw new Error("it showed no certificate");
    // One's own part of the handshake goes out before the end, or engines log that it was broken off.
    const closed = once(secure, "close", { signal }).catch(() => undefined);
    secure.resume().end();
    await closed;
    return certificate;
  } finally {
    secure?.destroy();
    socket.destroy();
  }
}

async function readLine(socket: Socket, signal: AbortSignal): Promise<void> {
  for (let bytes = 0; bytes < lineBytesMax; ) {
    const [part] = (await once(socket, "data", { signal })) as [Buffer];
    bytes += part.length;
    if (part.includes("\n")) {
      // The handshake reads what follows.
      socket.pause();
      return;
    }
  }
  throw new Error(`it said more than ${lineBytesMax} bytes before TLS`);
}

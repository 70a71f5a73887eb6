import { Socket, type TcpNetConnectOpts } from "node:net";
import { connect, type ConnectionOptions, type PeerCertificate, type TLSSocket } from "node:tls";
import { LeafReadings } from "#federation/identity/leaf-readings.ts";
import { acceptExactly, createServerIdentityCheck } from "#federation/identity/tls-options.ts";
import { trustDomainOf } from "#federation/model/spiffe-id.ts";
import { plainConnector, readInto, type Connector } from "../upstream/connector.ts";
import { UnstartableError } from "../upstream/own-fault.ts";
import type { TlsContexts } from "./tls-contexts.ts";

/** Counters of outbound TLS. */
export interface TlsConnectorStats {
  handshakes: number;
  failures: number;
}

/**
 * Connects to mesh servers: TLS 1.3 with one's own SVID, under the anchors of the server's trust domain only, and
 * exactly the identities that the target names. A target without a server name is a plain hop.
 */
export function createTlsConnector(contexts: TlsContexts, stats: TlsConnectorStats): Connector {
  const leaves = new LeafReadings();
  return {
    negotiates: true,
    connect(target, handler) {
      if (target.sni === "") return plainConnector.connect(target, handler);
      const [first] = target.identities;
      const context = first === undefined ? undefined : contexts.clientContext(trustDomainOf(first));
      if (context === undefined) return failedSocket();
      const checkServerIdentity = createServerIdentityCheck(acceptExactly(target.identities), (der) => leaves.read(der));
      let proven = false;
      const prove = (): void => {
        if (proven) return;
        proven = true;
        handler.onProven();
      };
      const options: ConnectionOptions & Pick<TcpNetConnectOpts, "onread" | "autoSelectFamily" | "allowHalfOpen"> = {
        host: target.address,
        port: target.port,
        servername: target.sni,
        ...(target.protocols === undefined ? {} : { ALPNProtocols: [...target.protocols] }),
        secureContext: context,
        minVersion: "TLSv1.3",
        rejectUnauthorized: true,
        checkServerIdentity,
        allowHalfOpen: true,
        autoSelectFamily: false,
        onread: readInto({
          readBuffer: handler.readBuffer,
          nextBuffer: () => handler.nextBuffer(),
          onBytes: (length, buffer) => {
            prove();
            handler.onBytes(length, buffer);
          },
          onReady: () => handler.onReady(),
          onProven: prove,
        }),
      };
      const socket = connect(options);
      showLeafOnly(socket);
      socket.setNoDelay(true);
      let ready = false;
      stats.handshakes++;
      socket.once("secureConnect", () => {
        ready = true;
        handler.onReady();
      });
      // In TLS 1.3 the client is done before the server has judged it; its ticket comes after the judgement. What is
      // written inside Node's session event is never sent (Node 24.21: it runs within OpenSSL's read), hence the turn.
      socket.once("session", () => {
        setImmediate(() => {
          if (!socket.destroyed) prove();
        });
      });
      socket.once("close", () => {
        if (!ready) stats.failures++;
      });
      return socket;
    },
  };
}

/**
 * Before it asks `checkServerIdentity`, Node makes objects of every field of every certificate of the chain: a fifth of the
 * CPU of a handshake (Node 24.21, measured), for a check that reads the leaf's DER.
 */
function showLeafOnly(socket: TLSSocket): void {
  const leaf = (): Pick<PeerCertificate, "raw"> => ({ raw: socket.getPeerX509Certificate()?.raw ?? Buffer.alloc(0) });
  socket.getPeerCertificate = leaf as TLSSocket["getPeerCertificate"];
}

/** A socket that fails as one that could not connect does: with an error and a close, after the caller has it in hand. */
function failedSocket(): Socket {
  const socket = new Socket();
  process.nextTick(() => socket.destroy(new UnstartableError()));
  return socket;
}

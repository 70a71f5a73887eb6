import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { benchServerName } from "./certificates.ts";
import { freePort, startProcess, waitForPort } from "./rig.ts";
import type { Rig } from "./rig.ts";
import { answerBytes } from "./shape.ts";

/** The far side of every subject, on the load core: one nginx that answers plainly and behind mutual TLS. */
export interface Backend {
  readonly plainPort: number;
  readonly tlsPort: number;
}

/** Starts the backend; it ends with `cleanUp`. */
export async function startBackend(rig: Rig, cleanUp: AsyncDisposableStack, signal: AbortSignal): Promise<Backend> {
  const backend = { plainPort: await freePort(), tlsPort: await freePort() };
  const { server } = rig.certificates;
  const config = nginxConfig(
    rig,
    "backend",
    answerServer(`listen 127.0.0.1:${backend.plainPort};
      listen 127.0.0.1:${backend.tlsPort} ssl;
      ssl_certificate ${server.certificatePath};
      ssl_certificate_key ${server.keyPath};
      ssl_client_certificate ${rig.certificates.caPath};
      ssl_verify_client on;
      ssl_protocols TLSv1.3;`),
  );
  cleanUp.use(startProcess(rig, { name: "backend", role: "load", tool: rig.tools.nginx, args: ["-c", config] }));
  await waitForPort(rig, "backend", backend.plainPort, signal);
  return backend;
}

/** An nginx server with `directives` that gives the one answer to every request. */
export function answerServer(directives: string): string {
  return `server { ${directives} default_type text/plain; location / { return 200 "${"x".repeat(answerBytes)}"; } }`;
}

/** Who an originator is, and whom it calls. */
export interface OriginatorIdentity {
  /** Chain and key in one PEM file. */
  readonly certificatePath: string;
  readonly serverName: string;
}

/** The identity with which the peers are called. */
export function benchIdentity({ client }: Rig["certificates"]): OriginatorIdentity {
  return { certificatePath: client.bothPath, serverName: benchServerName };
}

/**
 * A proxy on the load core that speaks mutual TLS to `targetPort`, since wrk has no client certificates.
 * Returns its plain port.
 */
export async function startOriginator(
  rig: Rig,
  { name, targetPort, identity }: { readonly name: string; readonly targetPort: number; readonly identity: OriginatorIdentity },
  cleanUp: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<number> {
  const port = await freePort();
  const { certificatePath, serverName } = identity;
  const config = haproxyConfig(rig, name, {
    bind: `127.0.0.1:${port}`,
    // It is load, and its own cost is nobody's: SPIFFE certificates have no host name that HAProxy could check.
    server: `127.0.0.1:${targetPort} ssl crt ${certificatePath} verify none sni str(${serverName})`,
  });
  cleanUp.use(startProcess(rig, { name, role: "load", tool: rig.tools.haproxy, args: ["-f", config, "-db"] }));
  await waitForPort(rig, name, port, signal);
  return port;
}

/** Writes an nginx configuration with one worker, without logs, and with connections that live for the whole run; returns its path. */
export function nginxConfig(rig: Rig, name: string, http: string): string {
  const prefix = join(rig.directory, `${name}.nginx`);
  mkdirSync(prefix, { recursive: true });
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${prefix}/${kind};`).join(" ");
  const path = join(prefix, "nginx.conf");
  writeFileSync(
    path,
    `daemon off; worker_processes 1; pid ${prefix}/pid; error_log stderr error;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; ${temporary}
${http} }
`,
  );
  return path;
}

/** Writes a HAProxy configuration with one thread, without logs, and with reused connections; returns its path. */
export function haproxyConfig(rig: Rig, name: string, ends: { readonly bind: string; readonly server: string; readonly statsSocket?: string }): string {
  const path = join(rig.directory, `${name}.cfg`);
  writeFileSync(
    path,
    `global
  nbthread 1
  maxconn 4096${ends.statsSocket === undefined ? "" : `\n  stats socket ${ends.statsSocket} mode 600`}
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind ${ends.bind}
  default_backend out
backend out
  server one ${ends.server}
`,
  );
  return path;
}

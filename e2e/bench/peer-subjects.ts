import { benchServerName } from "./certificates.ts";
import { freePort, startProcess, waitForPort } from "./rig.ts";
import type { Rig } from "./rig.ts";
import type { RunningSubject, Subject, SubjectStart } from "./subject.ts";
import { benchIdentity, haproxyConfig, nginxConfig, startOriginator } from "./surroundings.ts";

/** HAProxy with one thread and shared server connections: the peer that every ratio is taken against. */
export const haproxySubject: Subject = {
  name: "haproxy",
  async start(start, signal) {
    const { rig, shape } = start;
    const port = await freePort();
    const { caPath, client, server } = rig.certificates;
    const tlsIn = shape === "mtls-in" ? ` ssl crt ${server.bothPath} ca-file ${caPath} verify required ssl-min-ver TLSv1.3` : "";
    const tlsOut = shape === "mtls-out" ? ` ssl crt ${client.bothPath} ca-file ${caPath} verify required verifyhost ${benchServerName} sni str(${benchServerName})` : "";
    const config = haproxyConfig(rig, `haproxy-${shape}`, { bind: `127.0.0.1:${port}${tlsIn}`, server: `127.0.0.1:${backendPort(start)}${tlsOut}` });
    const pid = await startSubject(rig, { name: `haproxy-${shape}`, tool: "haproxy", args: ["-f", config, "-db"], port }, start, signal);
    return { name: "haproxy", pid, loadPort: await loadPort(start, "haproxy", port, signal) };
  },
};

/** nginx with one worker and a keep-alive pool. */
export const nginxSubject: Subject = {
  name: "nginx",
  async start(start, signal): Promise<RunningSubject> {
    const { rig, shape } = start;
    const port = await freePort();
    const config = nginxConfig(rig, `nginx-${shape}`, nginxServer(start, port));
    const pid = await startSubject(rig, { name: `nginx-${shape}`, tool: "nginx", args: ["-c", config], port }, start, signal);
    return { name: "nginx", pid, loadPort: await loadPort(start, "nginx", port, signal) };
  },
};

function nginxServer(start: SubjectStart, port: number): string {
  const { rig, shape } = start;
  const { caPath, client, server } = rig.certificates;
  const tlsIn = `ssl_certificate ${server.certificatePath}; ssl_certificate_key ${server.keyPath}; ssl_client_certificate ${caPath}; ssl_verify_client on; ssl_protocols TLSv1.3;`;
  const tlsOut = `proxy_ssl_certificate ${client.certificatePath}; proxy_ssl_certificate_key ${client.keyPath}; proxy_ssl_trusted_certificate ${caPath};
      proxy_ssl_verify on; proxy_ssl_name ${benchServerName}; proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.3;`;
  return `upstream out { server 127.0.0.1:${backendPort(start)}; keepalive 256; keepalive_requests 1000000000; }
    server {
      listen 127.0.0.1:${port}${shape === "mtls-in" ? " ssl" : ""};
      ${shape === "mtls-in" ? tlsIn : ""}
      location / {
        proxy_pass ${shape === "mtls-out" ? "https" : "http"}://out; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
        ${shape === "mtls-out" ? tlsOut : ""}
      }
    }`;
}

async function startSubject(
  rig: Rig,
  process: { readonly name: string; readonly tool: "haproxy" | "nginx"; readonly args: readonly string[]; readonly port: number },
  start: SubjectStart,
  signal: AbortSignal,
): Promise<number> {
  const started = start.cleanUp.use(startProcess(rig, { name: process.name, role: "subject", tool: rig.tools[process.tool], args: process.args }));
  await waitForPort(rig, process.name, process.port, signal);
  return started.pid;
}

/** The backend's port on the far side in this shape. */
function backendPort(start: SubjectStart): number {
  return start.shape === "mtls-out" ? start.backend.tlsPort : start.backend.plainPort;
}

/** Where the load generator goes: straight to a plain port, or through an originator to one that wants client certificates. */
function loadPort(start: SubjectStart, name: string, port: number, signal: AbortSignal): Promise<number> {
  return start.shape === "mtls-in" ? startOriginator(start.rig, { name: `originator-${name}`, targetPort: port, identity: benchIdentity(start.rig.certificates) }, start.cleanUp, signal) : Promise.resolve(port);
}

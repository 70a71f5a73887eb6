import { createConnection } from "node:net";
import { join } from "node:path";
import { benchServerName } from "./certificates.ts";
import { freePort, startProcess, waitForPort } from "./rig.ts";
import type { Rig } from "./rig.ts";
import type { RunningSubject, Subject, SubjectStart } from "./subject.ts";
import { benchIdentity, haproxyConfig, nginxConfig, startOriginator } from "./surroundings.ts";

/** HAProxy with one thread and shared server connections: the peer that every ratio is taken against. In a pair, two processes of it. */
export const haproxySubject: Subject = {
  name: "haproxy",
  shapes: ["http", "mtls-out", "mtls-in", "pair"],
  async start(start, signal) {
    const { shape } = start;
    if (shape === "pair") return startHaproxyPair(start, signal);
    const proxy = await startHaproxy(start, { name: `haproxy-${shape}`, tlsIn: shape === "mtls-in", tlsOut: shape === "mtls-out", targetPort: backendPort(start) }, signal);
    return { name: "haproxy", pids: [proxy.pid], loadPort: await loadPort(start, "haproxy", proxy.port, signal) };
  },
};

/** The caller's and the callee's, with mutual TLS between them. */
async function startHaproxyPair(start: SubjectStart, signal: AbortSignal): Promise<RunningSubject> {
  const callee = await startHaproxy(start, { name: "haproxy-callee", tlsIn: true, tlsOut: false, targetPort: start.backend.plainPort }, signal);
  const caller = await startHaproxy(start, { name: "haproxy-caller", tlsIn: false, tlsOut: true, targetPort: callee.port }, signal);
  return { name: "haproxy", pids: [caller.pid, callee.pid], loadPort: caller.port, handshakes: () => haproxyHandshakes(callee.statsSocket) };
}

interface HaproxyProcess {
  readonly pid: number;
  readonly port: number;
  readonly statsSocket: string;
}

async function startHaproxy(
  start: SubjectStart,
  { name, tlsIn, tlsOut, targetPort }: { readonly name: string; readonly tlsIn: boolean; readonly tlsOut: boolean; readonly targetPort: number },
  signal: AbortSignal,
): Promise<HaproxyProcess> {
  const { rig } = start;
  const port = await freePort();
  const { caPath, client, server } = rig.certificates;
  const bindTls = tlsIn ? ` ssl crt ${server.bothPath} ca-file ${caPath} verify required ssl-min-ver TLSv1.3` : "";
  const serverTls = tlsOut ? ` ssl crt ${client.bothPath} ca-file ${caPath} verify required verifyhost ${benchServerName} sni str(${benchServerName})` : "";
  const statsSocket = join(rig.directory, `${name}.sock`);
  const config = haproxyConfig(rig, name, { bind: `127.0.0.1:${port}${bindTls}`, server: `127.0.0.1:${targetPort}${serverTls}`, statsSocket });
  const pid = await startSubject(rig, { name, tool: "haproxy", args: ["-f", config, "-db"], port }, start, signal);
  return { pid, port, statsSocket };
}

/** All TLS connections that HAProxy has accepted or made. @see https://docs.haproxy.org/2.6/management.html#9.3-show%20info */
function haproxyHandshakes(statsSocket: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(statsSocket);
    let text = "";
    socket.setEncoding("latin1");
    socket.on("data", (part: string) => (text += part));
    socket.once("error", reject);
    socket.once("close", () => {
      const counted = /^CumSslConns: (\d+)$/m.exec(text);
      if (counted === null) reject(new Error(`HAProxy does not say how many TLS connections it had: ${text.slice(0, 200)}`));
      else resolve(Number(counted[1]));
    });
    socket.write("show info\n");
  });
}

/** nginx with one worker and a keep-alive pool. */
export const nginxSubject: Subject = {
  name: "nginx",
  shapes: ["http", "mtls-out", "mtls-in"],
  async start(start, signal): Promise<RunningSubject> {
    const { rig, shape } = start;
    const port = await freePort();
    const config = nginxConfig(rig, `nginx-${shape}`, nginxServer(start, port));
    const pid = await startSubject(rig, { name: `nginx-${shape}`, tool: "nginx", args: ["-c", config], port }, start, signal);
    return { name: "nginx", pids: [pid], loadPort: await loadPort(start, "nginx", port, signal) };
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

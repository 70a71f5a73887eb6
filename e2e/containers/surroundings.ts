import { Wait } from "testcontainers";
import type { ContainerSet } from "./container-set.ts";
import { serversImage } from "./images.ts";
import * as layout from "./layout.ts";
import type { PlacedContainer } from "./placed-container.ts";

/** The user of Atoll's image, who owns nothing of this one either. */
const user = "10001";

/** Makes the federation's root and its engines' certificates by the command that an operator runs, and deals each engine its own. */
export async function makeKeys(containers: ContainerSet, image: string, networks: layout.Networks): Promise<void> {
  const engines = layout.regions.flatMap((region) => ["--engine", `${region}:${layout.localAddress(networks, region, "etcd")},${layout.wanAddress(networks, region, "nats")}`]);
  const keys = containers.create("keys", image, []).withEntrypoint(["sleep"]).withCommand(["infinity"]);
  await containers.start("keys", keys.withBindMounts([{ source: containers.volume("global"), target: "/var/lib/atoll" }]));
  await containers.run("keys", ["/opt/atoll/infra/images/entrypoint", "global", "init", "--data", "/var/lib/atoll", "--federation", layout.federation, ...engines]);
  for (const region of layout.regions) {
    for (const engine of ["etcd", "nats"]) {
      for (const [file, source] of [["engine.pem", `${region}.pem`], ["engine.key", `${region}.key`], ["ca.pem", "ca.pem"]] as const) {
        containers.write(`${region}-${engine}`, file, await containers.read("keys", `/var/lib/atoll/engines/${source}`));
      }
    }
  }
}

/** etcd inside of its region, nats-server on the network between regions. */
export async function startEngines(containers: ContainerSet, networks: layout.Networks, region: layout.Region): Promise<void> {
  const [etcd, nats] = [`${region}-etcd`, `${region}-nats`];
  containers.write(nats, "nats.conf", layout.natsText(networks, region));
  const etcdContainer = containers.create(etcd, serversImage, [{ network: networks[region], address: layout.localAddress(networks, region, "etcd") }]);
  const natsContainer = containers.create(nats, serversImage, [{ network: networks.wan, address: layout.wanAddress(networks, region, "nats") }]);
  await Promise.all([
    containers.start(etcd, configured(containers, etcd, etcdContainer).withTmpFs({ "/state": "rw,mode=1777" }).withCommand([...layout.etcdCommand(networks, region)]).withWaitStrategy(Wait.forLogMessage(/serving client traffic securely/))),
    containers.start(nats, configured(containers, nats, natsContainer).withCommand(["/usr/sbin/nats-server", "-c", "/etc/atoll/nats.conf"]).withWaitStrategy(Wait.forLogMessage(/Server is ready/))),
  ]);
}

/** Applications that nobody here wrote: nginx is the pod; httpbin lives in it too where it runs. Answers the pod's name. */
export async function startApps(containers: ContainerSet, networks: layout.Networks, region: layout.Region): Promise<string> {
  const pod = `${region}-nginx`;
  containers.write(pod, "nginx.conf", layout.nginxText(region));
  const nginx = containers.create(pod, serversImage, [{ network: networks[region], address: layout.localAddress(networks, region, "app") }]);
  await containers.start(pod, configured(containers, pod, nginx).withTmpFs({ "/tmp": "rw,mode=1777" }).withCommand(["/usr/sbin/nginx", "-c", "/etc/atoll/nginx.conf"]));
  if (region === "ap-south") {
    const httpbin = containers.create(`${region}-httpbin`, serversImage, []).inPodOf(containers.containerId(pod));
    await containers.start(`${region}-httpbin`, httpbin.withUser(user).withTmpFs({ "/tmp": "rw,mode=1777" }).withCommand(["gunicorn", "--bind", `127.0.0.1:${layout.appPorts.httpbin}`, "--workers", "1", "httpbin:app"]));
  }
  return pod;
}

function configured(containers: ContainerSet, name: string, container: PlacedContainer): PlacedContainer {
  return container.withBindMounts([{ source: containers.directory(name), target: "/etc/atoll", mode: "ro" }]).withUser(user);
}

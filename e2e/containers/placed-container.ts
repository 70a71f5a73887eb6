import { GenericContainer } from "testcontainers";
import type { TestNetwork } from "./networks.ts";

type BindMount = Parameters<GenericContainer["withBindMounts"]>[0][number];

/** An interface of a container. */
export interface Attachment {
  readonly network: TestNetwork;
  readonly address: string;
}

/** A container with fixed addresses in several networks, all there before its program starts: testcontainers knows one network and no addresses, and has these hooks for the rest. */
export class PlacedContainer extends GenericContainer {
  readonly #attachments: readonly Attachment[];

  constructor(image: string, attachments: readonly Attachment[]) {
    super(image);
    this.#attachments = attachments;
    const [first] = attachments;
    if (first !== undefined) this.withNetworkMode(first.network.name);
  }

  /** A root that nothing can write to, as little as the kernel lets a process have, and no way to more. */
  hardened(): this {
    this.hostConfig.ReadonlyRootfs = true;
    this.hostConfig.CapDrop = ["ALL"];
    return this.withSecurityOpt("no-new-privileges");
  }

  /** Shares the network of another container, as containers of a pod do. */
  inPodOf(containerId: string): this {
    return this.withNetworkMode(`container:${containerId}`);
  }

  /**
   * What systemd needs as the first process, short of `--privileged`, which engines that are themselves confined cannot give:
   * capabilities but the one that such engines lack, system calls of mounting, and the tree of control groups.
   */
  bootsSystemd(mounts: readonly BindMount[]): this {
    // The types of the client lack the field; engines from 20.10 on know it.
    Object.assign(this.hostConfig, { CgroupnsMode: "host" });
    return this.withAddedCapabilities("ALL")
      .withDroppedCapabilities("SYS_RESOURCE")
      .withSecurityOpt("seccomp=unconfined", "apparmor=unconfined")
      .withBindMounts([{ source: "/sys/fs/cgroup", target: "/sys/fs/cgroup", mode: "rw" }, ...mounts])
      .withTmpFs({ "/run": "rw", "/run/lock": "rw", "/tmp": "rw,mode=1777" })
      .withEnvironment({ container: "docker" })
      .withCommand(["/lib/systemd/systemd", "--show-status=0"]);
  }

  protected override beforeContainerCreated(): Promise<void> {
    const [first] = this.#attachments;
    if (first !== undefined) this.createOpts.NetworkingConfig = { EndpointsConfig: { [first.network.name]: { IPAMConfig: { IPv4Address: first.address } } } };
    return Promise.resolve();
  }

  protected override async containerCreated(containerId: string): Promise<void> {
    for (const { network, address } of this.#attachments.slice(1)) await network.connect(containerId, address);
  }
}

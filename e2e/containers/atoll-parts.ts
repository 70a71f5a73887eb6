import { Wait } from "testcontainers";
import type { ContainerSet } from "./container-set.ts";
import type { Attachment } from "./placed-container.ts";

const second = 1_000;

/** One program of Atoll in a container. */
export interface AtollPart {
  readonly program: readonly string[];
  readonly config: object;
  /** By file name beside the configuration. */
  readonly tokens?: Readonly<Record<string, string>>;
  readonly attachments: readonly Attachment[];
  /** The container whose network it shares, as containers of a pod do. */
  readonly podOf?: string;
}

/** The programs of Atoll among the containers, each of which can be replaced by another version of itself. */
export class AtollParts {
  readonly #containers: ContainerSet;
  readonly #parts = new Map<string, AtollPart>();

  constructor(containers: ContainerSet) {
    this.#containers = containers;
  }

  /** In the order in which they were started. */
  get names(): readonly string[] {
    return [...this.#parts.keys()];
  }

  /** Starts one for the first time and waits until it says that it is well. */
  async add(name: string, image: string, part: AtollPart): Promise<void> {
    this.#parts.set(name, part);
    this.#containers.write(name, "config.json", JSON.stringify(part.config));
    for (const [file, token] of Object.entries(part.tokens ?? {})) this.#containers.write(name, file, token);
    await this.#start(name, image, part);
  }

  /** Ends one in an orderly way and starts `image` on its state, at its addresses. */
  async replace(name: string, image: string): Promise<void> {
    const part = this.#parts.get(name);
    if (part === undefined) throw new Error(`no part is named ${name}`);
    await this.#containers.end(name);
    await this.#start(name, image, part);
  }

  async #start(name: string, image: string, part: AtollPart): Promise<void> {
    const containers = this.#containers;
    const container = containers.create(name, image, part.attachments).hardened().withTmpFs({ "/var/cache/atoll": "rw,uid=10001,mode=0700", "/tmp": "rw,mode=1777" });
    if (part.podOf !== undefined) container.inPodOf(containers.containerId(part.podOf));
    const mounts = [{ source: containers.directory(name), target: "/etc/atoll", mode: "ro" as const }, { source: containers.volume(name), target: "/var/lib/atoll" }];
    // The image's own check, asked more often than an operator would.
    const healthCheck = { test: ["CMD", "/opt/atoll/infra/images/health"] as ["CMD", string], interval: second, timeout: 10 * second, retries: 10, startPeriod: 60 * second };
    await containers.start(name, container.withBindMounts(mounts).withCommand([...part.program, "--config", "/etc/atoll/config.json"]).withHealthCheck(healthCheck).withWaitStrategy(Wait.forHealthCheck()));
  }
}

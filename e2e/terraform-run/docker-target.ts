import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { systemClock } from "#federation/runtime/clock.ts";
import { findCompose, findContainerEngine } from "../containers/container-engine.ts";
import { buildAtollImage, buildServersImage } from "../containers/images.ts";
import { eventually, pause } from "../harness/eventually.ts";
import { ContainerCaller, scoreCallers } from "./container-callers.ts";
import { lostRegion, type Drift, type RegionLoss, type RunTarget } from "./run-target.ts";
import { ThreeRegions } from "./three-regions.ts";

const run = promisify(execFile);
/** The regions in which somebody calls. */
const callingRegions = ["eu-west", "ap-south"] as const;
const answersInARow = 20;
const settledWithinMs = 120_000;
const shiftWithinMs = 60_000;
const recoverWithinMs = 120_000;
/** For so long nothing may fail any more after everybody is served as before. */
const afterMs = 3_000;

interface Container {
  readonly id: string;
  readonly service: string;
}

/** The example in containers of this machine's engine, with callers in the containers of its storefronts. */
export class DockerTarget implements RunTarget {
  readonly example: ThreeRegions;
  readonly drifts: readonly Drift[];
  readonly #label: string;

  private constructor(example: ThreeRegions) {
    this.example = example;
    this.#label = `label=com.docker.compose.project=${example.name}`;
    const gateway = `${lostRegion}.${lostRegion}-gateway`;
    this.drifts = [
      { name: "atoll delete TrafficPolicy web/stock", happen: () => example.atoll("--context", `${example.directory}/context.json`, "delete", "TrafficPolicy", "web/stock"), planned: "atoll_traffic_policy.stock: create" },
      { name: `docker rm --force ${gateway}`, happen: async () => void (await run("docker", ["rm", "--force", await this.#idOf(gateway)])), planned: `module.region["${lostRegion}"].atoll_local_unit.region[0]: create` },
    ];
  }

  /** Builds the images and the provider; `program` is terraform. Nothing runs yet. @throws Error when there is no engine */
  static async open(program: string): Promise<DockerTarget> {
    const { client, leftOut } = await findContainerEngine();
    const compose = await findCompose();
    if (client === undefined || compose.words.length === 0) {
      const reason = (client === undefined ? leftOut : compose.leftOut).replace(/^ \(left out: (.*)\)$/s, "$1");
      throw new Error(`no containers can be started here: ${reason}`);
    }
    const servers = await buildServersImage();
    const images = `images={atoll=${JSON.stringify(await buildAtollImage())},etcd=${JSON.stringify(servers)},nats_server=${JSON.stringify(servers)}}`;
    return new DockerTarget(await ThreeRegions.open(program, ["target=docker", images], { COMPOSE: compose.words.join(" ") }));
  }

  async storefront(path: string): Promise<string> {
    const program = `fetch("http://127.0.0.1:" + process.env.PORT + ${JSON.stringify(path)}).then(async (answer) => process.stdout.write(await answer.text()))`;
    return (await run("docker", ["exec", await this.#idOf("eu-west.eu-west-storefront-app"), "node", "--eval", program])).stdout.trim();
  }

  /** Everything that is there of it, whether or not it runs. */
  async containers(): Promise<readonly Container[]> {
    const { stdout } = await run("docker", ["ps", "--all", "--no-trunc", "--filter", this.#label, "--format", '{{.ID}} {{.Label "com.docker.compose.service"}}']);
    return stdout.split("\n").filter((line) => line !== "").map((line) => line.split(" ")).map(([id = "", service = ""]) => ({ id, service }));
  }

  async #idOf(wanted: string): Promise<string> {
    const found = (await this.containers()).find(({ service }) => service === wanted);
    if (found === undefined) throw new Error(`there is no container of ${wanted}`);
    return found.id;
  }

  async loseRegion(): Promise<RegionLoss> {
    await using stack = new AsyncDisposableStack();
    const callers: ContainerCaller[] = [];
    for (const region of callingRegions) callers.push(stack.use(new ContainerCaller(await this.#idOf(`${region}.${region}-storefront-app`))));
    const areServed = (): boolean => callers.every(({ ends }) => ends.length >= answersInARow && ends.slice(-answersInARow).every(({ isOk, region }) => isOk && region === lostRegion));
    await eventually("callers are served", areServed, settledWithinMs);
    const beganAtMs = systemClock.nowMs() - afterMs;
    await pause(afterMs);
    const before = await this.containers();

    const lost = before.filter(({ service }) => service === lostRegion || service.startsWith(`${lostRegion}.`));
    const killAtMs = systemClock.nowMs();
    await run("docker", ["kill", ...lost.map(({ id }) => id)]);
    const scored = (): ReturnType<typeof scoreCallers> => scoreCallers(callers.map(({ ends }) => ends), { beganAtMs, killAtMs, lostRegion });
    await eventually(`callers are served without ${lostRegion}`, () => scored().shiftMs !== null, shiftWithinMs);
    const { resources: planned } = await this.example.plan();

    const returnAtMs = systemClock.nowMs();
    await this.example.apply();
    await eventually("callers are served as before", areServed, recoverWithinMs);
    const recoverMs = systemClock.nowMs() - returnAtMs;
    await pause(afterMs);
    const after = new Set((await this.containers()).map(({ id }) => id));
    const restarted = before.filter((one) => !lost.includes(one) && !after.has(one.id)).map(({ service }) => service);
    const { requests, failed, failedOutsideShift, shiftMs } = scored();
    return { killed: lost.map(({ service }) => service), planned, restarted, requests, failed, failedIdempotentOutsideShift: failedOutsideShift, shiftMs, recoverMs };
  }

  async destroy(): Promise<readonly string[]> {
    return [...(await this.example.destroy()), ...(await this.#left())];
  }

  /** Containers, volumes and networks of it. */
  async #left(): Promise<readonly string[]> {
    const lists = await Promise.all([this.#list("container"), this.#list("volume"), this.#list("network")]);
    return lists.flat();
  }

  async #list(kind: "container" | "volume" | "network"): Promise<readonly string[]> {
    const { stdout } = await run("docker", [kind, "ls", ...(kind === "container" ? ["--all"] : []), "--quiet", "--filter", this.#label]);
    return stdout.split("\n").filter((id) => id !== "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is left to end after a destroy; after a failure this needs no terraform. Networks are in use until containers have gone.
    for (const kind of ["container", "volume", "network"] as const) {
      const ids = await this.#list(kind);
      if (ids.length > 0) await run("docker", [kind, "rm", "--force", ...ids]);
    }
    this.example[Symbol.dispose]();
  }
}

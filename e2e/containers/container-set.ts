import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ContainerRuntimeClient, StartedTestContainer } from "testcontainers";
import { systemClock } from "#federation/runtime/clock.ts";
import { eventually } from "../harness/eventually.ts";
import { PlacedContainer, type Attachment } from "./placed-container.ts";

/** How long whatever starts may take on a busy host. */
export const startWithinMs = 120_000;
/** Longer than anything here takes to drain. */
const stopWithinMs = 30_000;

/** Containers by short names, the files and volumes that they mount, and what can befall them. Disposing removes all of it. */
export class ContainerSet implements AsyncDisposable {
  /** Begins the name of everything at the engine. */
  readonly id = `atoll-${process.pid}-${String(Math.trunc(systemClock.nowMs() / 1_000) % 100_000)}`;
  readonly #client: ContainerRuntimeClient;
  readonly #directory = mkdtempSync(join(tmpdir(), "atoll-c-"));
  readonly #containers = new Map<string, StartedTestContainer>();
  readonly #volumes = new Set<string>();

  constructor(client: ContainerRuntimeClient) {
    this.#client = client;
  }

  /** A container to be: nothing is fetched for it, and nobody else removes it. */
  create(name: string, image: string, attachments: readonly Attachment[]): PlacedContainer {
    return new PlacedContainer(image, attachments).withName(`${this.id}-${name}`).withAutoCleanup(false).withPullPolicy({ shouldPull: () => "never" }).withStartupTimeout(startWithinMs);
  }

  /** Starts it and keeps it under its name; another of that name is forgotten. */
  async start(name: string, container: PlacedContainer): Promise<StartedTestContainer> {
    const started = await container.start();
    this.#containers.set(name, started);
    return started;
  }

  /** Ends it in an orderly way; its volumes stay. */
  async end(name: string): Promise<void> {
    await this.started(name).stop({ timeout: stopWithinMs, remove: true, removeVolumes: false });
  }

  started(name: string): StartedTestContainer {
    const container = this.#containers.get(name);
    if (container === undefined) throw new Error(`no container is named ${name}`);
    return container;
  }

  containerId(name: string): string {
    return this.started(name).getId();
  }

  /** A volume at the engine, made when it is first mounted. */
  volume(name: string): string {
    const volume = `${this.id}-${name}`;
    this.#volumes.add(volume);
    return volume;
  }

  /** Where the files of a container lie on this machine. */
  directory(name: string): string {
    return join(this.#directory, name);
  }

  write(name: string, file: string, text: string): void {
    mkdirSync(this.directory(name), { recursive: true });
    writeFileSync(join(this.directory(name), file), text);
  }

  /** The text of a file inside of a container. @throws Error with what `cat` said */
  async read(name: string, path: string): Promise<string> {
    return await this.run(name, ["cat", path]);
  }

  /** What a command inside of a container printed. @throws Error with the same where it failed */
  async run(name: string, command: readonly string[]): Promise<string> {
    const { exitCode, output } = await this.started(name).exec([...command]);
    if (exitCode !== 0) throw new Error(output);
    return output;
  }

  async kill(...names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.#docker(name).kill()));
  }

  /** Starts what was killed, on its own state, and waits until it says that it is well. */
  async startAgain(...names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.#docker(name).start()));
    for (const name of names) await eventually(`${name} is well again`, () => this.isHealthy(name), startWithinMs);
  }

  pause(name: string): Promise<void> {
    return this.#docker(name).pause();
  }

  unpause(name: string): Promise<void> {
    return this.#docker(name).unpause();
  }

  async isHealthy(name: string): Promise<boolean> {
    return (await this.#docker(name).inspect()).State.Health?.Status === "healthy";
  }

  /** The image that a container runs. */
  async imageOf(name: string): Promise<string> {
    return (await this.#docker(name).inspect()).Config.Image;
  }

  /** The last words of every container, for whoever looks into a failure. */
  async logs(): Promise<string> {
    const parts: string[] = [];
    for (const name of this.#containers.keys()) {
      const text = await this.#docker(name).logs({ stdout: true, stderr: true, tail: 12 });
      parts.push(`== ${name}\n${text.toString("latin1").replace(/[^\x20-\x7e\n]/g, "")}`);
    }
    return parts.join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What shares a pod's network goes before the pod.
    for (const name of [...this.#containers.keys()].reverse()) await this.#docker(name).remove({ force: true, v: true });
    for (const volume of this.#volumes) await this.#client.container.dockerode.getVolume(volume).remove({ force: true });
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #docker(name: string): ReturnType<ContainerRuntimeClient["container"]["dockerode"]["getContainer"]> {
    return this.#client.container.dockerode.getContainer(this.containerId(name));
  }
}

import { cpSync, existsSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "#federation/runtime/clock.ts";
import { readFederationFile } from "#services/cli/up/federation-file.ts";
import type { ProcessTrace } from "#services/cli/up/managed-process.ts";
import { isSameProcess } from "#services/cli/up/process-identity.ts";
import { endFederation, livingProcesses } from "#services/cli/up/running.ts";
import { buildProvider } from "../../terraform/build-provider.ts";
import { call } from "../harness/http-call.ts";
import { TerraformRun, type PlannedChanges } from "../harness/terraform.ts";
import { home, Place, type CommandResult } from "../harness/test-federation.ts";

const folder = "terraform/examples/three-regions";
const at = `-chdir=${folder}`;
const commandWithinMs = 120_000;
const never = new AbortController().signal;

/**
 * `terraform/examples/three-regions` in a directory and under a name of its own, kept by the real terraform and the provider of this
 * working tree. Disposing ends whatever of it still lives, and removes everything.
 */
export class ThreeRegions implements AsyncDisposable {
  readonly #place = new Place();
  readonly #run: TerraformRun;
  /** The variable `directory`: not the place's own, since a destroy removes it. */
  readonly directory = join(this.#place.directory, "f");
  /** Where `atoll` finds the federation. */
  readonly dataDir = join(this.directory, "data");
  readonly #options = ["-input=false", "-no-color", `-var=directory=${this.directory}`, `-var=name=${this.#place.name}`];

  private constructor(program: string) {
    this.#run = new TerraformRun(program, join(this.#place.directory, "mirror"), {});
  }

  /** Builds the provider and initializes the example; `program` is terraform. Nothing runs yet. */
  static async open(program: string): Promise<ThreeRegions> {
    const example = new ThreeRegions(program);
    try {
      await example.#initialize();
      return example;
    } catch (error) {
      await example[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #initialize(): Promise<void> {
    await buildProvider(join(this.#place.directory, "mirror"));
    const { directory } = this.#run;
    for (const part of ["terraform/modules", "terraform/examples"]) cpSync(join(home, part), join(directory, part), { recursive: true, filter: (source) => !/\.terraform|tfstate/.test(source) });
    // The modules are part of an installation: that of this working tree.
    for (const name of ["bin", "node_modules"]) symlinkSync(join(home, name), join(directory, name));
    await this.#run.mustRun(at, "init", "-input=false", "-no-color");
  }

  /** Answers what terraform said. `options` are further words, such as `-var=…`. */
  async apply(...options: readonly string[]): Promise<string> {
    return (await this.#run.mustRun(at, "apply", "-auto-approve", ...this.#options, ...options)).out;
  }

  async plan(): Promise<PlannedChanges> {
    return await this.#run.plan({ folder, options: this.#options });
  }

  /** Addresses of what the state holds, but for what is only read. */
  async resources(): Promise<readonly string[]> {
    const { out } = await this.#run.mustRun(at, "state", "list");
    return out.split("\n").filter((address) => address !== "" && !/(^|\.)data\./.test(address));
  }

  /** What the storefront of eu-west answers; for `/stock` it asks, through its sidecar, whoever has stock. */
  async storefront(path: string): Promise<string> {
    const port = readFederationFile(this.dataDir)?.ports["eu-west-storefront.app"] ?? 0;
    return (await call(port, { host: "storefront", path })).body.trim();
  }

  /** `atoll …` by hand on the same federation, behind Terraform's back. */
  async atoll(...words: readonly string[]): Promise<CommandResult> {
    return await this.#place.atollWithin({ timeout: commandWithinMs }, "--data", this.dataDir, ...words);
  }

  processes(): readonly ProcessTrace[] {
    return livingProcesses(this.dataDir);
  }

  /** Destroys it, and answers by name what is left: of the state, the processes and the files. */
  async destroy(): Promise<readonly string[]> {
    const before = this.processes();
    await this.#run.mustRun(at, "destroy", "-auto-approve", ...this.#options);
    const files = existsSync(this.directory) ? [this.directory, ...readdirSync(this.directory, { recursive: true, encoding: "utf8" })] : [];
    const { out } = await this.#run.mustRun(at, "state", "list");
    return [...out.split("\n").filter((address) => address !== ""), ...before.filter(({ pid, identity }) => isSameProcess(pid, identity)).map(({ name }) => name), ...files];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is left to end after a destroy; after a failure this needs no terraform.
    if (existsSync(this.dataDir)) await endFederation(this.dataDir, systemClock, never);
    this.#run[Symbol.dispose]();
    this.#place[Symbol.dispose]();
  }
}

import { cpSync, existsSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { buildProvider } from "../../terraform/build-provider.ts";
import { TerraformRun, type PlannedChanges } from "../harness/terraform.ts";
import { home, Place } from "../harness/test-federation.ts";

const folder = "terraform/examples/three-regions";
const at = `-chdir=${folder}`;
const commandWithinMs = 120_000;

/**
 * `terraform/examples/three-regions` in a directory and under a name of its own, kept by the real terraform and the provider of this
 * working tree. Disposing removes its files; what runs is to have ended before.
 */
export class ThreeRegions implements Disposable {
  readonly #place = new Place();
  readonly #run: TerraformRun;
  readonly #options: readonly string[];
  /** The variable `name`. */
  readonly name = this.#place.name;
  /** The variable `directory`: not the place's own, since a destroy removes it. */
  readonly directory = join(this.#place.directory, "f");

  private constructor(program: string, variables: readonly string[], env: Readonly<Record<string, string>>) {
    this.#run = new TerraformRun(program, join(this.#place.directory, "mirror"), env);
    this.#options = ["-input=false", "-no-color", `-var=directory=${this.directory}`, `-var=name=${this.name}`, ...variables.map((variable) => `-var=${variable}`)];
  }

  /** Builds the provider and initializes the example; `program` is terraform. Nothing runs yet. */
  static async open(program: string, variables: readonly string[], env: Readonly<Record<string, string>>): Promise<ThreeRegions> {
    const example = new ThreeRegions(program, variables, env);
    try {
      await example.#initialize();
      return example;
    } catch (error) {
      example[Symbol.dispose]();
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
    return (await this.#state()).filter((address) => !/(^|\.)data\./.test(address));
  }

  /** `atoll …` by hand, behind Terraform's back. @throws Error with what it said, when it fails */
  async atoll(...words: readonly string[]): Promise<void> {
    const { code, stderr } = await this.#place.atollWithin({ timeout: commandWithinMs }, ...words);
    if (code !== 0) throw new Error(`atoll ${words.join(" ")} ended with ${code}: ${stderr.trim()}`);
  }

  /** Destroys it, and answers by name what is left of the state and the files. `options` are further words, such as `-target=…`. */
  async destroy(...options: readonly string[]): Promise<readonly string[]> {
    await this.#run.mustRun(at, "destroy", "-auto-approve", ...this.#options, ...options);
    const files = existsSync(this.directory) ? [this.directory, ...readdirSync(this.directory, { recursive: true, encoding: "utf8" })] : [];
    return [...(await this.#state()), ...files];
  }

  async #state(): Promise<readonly string[]> {
    const { out } = await this.#run.mustRun(at, "state", "list");
    return out.split("\n").filter((address) => address !== "");
  }

  [Symbol.dispose](): void {
    this.#run[Symbol.dispose]();
    this.#place[Symbol.dispose]();
  }
}

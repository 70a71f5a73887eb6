import { spawn } from "node:child_process";
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

const home = join(import.meta.dirname, "..", "..");

/** The terraform on PATH, or undefined where there is none. */
export function terraformOnPath(): string | undefined {
  return (process.env["PATH"] ?? "").split(delimiter).map((directory) => join(directory, "terraform")).find(isExecutable);
}

/** The same for tests: that there is none is said on standard error, and a failure under CI=true. */
export function findTerraform(): string | undefined {
  const found = terraformOnPath();
  if (found !== undefined) return found;
  const said = "terraform is not on PATH: the provider's acceptance tests are left out";
  if (process.env["CI"] === "true") throw new Error(said);
  process.stderr.write(`${said}\n`);
  return undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export interface TerraformResult {
  readonly code: number | null;
  readonly out: string;
  /** What it complained of: each summary with its detail, and where. */
  readonly diagnostics: readonly { readonly severity: string; readonly summary: string; readonly detail: string; readonly where: string }[];
}

/** What a plan would do, without what stays as it is. */
export interface PlannedChanges {
  /** Addresses with their actions. */
  readonly resources: readonly string[];
  /** Names of outputs that would become something else, as far as that is known. */
  readonly outputs: readonly string[];
}

/** A directory with a configuration and a state, and the real terraform run in it. */
export class TerraformRun implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "atoll-terraform-"));
  readonly #program: string;
  readonly #mirror: string;
  readonly #env: Readonly<Record<string, string | undefined>>;

  /** `mirror` is where `buildProvider` has put the bundle. */
  constructor(program: string, mirror: string, env: Readonly<Record<string, string>>) {
    this.#program = program;
    this.#mirror = mirror;
    const rc = join(this.directory, "terraform.rc");
    writeFileSync(rc, `provider_installation {\n  filesystem_mirror {\n    path    = ${JSON.stringify(this.#mirror)}\n    include = ["registry.terraform.io/*/*"]\n  }\n}\ndisable_checkpoint = true\n`);
    this.#env = {
      ...process.env,
      // The bundle runs by the node on PATH.
      PATH: [join(home, "node_modules", "node", "bin"), process.env["PATH"]].join(delimiter),
      TF_CLI_CONFIG_FILE: rc,
      TF_IN_AUTOMATION: "1",
      CHECKPOINT_DISABLE: "1",
      ...env,
    };
  }

  /** Writes a file of the configuration. */
  write(name: string, text: string): void {
    mkdirSync(join(this.directory, name, ".."), { recursive: true });
    writeFileSync(join(this.directory, name), text);
  }

  /** Runs a command to its end. Diagnostics are read where the command speaks JSON (`-json`). */
  async run(...words: readonly string[]): Promise<TerraformResult> {
    const child = spawn(this.#program, words, { cwd: this.directory, env: this.#env, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (out += text));
    const code = await new Promise<number | null>((resolve, reject) => child.once("error", reject).once("close", resolve));
    return { code, out, diagnostics: readDiagnostics(out) };
  }

  /** Runs a command that must succeed. @throws {Error} with what it said. */
  async mustRun(...words: readonly string[]): Promise<TerraformResult> {
    const result = await this.run(...words);
    if (result.code !== 0) throw new Error(`terraform ${words.join(" ")} ended with ${result.code}:\n${result.out}`);
    return result;
  }

  async init(): Promise<void> {
    await this.mustRun("init", "-input=false", "-no-color");
  }

  async apply(): Promise<TerraformResult> {
    return await this.mustRun("apply", "-auto-approve", "-input=false", "-no-color");
  }

  /** What a plan would change of the resources. */
  async plannedChanges(): Promise<readonly string[]> {
    return (await this.plan({})).resources;
  }

  /** What a plan would change in the configuration below `folder`; `options` are further words for it. */
  async plan({ folder = ".", options = [] }: { readonly folder?: string; readonly options?: readonly string[] }): Promise<PlannedChanges> {
    const at = `-chdir=${folder}`;
    await this.mustRun(at, "plan", "-input=false", "-no-color", "-out=plan.bin", ...options);
    const plan = JSON.parse((await this.mustRun(at, "show", "-json", "plan.bin")).out) as PlanText;
    const stays = ({ actions }: Change): boolean => actions.join() === "no-op" || actions.join() === "read";
    return {
      resources: (plan.resource_changes ?? []).flatMap(({ address, change }) => (stays(change) ? [] : [`${address}: ${change.actions.join("+")}`])),
      outputs: Object.entries(plan.output_changes ?? {}).flatMap(([name, change]) => (stays(change) ? [] : [name])),
    };
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

interface Change {
  readonly actions: readonly string[];
}

interface PlanText {
  readonly resource_changes?: readonly { readonly address: string; readonly change: Change }[];
  readonly output_changes?: Readonly<Record<string, Change>>;
}

interface JsonLine {
  readonly diagnostic?: { readonly severity: string; readonly summary: string; readonly detail?: string; readonly snippet?: { readonly code: string } };
  readonly diagnostics?: readonly NonNullable<JsonLine["diagnostic"]>[];
}

function readDiagnostics(out: string): TerraformResult["diagnostics"] {
  const lines = out.trimStart().startsWith("{\n") ? [out] : out.split("\n");
  const found = lines.flatMap((line) => {
    try {
      const { diagnostic, diagnostics } = JSON.parse(line) as JsonLine;
      return [...(diagnostic === undefined ? [] : [diagnostic]), ...(diagnostics ?? [])];
    } catch {
      return [];
    }
  });
  return found.map(({ severity, summary, detail, snippet }) => ({ severity, summary, detail: detail ?? "", where: snippet?.code.trim() ?? "" }));
}

import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { provisioningLimits } from "#federation/model/provisioning-token.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { DriveOptions } from "./commands/drive-rotation.ts";
import { runApply, runDelete, runDescribe, runGet, type ClusterOption, type DryRunOption, type StrictOption } from "./commands/resources.ts";
import { runAudit } from "./commands/audit.ts";
import { runCheck, runProxyStatus, runStatus } from "./commands/status.ts";
import { completionScript, completionTable } from "./commands/completion.ts";
import { runBootstrap, type BootstrapCommandOptions } from "./commands/bootstrap.ts";
import { runRenewIssuingCommand, type RenewIssuingOptions } from "./commands/renew-issuing.ts";
import { runRenewEngines, type RenewEnginesOptions } from "./commands/renew-engines.ts";
import { runSecureEngines, type SecureEnginesOptions } from "./commands/secure-engines.ts";
import { runDown, runUp, type UpOptions } from "./commands/lifecycle.ts";
import { runRollback, type RollbackCommandOptions } from "./commands/rollback.ts";
import { runWait, waitSecondsUsual, type WaitCommandOptions, type WaitOption } from "./commands/wait.ts";
import { runBackup, runBackupKey, type BackupOptions } from "./commands/backup.ts";
import { runRestore, type RestoreOptions } from "./commands/restore.ts";
import { runReconcile, type ReconcileOptions } from "./commands/reconcile.ts";
import { runWithdrawals, type WithdrawalsOptions } from "./commands/withdrawals.ts";
import { runExplain } from "./commands/explain.ts";
import { runTokenList, runTokenRevoke } from "./commands/provisioning.ts";
import { runApprove, runRelationshipShow } from "./commands/relationship.ts";
import { runBundleList } from "./commands/trust-bundle-list.ts";
import { runBundleShow } from "./commands/trust-bundle.ts";
import { runTrustRotate } from "./commands/trust-rotate.ts";
import { runTrustStatus } from "./commands/trust-status.ts";
import { runDeclare, runTokenCreate, runWithdraw, type TokenCreateOptions } from "./commands/trust.ts";
import { demoRegion } from "./demo/demo-plan.ts";
import { runDemo, runDrill } from "./demo/demo.ts";
import { parseTimeoutSeconds } from "./duration.ts";
import { parseLifeSeconds } from "./life-seconds.ts";
import { readFederation, readLocalPlan } from "./described-federation.ts";
import { engineMembers } from "./up/engine-plan.ts";
import { defaultFederationName, type CommandContext, type OutputFormat } from "./context.ts";

/** The flags that every command has. */
export interface GlobalFlags {
  readonly name: string;
  readonly data?: string;
  readonly context?: string;
  readonly output: OutputFormat;
  readonly color: boolean;
}

/** How the program gets from flags to a context, and where the exit code goes. */
export interface ProgramHooks {
  readonly version: string;
  createContext(flags: GlobalFlags): CommandContext;
  setExitCode(code: number): void;
}

/** The command line as commander has it. */
export function createProgram(hooks: ProgramHooks): Command {
  const program = new Command("atoll");
  program
    .description("A service-mesh federation of many clusters and regions.")
    .version(hooks.version, "--version", "show the version")
    .option("--name <name>", "which federation on this machine", defaultFederationName)
    .option("--data <directory>", "its directory, instead of ~/.local/state/atoll/<name>")
    .option("--context <file>", "a federation on other machines: JSON that says where its planes are")
    .addOption(new Option("-o, --output <format>", "form of the output").choices(["table", "json", "yaml"]).default("table"))
    .option("--no-color", "no colours (also by NO_COLOR)")
    .helpCommand("help [command]", "show help for a command")
    .showHelpAfterError("(`atoll help` lists the commands)")
    .exitOverride();

  /** Every action ends here: its context is made from the flags, its result is the exit code. */
  const run: Run = async (action, name) => {
    const flags = program.opts<GlobalFlags>();
    const isNamed = name === undefined || program.getOptionValueSource("name") !== "default";
    hooks.setExitCode(await action(hooks.createContext(isNamed ? flags : { ...flags, name })));
  };
  addLifecycle(program, run);
  addResources(program, run);
  addAudit(program, run);
  addRouting(program, run);
  addTrust(program, run);
  program
    .command("completion <shell>")
    .description("print a completion script: bash, zsh or fish")
    .action((shell: string) =>
      run(async (context) => {
        context.terminal.raw(completionScript(shell, completionTable(program)));
        return 0;
      }),
    );
  program
    .command("version")
    .description("show the version")
    .action(() =>
      run(async (context) => {
        context.terminal.print(context.output === "json" ? JSON.stringify({ version: context.version, node: process.version }) : `atoll ${context.version} (Node ${process.version})`);
        return 0;
      }),
    );
  return program;
}

function parseEngines(text: string): boolean {
  if (text !== "etcd,nats") throw new InvalidArgumentError("there is etcd,nats.");
  return true;
}

function parseMembers(text: string): number {
  const members = engineMembers.find((count) => String(count) === text);
  if (members === undefined) throw new InvalidArgumentError(`there is ${engineMembers.join(" or ")}.`);
  return members;
}

/** @throws {ATOLL_USAGE} when there are no engines to have members. */
function requireEngines<Options extends Pick<UpOptions, "engines" | "members">>(options: Options): Options {
  if (options.members !== undefined && options.engines !== true) throw new AtollError("ATOLL_USAGE", "--members is how many of each engine there are, and the embedded ones are one each: give --engines etcd,nats");
  return options;
}

/** `name` stands for --name where that is not given. */
type Run = (action: (context: CommandContext) => Promise<number>, name?: string) => Promise<void>;

/** @throws {ATOLL_USAGE} for options that contradict the file; whatever `readFederation` and `readLocalPlan` throw. */
function upWith(file: string, options: UpOptions): { readonly name: string; readonly options: UpOptions } {
  if (options.rate !== undefined) throw new AtollError("ATOLL_USAGE", "--rate is for the demonstration's users; a federation of a file has none");
  const description = readFederation(file);
  if (options.engines === true && description.engines === "embedded") throw new AtollError("ATOLL_USAGE", `--engines etcd,nats, though ${file} says spec.engines.kind: embedded`);
  const source = resolve(file);
  const engines = options.engines === true || description.engines === "etcd-nats" ? { engines: true } : {};
  return { name: description.name, options: { ...options, ...engines, described: { source, plan: readLocalPlan(description, source) } } };
}

function addLifecycle(program: Command, run: Run): void {
  const portBase = (): Option => new Option("--port-base <port>", "first of 200 ports in a row (more for a large federation), instead of free ones").argParser(wholeNumber(1, 65_336));
  const rate = (): Option => new Option("--rate <requests>", "what all users send per second, instead of what this host carries").argParser(wholeNumber(10, 10_000));
  const engines = (): Option => new Option("--engines <engines>", "etcd,nats: real engines under the planes, instead of the embedded ones").argParser(parseEngines);
  const members = (): Option => new Option("--members <members>", "how many of each engine, 1 or 3: of three, one may be lost").argParser(parseMembers);
  program
    .command("up [file]")
    .description("start a federation on this machine, or what is dead of it: the demonstration, or what a file describes; after an edit, what it changes")
    .addOption(rate())
    .addOption(portBase())
    .addOption(engines())
    .addOption(members())
    .action((file: string | undefined, options: UpOptions) => {
      if (file === undefined) return run((context) => runUp(context, requireEngines(options)));
      const described = upWith(file, options);
      return run((context) => runUp(context, requireEngines(described.options)), described.name);
    });
  program
    .command("down")
    .description("end it, every process of it")
    .action(() => run(runDown));
  program
    .command("demo")
    .description("start it, and watch a region die and return")
    .option("--region <region>", "which one", demoRegion)
    .option("--once", "end the federation afterwards", false)
    .option("--report <file>", "write the drill's report as JSON")
    .addOption(rate())
    .addOption(portBase())
    .addOption(engines())
    .addOption(members())
    .action((options: UpOptions & { region: string; once: boolean; report?: string }) => run((context) => runDemo(context, requireEngines(options))));
  program
    .command("bootstrap <file>")
    .description("write everything that many machines need from the file that describes the federation")
    .requiredOption("--out <directory>", "where to")
    .option("--init", "make the federation's keys there unless there are some, and new certificates for its engines", false)
    .option("--home <directory>", "where Atoll is installed on the machines", "/opt/atoll")
    .option("--compose", "write a compose file too, that runs all machines as containers here", false)
    .action((file: string, options: BootstrapCommandOptions) => run((context) => runBootstrap(context, file, options)));
  program
    .command("secure-engines [file]")
    .description("have each etcd of a federation on machines let its planes alone in, each to its own part")
    .option("--keys <directory>", "where `bootstrap --init` made the federation's keys", "keys")
    .option("--region <name>", "only the etcd that stands in this region; may be given several times", collect)
    .option("--configs <directory>", "in the place of a file: the configurations of all planes in these etcds, NAME.json each")
    .action((file: string | undefined, options: SecureEnginesOptions) => run((context) => runSecureEngines(context, file, options)));
  program
    .command("renew-engines <file>")
    .description("make another certificate for each engine on machines that has lived for half of its life; `renew-engines.sh` beside the file brings it there")
    .option("--out <directory>", "where `bootstrap --init` wrote everything", ".")
    .action((file: string, options: RenewEnginesOptions) => run((context) => runRenewEngines(context, file, options)));
  program
    .command("renew-issuing")
    .description("make another certificate for what the federation issues by, once half of its year is over; where the root's key is")
    .option("--keys <directory>", "where the federation's keys are", "keys")
    .option("--root-key <file>", "the root's key, in that directory unless told")
    .option("--force", "also before that, and where the root's end cuts it short", false)
    .action((options: RenewIssuingOptions) => run((context) => runRenewIssuingCommand(context, options)));
  program
    .command("status")
    .description("the whole federation, and what is wrong with it")
    .action(() => run(runStatus));
  program
    .command("check")
    .description("only what is wrong, or soon will be; exit code 1 when anything is wrong")
    .action(() => run(runCheck));
  program
    .command("backup <plane>")
    .description("write what a plane's store (global, or a cluster's) holds to a file, as of one revision and without its keys and tokens")
    .requiredOption("--to <file>", "where to; it must not be there yet")
    .option("--passphrase-file <file>", "encrypt it with what this file holds, 16 characters at least")
    .option("--recipient <recipient>", "encrypt it for the owner of a key, as `backup-key` prints it; may be given several times", collect)
    .action((plane: string, options: BackupOptions) => run((context) => runBackup(context, plane, options)));
  program
    .command("backup-key")
    .description("make a key that opens backups, and print the recipient that backups are encrypted for")
    .requiredOption("--to <file>", "where the key goes; it must not be there yet")
    .action((options: { readonly to: string }) => run((context) => runBackupKey(context, options)));
  program
    .command("restore <plane>")
    .description("fill the store of a plane on this machine from a backup; it then waits for `reconcile`")
    .requiredOption("--from <file>", "the backup")
    .option("--passphrase-file <file>", "what it was encrypted with")
    .option("--key-file <file>", "the key that it was encrypted for")
    .action((plane: string, options: RestoreOptions) => run((context) => runRestore(context, plane, options)));
  program
    .command("reconcile [plane]")
    .description("which planes' stores are behind what was witnessed of them; with a decision, what to do about one (global, or a cluster)")
    .option("--keep", "go on with the store as it is, but for what was revoked since", false)
    .option("--take-newer", "read back what other planes hold of it; a cluster whose store is sound takes what it lacks", false)
    .option("--without <plane>", "do not ask this plane what it holds; may be given several times", collect)
    .action((plane: string | undefined, options: ReconcileOptions) => run((context) => runReconcile(context, plane, options)));
  program
    .command("withdrawals [plane]")
    .description("what planes (global, or a cluster) hold although it was withdrawn, because too much went at once without a signed deletion")
    .option("--of <publisher>", "only what this plane has withdrawn")
    .option("--let-go", "remove it where it is held", false)
    .action((plane: string | undefined, options: WithdrawalsOptions) => run((context) => runWithdrawals(context, plane, options)));
}

function addResources(program: Command, run: Run): void {
  const timeout = (): Option => new Option("--timeout <time>", `how long to wait: 90s, 5m, or seconds; ${waitSecondsUsual}s unless told`).argParser(parseTimeoutSeconds);
  const cluster = (): Option => new Option("--cluster <name>", "at this cluster's plane; may be given several times").argParser(collect);
  program
    .command("apply")
    .description("make resources what YAML files say")
    .requiredOption("-f, --file <file>", "YAML file, - for standard input; may be given several times", collect)
    .addOption(cluster())
    .option("--dry-run", "have the planes judge it, and write nothing", false)
    .option("--strict", "write nothing where a policy names what does not exist, or is for what another one is for", false)
    .option("--wait", "until the clusters and their proxies have it", false)
    .addOption(timeout())
    .action((options: { file: readonly string[] } & ClusterOption & DryRunOption & StrictOption & WaitOption) => run((context) => runApply(context, options)));
  program
    .command("wait <kind/name>")
    .description("until the clusters, and their proxies, have a resource as it is now")
    .addOption(cluster())
    .addOption(timeout())
    .option("--deleted", "until nobody has it any more", false)
    .action((resource: string, options: WaitCommandOptions) => run((context) => runWait(context, resource, options)));
  program
    .command("rollback <kind/name>")
    .description("put back the form that a resource had before, as a new write; also of one that was deleted")
    .addOption(cluster())
    .option("--to <generation>", "this one, of those that --list shows", wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option("--list", "show the forms that are kept, and write nothing", false)
    .option("--dry-run", "have the planes judge it, and write nothing", false)
    .action((resource: string, options: RollbackCommandOptions) => run((context) => runRollback(context, resource, options)));
  program
    .command("get <kind> [name]")
    .description("list resources of a kind, or one")
    .addOption(cluster())
    .action((kind: string, name: string | undefined, options: ClusterOption) => run((context) => runGet(context, kind, name, options)));
  program
    .command("describe <kind> <name>")
    .description("everything of a resource, with its conditions")
    .addOption(cluster())
    .action((kind: string, name: string, options: ClusterOption) => run((context) => runDescribe(context, kind, name, options)));
  program
    .command("delete <kind> <name>")
    .description("delete a resource")
    .addOption(cluster())
    .option("--dry-run", "have the planes judge it, and delete nothing", false)
    .option("--wait", "until the clusters and their proxies are rid of it", false)
    .addOption(timeout())
    .action((kind: string, name: string, options: ClusterOption & DryRunOption & WaitOption) => run((context) => runDelete(context, kind, name, options)));
}

function addAudit(program: Command, run: Run): void {
  program
    .command("audit")
    .description("who changed what: the mutations that a plane was asked for, newest first")
    .option("--cluster <name>", "of this cluster's plane, instead of the global plane's")
    .option("--limit <entries>", "how many", wholeNumber(1, 1_000), 50)
    .action((options: { cluster?: string; limit: number }) => run((context) => runAudit(context, options)));
}

function addRouting(program: Command, run: Run): void {
  program
    .command("explain <service>")
    .description("which places a service has, and why this one is taken")
    .requiredOption("--from <region>", "where the caller is")
    .option("--cluster <name>", "ask this cluster's plane")
    .action((service: string, options: { from: string; cluster?: string }) => run((context) => runExplain(context, service, options)));
  const drill = program.command("drill").description("rehearse failures");
  drill
    .command("run <drill>")
    .description("run a drill: region-loss")
    .requiredOption("--region <region>", "which region")
    .option("--outage <seconds>", "how long it stays dead", wholeNumber(1, 3_600), 8)
    .option("--report <file>", "write the report as JSON")
    .action((name: string, options: { region: string; outage: number; report?: string }) => {
      if (name !== "region-loss") throw new AtollError("ATOLL_USAGE", `there is no drill ${JSON.stringify(name)}; there is region-loss`);
      return run((context) => runDrill(context, { region: options.region, outageSeconds: options.outage, ...(options.report === undefined ? {} : { report: options.report }) }));
    });
  program
    .command("proxy")
    .description("look at proxies")
    .command("status")
    .description("every proxy and what it has applied")
    .action(() => run(runProxyStatus));
}

function addTrust(program: Command, run: Run): void {
  const token = program.command("token").description("join tokens");
  token
    .command("create <purpose>")
    .description("make one for cluster:NAME, enrolment:NAME, workload:NAMESPACE/ACCOUNT or gateway")
    .option("--cluster <name>", "the cluster whose plane makes it")
    .option("--uses <n>", "for so many instances; one that works once unless told", wholeNumber(1, provisioningLimits.usesMax))
    .option("--life <time>", "how long it works: 90s, 30m, 24h, 7d, or seconds", parseLifeSeconds)
    .option("--cidr <network>", "where its users may come from; may be given more than once", collect)
    .action((purpose: string, options: TokenCreateOptions) => run((context) => runTokenCreate(context, purpose, options)));
  token
    .command("list")
    .description("the tokens for many instances, and how much they were used")
    .option("--cluster <name>", "of this cluster's plane; of the global plane unless told")
    .action((options: { cluster?: string }) => run((context) => runTokenList(context, options)));
  token
    .command("revoke <id>")
    .description("end a token for many instances at once")
    .option("--cluster <name>", "at this cluster's plane; at the global plane unless told")
    .action((id: string, options: { cluster?: string }) => run((context) => runTokenRevoke(context, id, options)));
  const trust = program.command("trust").description("by what identities are verified");
  trust
    .command("status [trust-domain]")
    .description("by which roots of its own trust domain each cluster goes, and which clusters lack the newest")
    .action((trustDomain: string | undefined) => run((context) => runTrustStatus(context, trustDomain)));
  trust
    .command("rotate <trust-domain>")
    .description("give a trust domain another root, step by step, each once every cluster and its proxies are ready")
    .option("--resume", "go on with a rotation that is on its way", false)
    .option("--timeout <seconds>", "give up waiting after so long; the rotation stays where it is", wholeNumber(1, 1_000_000))
    .action((trustDomain: string, options: DriveOptions) => run((context) => runTrustRotate(context, trustDomain, options)));
  const bundle = trust.command("bundle").description("bundles of trust domains");
  bundle
    .command("show <trust-domain>")
    .description("print a trust domain's bundle as a SPIFFE bundle document, by which others verify its identities")
    .option("--cluster <name>", "as this cluster's plane has it; as its signer's unless told")
    .action((trustDomain: string, options: { cluster?: string }) => run((context) => runBundleShow(context, trustDomain, options)));
  bundle
    .command("list")
    .description("whose identities each cluster can verify: by which bundles, from where, and how old what it knows is")
    .option("--cluster <name>", "of this cluster alone; may be given more than once", collect)
    .action((options: { cluster?: readonly string[] }) => run((context) => runBundleList(context, options)));
  const relationship = program.command("relationship").description("trust between trust domains");
  relationship
    .command("declare <file>")
    .description("apply the relationships of a federation's file, with the authorities that its signers have now")
    .action((file: string) => run((context) => runDeclare(context, file)));
  relationship
    .command("show <name>")
    .description("what of a relationship is in force, and what is proposed and waits for whose approval")
    .action((name: string) => run((context) => runRelationshipShow(context, name)));
  relationship
    .command("approve <name>")
    .description("show what a relationship proposes, and sign exactly that for a trust domain whose signer is here")
    .requiredOption("--as <trust-domain>", "for which side; may be given twice", collect)
    .option("--terms <digest>", "nothing but these terms, as `relationship show` has named them")
    .action((name: string, options: { as: readonly string[]; terms?: string }) => run((context) => runApprove(context, name, options)));
  relationship
    .command("withdraw <name>")
    .description("take back what a trust domain, whose signer is here, has approved")
    .requiredOption("--as <trust-domain>", "for which side; may be given twice", collect)
    .action((name: string, options: { as: readonly string[] }) => run((context) => runWithdraw(context, name, options)));
}

function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < min || value > max) throw new InvalidArgumentError(`expected a whole number from ${min} to ${max}.`);
    return value;
  };
}

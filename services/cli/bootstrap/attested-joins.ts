import type { HostDescription, JoinSourceDescription } from "#federation/model/federation-description.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { parseTokenPurpose } from "../commands/token-purpose.ts";
import { planeName } from "../up/planned-process.ts";
import { hostPort, type Machine, type MachineLayout, type MachineProcess, type MachineToken } from "./machine-layout.ts";

/** One way in: which process joins where, as what. */
interface Join {
  readonly host: HostDescription;
  readonly process: MachineProcess;
  readonly token: MachineToken;
  /** Name of the plane's process. */
  readonly plane: string;
}

/**
 * The layout with evidence in the place of tokens on those machines that their cloud vouches for: what joins there names the plane, the
 * root and the evidence, and each plane has a rule for each machine that joins at it. `rootSha256` is the hash of the federation's root
 * certificate. Pure.
 * @throws {ATOLL_USAGE} when there is such a machine and no root yet, or two processes of one would come to one plane with one document.
 */
export function withAttestedJoins(layout: MachineLayout, rootSha256: string | undefined): MachineLayout {
  const joins = layout.machines.flatMap(joinsOf);
  if (joins.length === 0) return layout;
  if (rootSha256 === undefined) {
    throw new AtollError("ATOLL_USAGE", `what stands on ${[...new Set(joins.map(({ host }) => host.name))].join(", ")} joins by what its cloud signs, and has to know the federation's root: make it first, with --init`);
  }
  refuseSharedDocuments(joins);
  const attest = new AttestParts(layout, rootSha256);
  const machines = layout.machines.map((machine) => ({
    ...machine,
    processes: machine.processes.map((process) => {
      const own = machine.host.join === undefined ? process : attest.joining(machine.host, process);
      const here = joins.filter(({ plane }) => plane === process.name);
      return here.length === 0 ? own : { ...own, config: { ...own.config, attestation: attest.admitting(here) } };
    }),
  }));
  return { ...layout, machines };
}

/** Name of the process at which a token, and what takes its place, is shown. */
function planeOf({ cluster }: MachineToken): string {
  return cluster === undefined ? "global" : planeName(cluster);
}

function joinsOf({ host, processes }: Machine): readonly Join[] {
  if (host.join === undefined) return [];
  return processes.flatMap((process) => process.tokens.map((token) => ({ host, process, token, plane: planeOf(token) })));
}

/** A plane ties a document to the first key that comes with it, and a machine may have but one document for a long time. */
function refuseSharedDocuments(joins: readonly Join[]): void {
  for (const [first, second] of Map.groupBy(joins, ({ host, plane }) => `${host.name} ${plane}`).values()) {
    if (first === undefined || second === undefined) continue;
    throw new AtollError("ATOLL_USAGE", `host ${first.host.name} joins by its document, which is of use to one process at each plane, and both ${first.process.name} and ${second.process.name} join at ${first.plane}: give one of them another host, or the host tokens`);
  }
}

/** The parts of configurations that say by what evidence one joins, and who is let in by it. */
class AttestParts {
  readonly #layout: MachineLayout;
  readonly #rootSha256: string;

  constructor(layout: MachineLayout, rootSha256: string) {
    this.#layout = layout;
    this.#rootSha256 = rootSha256;
  }

  /** The process without tokens. */
  joining(host: HostDescription, process: MachineProcess): MachineProcess {
    return { ...process, tokens: [], config: process.tokens.reduce((config, token) => this.#without(config, token, host), process.config) };
  }

  admitting(joins: readonly Join[]): object {
    const names = [...new Set(joins.map(({ host }) => host.join?.source ?? ""))];
    const rules = joins.map(({ host, token }) => ({ source: host.join?.source, facts: host.join?.facts, gives: parseTokenPurpose(token.purpose) }));
    return { sources: Object.fromEntries(names.map((name) => [name, this.#source(name)])), rules };
  }

  #without(config: MachineProcess["config"], token: MachineToken, host: HostDescription): MachineProcess["config"] {
    const attest = { addresses: [this.#joinAddress(token)], rootSha256: this.#rootSha256, evidence: evidenceOf(this.#source(host.join?.source ?? "")) };
    const { joinTokenFile: _, globalJoinTokenFile: __, ...rest } = config;
    switch (parseTokenPurpose(token.purpose).kind) {
      case "cluster":
        return { ...rest, globalJoinAttest: attest };
      case "enrolment":
        return { ...rest, signer: { kind: "remote", attest } };
      case "workload":
      case "gateway":
        break;
    }
    return { ...rest, joinAttest: attest };
  }

  #source(name: string): JoinSourceDescription {
    const source = this.#layout.placement.joinSources[name];
    if (source === undefined) throw new Error(`there is no source ${name}: the description was not checked`);
    return source;
  }

  #joinAddress(token: MachineToken): string {
    for (const { host, processes } of this.#layout.machines) {
      const listen = processes.find(({ name }) => name === planeOf(token))?.config["listen"] as { readonly joinPort: number } | undefined;
      if (listen !== undefined) return hostPort(host.address, listen.joinPort);
    }
    throw new Error(`there is no ${planeOf(token)} in the layout`);
  }
}

/** What a joiner of that source's cloud shows. */
function evidenceOf(source: JoinSourceDescription): object {
  return source.kind === "google" ? { kind: source.kind, audience: source.audience } : { kind: source.kind };
}

import { rollbackRoutes, type FormerFormRow } from "#federation/admin-api/rollback-routes.ts";
import { kindInfos, resourceId, type Kind } from "#federation/model/resource.ts";
import type { ResourcePath } from "#federation/admin-api/resource-path.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { CommandContext } from "../context.ts";
import { printRows } from "../output.ts";
import type { Planes } from "../planes.ts";
import type { Column } from "../table.ts";
import { withFederation } from "./federation.ts";
import { parseKindAndName } from "./kind-names.ts";
import { owningPlanes } from "./owning-planes.ts";

export interface RollbackCommandOptions {
  readonly cluster?: readonly string[];
  readonly to?: number;
  readonly list: boolean;
  readonly dryRun: boolean;
}

/** `atoll rollback KIND/NAME`. */
export async function runRollback(context: CommandContext, text: string, { cluster: clusters = [], to, list, dryRun }: RollbackCommandOptions): Promise<number> {
  const { kind, path } = parseKindAndName(text);
  const targets = owningPlanes(kind, clusters, "put back what it comes from");
  if (kindInfos[kind].owner === "global" && clusters.length > 0) throw new AtollError("ATOLL_USAGE", `a ${kind} belongs to the whole federation: leave --cluster out`);
  if (list && (to !== undefined || dryRun)) throw new AtollError("ATOLL_USAGE", "--list writes nothing: leave --to and --dry-run out");
  return await withFederation(context, async ({ planes }) => {
    if (list) await printForms(context, planes, { kind, path, targets });
    else await putBack(context, planes, { kind, path, targets, to, dryRun });
    return 0;
  });
}

interface Subject {
  readonly kind: Kind;
  readonly path: ResourcePath;
  readonly targets: readonly string[];
}

interface FormLine extends FormerFormRow<Kind> {
  readonly plane: string;
}

async function printForms(context: CommandContext, planes: Planes, { kind, path, targets }: Subject): Promise<void> {
  const lines: FormLine[] = [];
  for (const plane of targets) {
    const { forms } = (await planes.plane(plane).call(rollbackRoutes(kind).history, { params: path }, context.signal)).body;
    lines.push(...forms.map((form) => ({ ...form, plane })));
  }
  const columns: readonly Column<FormLine>[] = [
    { title: "GENERATION", value: (row) => String(row.generation), align: "right" },
    { title: "AT", value: (row) => row.plane },
    { title: "REVISION", value: (row) => String(row.revision), align: "right" },
    { title: "ENDED BY", value: (row) => (row.deleted ? "deletion" : "another form") },
  ];
  printRows(context, lines, columns);
}

async function putBack(context: CommandContext, planes: Planes, { kind, path, targets, to, dryRun }: Subject & Pick<RollbackCommandOptions, "dryRun"> & { readonly to: number | undefined }): Promise<void> {
  const rows: { readonly kind: Kind; readonly id: string; readonly plane: string; readonly generation: number; readonly outcome: string }[] = [];
  for (const plane of targets) {
    const { body, outcome } = await planes.plane(plane).call(rollbackRoutes(kind).rollback, { params: path, query: dryRun ? { dryRun } : {}, body: to === undefined ? {} : { to } }, context.signal);
    rows.push({ kind, id: resourceId(path), plane, generation: body.metadata.generation ?? 0, outcome: outcome ?? "changed" });
  }
  printRows(context, rows, [
    { title: "KIND", value: (row) => row.kind },
    { title: "NAME", value: (row) => row.id },
    { title: "AT", value: (row) => row.plane },
    { title: "GENERATION", value: (row) => String(row.generation), align: "right" },
    { title: "OUTCOME", value: (row) => row.outcome },
  ]);
  if (dryRun) context.terminal.note("A dry run: nothing was written.");
}

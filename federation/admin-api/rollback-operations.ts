import { AtollError } from "#federation/runtime/errors.ts";
import { resourceId, type Kind, type KindOfTrust, type ResourceKinds } from "#federation/model/resource.ts";
import { scopeOfResource } from "./resource-scope.ts";
import { changeOf, ofPresent, type Present, type ResourceBackend, type ResourceOptions } from "./resource-routes.ts";
import { rollbackRoutes } from "./rollback-routes.ts";
import { implement, type Operation } from "./route.ts";

/** A form that a resource had before, as a plane's catalog keeps it. */
interface Former<K extends Kind> {
  readonly resource: ResourceKinds[K];
  readonly revision: number;
  readonly isDeleted: boolean;
}

/** Where the former forms of one resource are read, the newest first. */
export type ReadFormerForms<K extends Kind> = (id: string, signal: AbortSignal) => Promise<readonly Former<K>[]>;

/** Shows the former forms of the resources of `kind`, and puts one back: as a write of its own, by whoever may write it, judged as any other. */
export function rollbackOperations<K extends Kind>(kind: K, backend: ResourceBackend<K>, formerForms: ReadFormerForms<K>, options: ResourceOptions<K> = {}): readonly Operation[] {
  const routes = rollbackRoutes(kind);
  const { admission = {}, trustDomain } = options;
  return [
    implement(routes.history, async ({ params }, signal) => ({ body: { forms: (await formerForms(resourceId(params), signal)).map(({ resource, revision, isDeleted }) => ({ generation: generationOf(resource), revision, deleted: isDeleted, resource })) } })),
    implement(routes.rollback, async ({ params, query, body, demand, ...request }, signal) => {
      const id = resourceId(params);
      const { before, result } = await ofPresent(backend, id, request, signal, async (present, ifRevision) => {
        // Read after the present form: another write in between makes the write below fail, and is judged anew.
        const { resource } = chosenForm(kind, id, await formerForms(id, signal), present, body.to);
        demand(scopeOfResource(resource, trustDomain));
        if (present !== undefined) demand(scopeOfResource(present.value, trustDomain));
        await admission.apply?.(resource, signal);
        return await backend.apply(resource, { ...(ifRevision === undefined ? {} : { ifRevision }), dryRun: query.dryRun ?? false }, signal);
      });
      const { outcome, resource } = result;
      const { revision } = resource.metadata;
      return { body: resource, status: outcome === "created" ? 201 : 200, ...(revision === undefined ? {} : { revision }), change: changeOf(kind, id, { outcome, before, after: resource }) };
    }),
  ];
}

/** Nothing of these is put back. */
export function refusedRollback(kind: KindOfTrust): Operation {
  return implement(rollbackRoutes(kind).rollback, async ({ params }) => {
    throw new AtollError("ATOLL_ROLLBACK_REFUSED", `${kind} ${resourceId(params)} says who is believed or may do what, and is written anew`);
  });
}

/** @throws {ATOLL_NOT_FOUND} naming the generations that are kept. */
function chosenForm<K extends Kind>(kind: K, id: string, forms: readonly Former<K>[], present: Present<K> | undefined, to: number | undefined): Former<K> {
  // What was kept when it was deleted is no form before the present one, unless it is asked for.
  const found = to === undefined ? (forms.find(({ isDeleted }) => isDeleted === (present === undefined)) ?? forms[0]) : forms.find(({ resource }) => generationOf(resource) === to);
  if (found !== undefined) return found;
  const kept = forms.map(({ resource }) => generationOf(resource)).join(", ");
  throw new AtollError("ATOLL_NOT_FOUND", `there is no ${to === undefined ? "former form" : `generation ${to}`} of ${kind} ${id} to put back; kept: ${kept === "" ? "none" : kept}`);
}

function generationOf({ metadata }: ResourceKinds[Kind]): number {
  return metadata.generation ?? 1;
}

import { z } from "zod";
import type { Access } from "./access.ts";

/** What became of a mutation that somebody asked for. `interrupted`: the process ended before it was known. */
export const auditOutcomes = ["created", "changed", "unchanged", "deleted", "done", "refused", "failed", "interrupted"] as const;
export type AuditOutcome = (typeof auditOutcomes)[number];

/** Fields that a change may name; one of more says how many there are. */
export const changedFieldsMax = 64;

/** Who asked for what. */
export interface AuditRequest {
  /** RFC 3339. */
  readonly time: string;
  readonly requestId: string;
  readonly operationId: string;
  readonly access: Exclude<Access, "read">;
  readonly caller: { readonly by: "certificate" | "token"; readonly name: string; readonly roles: string };
  /** Of the connection. */
  readonly address: string;
  /** The path of the request, without its query. */
  readonly path: string;
  readonly dryRun: boolean;
}

/** What became of it. */
export interface AuditResult {
  readonly outcome: AuditOutcome;
  /** HTTP. */
  readonly status: number;
  /** Of a refusal or failure. */
  readonly code?: string;
  readonly kind?: string;
  readonly id?: string;
  readonly revisionBefore?: number;
  readonly revisionAfter?: number;
  /** Paths of what differs, such as `spec.locality.mode`; never a value. */
  readonly fields?: readonly string[];
}

/** One mutation as the trail shows it. `sequence` grows by at least one from entry to entry, and a gap means that lines are missing. */
export type AuditEntry = { readonly sequence: number } & AuditRequest & AuditResult;

/**
 * Where mutations are written down before they happen. A mutation is carried out only after `begin` has resolved, so that nothing is
 * changed that the trail does not show, whatever happens to the process or the disk in between.
 */
export interface AuditTrail {
  /** Writes who wants what, durably. @throws {ATOLL_AUDIT_UNAVAILABLE} and then nothing may be changed. */
  begin(request: AuditRequest): Promise<AuditTicket>;
  /** Newest first. `before` is the sequence of the last entry of the page before. @throws {ATOLL_AUDIT_UNAVAILABLE} */
  read(page: { readonly limit: number; readonly before?: number }): Promise<{ readonly entries: readonly AuditEntry[]; readonly hasMore: boolean }>;
}

/** A mutation that is under way. */
export interface AuditTicket {
  /** Writes what became of it. Never throws: the mutation has happened, and an entry without an end says that its end is not known. */
  end(result: AuditResult): Promise<void>;
}

/** What a handler says of its change; the server adds who and when. */
export type Change = Pick<AuditResult, "kind" | "id" | "revisionBefore" | "revisionAfter" | "fields"> & {
  readonly outcome: Exclude<AuditOutcome, "refused" | "failed" | "interrupted">;
};

const text = z.string().max(4_096);

/** One line's half of an entry, as the trail keeps it. */
export const auditRequestSchema: z.ZodType<AuditRequest> = z.object({
  time: text,
  requestId: text,
  operationId: text,
  access: z.enum(["write", "administer", "plane"]),
  caller: z.object({ by: z.enum(["certificate", "token"]), name: text, roles: text }),
  address: text,
  path: text,
  dryRun: z.boolean(),
});

export const auditResultSchema: z.ZodType<AuditResult> = z.object({
  outcome: z.enum(auditOutcomes),
  status: z.int(),
  code: z.exactOptional(text),
  kind: z.exactOptional(text),
  id: z.exactOptional(text),
  revisionBefore: z.exactOptional(z.int()),
  revisionAfter: z.exactOptional(z.int()),
  fields: z.exactOptional(z.array(text)),
});

export const auditEntrySchema: z.ZodType<AuditEntry> = z.intersection(z.intersection(z.object({ sequence: z.int().min(1) }), auditRequestSchema), auditResultSchema);

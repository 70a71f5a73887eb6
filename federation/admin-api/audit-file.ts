import { createReadStream } from "node:fs";
import { mkdir, open, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError, isAtollError } from "#federation/runtime/errors.ts";
import { isMissing } from "#federation/runtime/missing-file.ts";
import { writePrivateFile } from "#federation/runtime/private-file.ts";
import { writeAgainMs } from "#federation/runtime/kept-write.ts";
import { neededForChanges, writeTrialBytes, type WriteFailures } from "#federation/runtime/write-failures.ts";
import { AuditLines } from "./audit-lines.ts";
import { auditRequestSchema, auditResultSchema, type AuditEntry, type AuditRequest, type AuditResult, type AuditTicket, type AuditTrail } from "./audit.ts";

/** Bounds of a trail on disk: eight files of 16 MiB hold some 300,000 mutations. */
export const auditFileLimits = { fileBytes: 16 * 1024 * 1024, files: 8 } as const;

export interface AuditFileOptions {
  /** The newest file; older ones are `<path>.1` and up. */
  readonly path: string;
  /** Of the newest file, before the next begins. */
  readonly fileBytes?: number;
  readonly files?: number;
  /** Hears of each line that could not be written. Must not throw. */
  readonly onFailure: (error: unknown) => void;
}

/** A trail that is kept in files of this process. */
export interface AuditFile extends AuditTrail, AsyncDisposable {}


export interface PlaneAuditOptions {
  readonly dataDir: string;
  readonly failures: { inc(): void };
  readonly writeFailures: WriteFailures;
  readonly clock: Clock;
  readonly logger: { error(message: string, fields: Readonly<Record<string, unknown>>): void };
}

/**
 * The trail of a plane, under its data directory; a line that cannot be written is counted and logged. A trail that cannot be opened keeps no
 * plane from answering: mutations are refused until it can.
 */
export async function openPlaneAudit({ dataDir, failures, writeFailures, clock, logger }: PlaneAuditOptions): Promise<AuditFile> {
  const directory = join(dataDir, "audit");
  const closing = new AbortController();
  let opening: Promise<AuditFile> | undefined;
  let trial: Disposable | undefined;
  const failed = (error: unknown): void => {
    writeFailures.failed(neededForChanges.auditTrail, error);
    trial ??= clock.schedule(writeAgainMs, () => void tryAgain());
  };
  const onFailure = (error: unknown): void => {
    failures.inc();
    logger.error("A line of the audit trail could not be written.", { reason: describeError(error) });
    failed(error);
  };
  const opened = (): Promise<AuditFile> =>
    (opening ??= openAuditFile({ path: join(directory, "audit.jsonl"), onFailure }).catch((error: unknown) => {
      opening = undefined;
      onFailure(error);
      throw error;
    }));
  const tryAgain = async (): Promise<void> => {
    trial = undefined;
    if (closing.signal.aborted) return;
    const path = join(directory, "write-trial");
    try {
      await opened();
      await writePrivateFile(path, new Uint8Array(writeTrialBytes));
      await rm(path, { force: true });
      writeFailures.wrote(neededForChanges.auditTrail);
    } catch (error) {
      failed(error);
    }
  };
  await opened().catch(() => undefined);
  return {
    begin: async (request) => await (await opened()).begin(request),
    read: async (page) => await (await opened()).read(page),
    async [Symbol.asyncDispose]() {
      closing.abort();
      trial?.[Symbol.dispose]();
      await (await opening?.catch(() => undefined))?.[Symbol.asyncDispose]();
    },
  };
}

/** What a file holds: one JSON object a line, `begin` before a mutation and `end` after it, both under one sequence. */
type Line = ({ readonly stage: "begin" } & AuditRequest) | ({ readonly stage: "end"; readonly begins: number } & AuditResult);

/**
 * A trail in a file that only the owner may read (0600): each line is on the disk before `begin` resolves. Lines are numbered without a gap
 * across restarts and files, so that a later chain of hashes has what it binds. A torn last line, as a power cut leaves, is ended and stays.
 * @throws {ATOLL_AUDIT_UNAVAILABLE} when the file cannot be opened.
 */
export async function openAuditFile(options: AuditFileOptions): Promise<AuditFile> {
  const { path, fileBytes = auditFileLimits.fileBytes, files = auditFileLimits.files, onFailure } = options;
  const paths = Array.from({ length: files }, (_, index) => (index === 0 ? path : `${path}.${index}`));
  let lines: AuditLines;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const sequence = await lastSequence(paths);
    lines = await AuditLines.open({ paths, fileBytes, sequence, isTorn: await endsTorn(path) });
  } catch (cause) {
    throw unavailable(cause);
  }
  const write = (line: Line, isDurable: boolean): Promise<number> => lines.write(line, isDurable);

  return {
    async begin(request): Promise<AuditTicket> {
      let begins: number;
      try {
        begins = await write({ stage: "begin", ...request }, true);
      } catch (cause) {
        onFailure(cause);
        throw unavailable(cause);
      }
      // Not waited for on the disk: an end that a power cut takes away leaves an entry that says so.
      return { end: async (result) => void (await write({ stage: "end", begins, ...result }, false).catch(onFailure)) };
    },
    async read({ limit, before = Number.POSITIVE_INFINITY }) {
      try {
        return await readPage(paths, limit, before);
      } catch (cause) {
        throw isAtollError(cause) ? cause : unavailable(cause);
      }
    },
    async [Symbol.asyncDispose]() {
      await lines[Symbol.asyncDispose]();
    },
  };
}

async function readPage(paths: readonly string[], limit: number, before: number): Promise<{ readonly entries: readonly AuditEntry[]; readonly hasMore: boolean }> {
  const results = new Map<number, AuditResult>();
  const found: AuditEntry[] = [];
  for (const path of paths) {
    const begun: { readonly sequence: number; readonly request: AuditRequest }[] = [];
    for await (const { sequence, input } of linesOf(path)) {
      const { stage, begins, ...rest } = input;
      if (stage === "end" && typeof begins === "number") results.set(begins, auditResultSchema.parse(rest));
      else if (stage === "begin" && sequence < (found.at(-1)?.sequence ?? before)) begun.push({ sequence, request: auditRequestSchema.parse(rest) });
    }
    // Newest first, and an end is always in the same file as its beginning or in a newer one. A file that moved on meanwhile is read
    // twice, and what is in it only taken once.
    for (const { sequence, request } of begun.toReversed()) {
      if (found.length === limit) return { entries: found, hasMore: true };
      found.push({ sequence, ...request, ...(results.get(sequence) ?? { outcome: "interrupted", status: 0 }) });
    }
  }
  return { entries: found, hasMore: false };
}

/** The numbered lines of a file; what cannot be read as one was torn by a crash. */
async function* linesOf(path: string): AsyncGenerator<{ readonly sequence: number; readonly input: Readonly<Record<string, unknown>> }> {
  const stream = createReadStream(path, "utf8");
  try {
    for await (const text of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
      const line = parseLine(text);
      if (line !== undefined) yield line;
    }
  } catch (error) {
    if (!isMissing(error)) throw error;
  } finally {
    stream.destroy();
  }
}

function parseLine(text: string): { readonly sequence: number; readonly input: Readonly<Record<string, unknown>> } | undefined {
  try {
    const { sequence, ...input } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    return typeof sequence === "number" ? { sequence, input } : undefined;
  } catch {
    // Torn by a crash in the middle of its writing; the mutation was never carried out.
    return undefined;
  }
}

async function lastSequence(paths: readonly string[]): Promise<number> {
  for (const path of paths) {
    let highest = 0;
    for await (const { sequence } of linesOf(path)) highest = Math.max(highest, sequence);
    if (highest > 0) return highest;
  }
  return 0;
}

async function endsTorn(path: string): Promise<boolean> {
  await using file = await open(path, "a+", 0o600);
  const { size } = await file.stat();
  if (size === 0) return false;
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
  return buffer[0] !== 0x0a;
}

function unavailable(cause: unknown): AtollError {
  return new AtollError("ATOLL_AUDIT_UNAVAILABLE", `the audit trail cannot be used: ${describeError(cause)}`, { cause });
}

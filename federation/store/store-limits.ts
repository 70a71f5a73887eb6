import { AtollError } from "#federation/runtime/errors.ts";
import type { StoreTransaction } from "./store.ts";

/**
 * Bounds that every adapter keeps, so that what one store takes the others take too. They stand below etcd's own
 * defaults: 128 operations per transaction and 1.5 MiB per request.
 * @see https://etcd.io/docs/v3.5/dev-guide/limit/
 */
export const storeLimits = {
  keyBytesMax: 1024,
  /** Of one value. */
  valueBytesMax: 1024 * 1024,
  /** Keys and values of one transaction together. */
  transactionBytesMax: 1280 * 1024,
  /** Writes of one transaction; its conditions have the same bound of their own. */
  transactionWritesMax: 128,
} as const;

/** @throws {ATOLL_STORE_REQUEST_INVALID} when `key` is empty or too long. */
export function checkKey(key: string): void {
  const bytes = Buffer.byteLength(key);
  if (bytes === 0 || bytes > storeLimits.keyBytesMax) {
    throw new AtollError("ATOLL_STORE_REQUEST_INVALID", `a key has ${bytes} bytes; allowed are 1 to ${storeLimits.keyBytesMax}`);
  }
}

/**
 * Refuses what some adapter could not do, before any of them is asked.
 * @throws {ATOLL_STORE_REQUEST_INVALID} when a bound is exceeded or one key is written twice.
 */
export function checkTransaction(transaction: StoreTransaction): void {
  const { conditions, writes } = transaction;
  if (writes.length > storeLimits.transactionWritesMax || conditions.length > storeLimits.transactionWritesMax) {
    throw invalid(`a transaction has ${conditions.length} conditions and ${writes.length} writes; ${storeLimits.transactionWritesMax} of each are allowed`);
  }
  let bytes = 0;
  const written = new Set<string>();
  for (const condition of conditions) checkKey(condition.key);
  for (const write of writes) {
    checkKey(write.key);
    if (written.has(write.key)) throw invalid(`a transaction writes the key ${write.key} twice`);
    written.add(write.key);
    const valueBytes = write.kind === "put" ? write.value.byteLength : 0;
    if (valueBytes > storeLimits.valueBytesMax) throw invalid(`the value of ${write.key} has ${valueBytes} bytes; ${storeLimits.valueBytesMax} are allowed`);
    bytes += valueBytes + Buffer.byteLength(write.key);
  }
  if (bytes > storeLimits.transactionBytesMax) throw invalid(`a transaction has ${bytes} bytes; ${storeLimits.transactionBytesMax} are allowed`);
}

function invalid(message: string): AtollError {
  return new AtollError("ATOLL_STORE_REQUEST_INVALID", message);
}

/** What a code means, and what the reader can do about it. */
export interface ErrorEntry {
  readonly meaning: string;
  readonly action: string;
}

/**
 * Every stable error code, in alphabetical order. A code is never renamed and never reused; docs/errors.md is
 * written from this table and a test compares the two.
 */
export const errorCatalog = {
  ATOLL_ABORTED: {
    meaning: "The operation was cancelled because its owner is stopping.",
    action: "Nothing; it is not a fault. Retry after the restart.",
  },
  ATOLL_BUS_OVERLOADED: {
    meaning: "The outgoing buffer of the message bus is full.",
    action: "Look at atoll_bus_dropped_total and the connection to the bus; lost frames heal by digest.",
  },
  ATOLL_BUS_TIMEOUT: {
    meaning: "A request over the message bus got no answer in time.",
    action: "Check that the other plane runs and that both reach the bus.",
  },
  ATOLL_BUS_UNAVAILABLE: {
    meaning: "The message bus cannot be reached, or nobody answers on that subject.",
    action: "Check the bus process and the address; traffic goes on without it.",
  },
  ATOLL_CONFIG_INVALID: {
    meaning: "A process was started with a configuration that cannot be used.",
    action: "Correct every field that the message lists; all faults are reported together.",
  },
  ATOLL_STORE_CONFLICT: {
    meaning: "The value changed since it was read, so the write was refused.",
    action: "Read again, apply the change to the newer value, and write with its revision.",
  },
  ATOLL_STORE_CORRUPT: {
    meaning: "A store file could not be read as what it should be.",
    action: "The file was moved aside, not deleted; restore a backup or let the state be learned again.",
  },
  ATOLL_STORE_UNAVAILABLE: {
    meaning: "The store did not answer within its bound.",
    action: "Check the etcd members or the disk; nothing was acknowledged.",
  },
  ATOLL_TIMEOUT: {
    meaning: "An operation did not finish within its bound.",
    action: "The message names the operation and the bound.",
  },
} as const satisfies Readonly<Record<string, ErrorEntry>>;

/** A stable error code; see `errorCatalog`. */
export type ErrorCode = keyof typeof errorCatalog;

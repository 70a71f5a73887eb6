/** One key of a plane's store. */
export interface BackupEntry {
  readonly key: string;
  /** Position at which it was written. */
  readonly revision: number;
  readonly value: Uint8Array;
}

/** Whose store a backup is of, and when. */
export interface BackupHead {
  /** The federation's trust domain. */
  readonly federation: string;
  /** The plane: "global", or a cluster's name. */
  readonly plane: string;
  /** Of the store's life; 0: it had none yet. */
  readonly epoch: number;
  /** The one revision that all entries are as of. */
  readonly revision: number;
  /** Wall-clock ms. */
  readonly madeAtMs: number;
}

/** What a plane's store held at one revision. */
export interface StoreBackup {
  readonly head: BackupHead;
  readonly entries: readonly BackupEntry[];
}

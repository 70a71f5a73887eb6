/** What is read of the metrics that etcd shows in Prometheus' text format. */
export interface EtcdFigures {
  readonly version: string | undefined;
  readonly databaseBytes: number | undefined;
  readonly usedBytes: number | undefined;
  readonly quotaBytes: number | undefined;
  /** Entries of its log that it has applied since it started. */
  readonly applied: number | undefined;
  /** How often it had its log written to the disk since it started, and how often that took longer than a second. */
  readonly syncs: { readonly count: number; readonly slow: number } | undefined;
}

/** The bound of the histogram's buckets that is nearest to the second within which a plane's call has to be answered. */
const slowSeconds = "1.024";

/** Pure; what is not there, or no number, is undefined. */
export function readEtcdFigures(text: string): EtcdFigures {
  const value = (series: string): number | undefined => {
    const line = text.split("\n").find((one) => one.startsWith(`${series} `));
    const number = line === undefined ? Number.NaN : Number(line.slice(series.length + 1));
    return Number.isFinite(number) && number >= 0 ? number : undefined;
  };
  const count = value("etcd_disk_wal_fsync_duration_seconds_count");
  const swift = value(`etcd_disk_wal_fsync_duration_seconds_bucket{le="${slowSeconds}"}`);
  return {
    version: /^etcd_server_version\{server_version="([^"]{1,64})"\} 1$/m.exec(text)?.[1],
    databaseBytes: value("etcd_mvcc_db_total_size_in_bytes"),
    usedBytes: value("etcd_mvcc_db_total_size_in_use_in_bytes"),
    quotaBytes: value("etcd_server_quota_backend_bytes"),
    applied: value("etcd_server_proposals_applied_total"),
    syncs: count === undefined || swift === undefined ? undefined : { count, slow: Math.max(0, count - swift) },
  };
}

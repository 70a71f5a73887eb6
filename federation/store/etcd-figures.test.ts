import { expect, it } from "vitest";
import { readEtcdFigures } from "./etcd-figures.ts";

const page = `# HELP etcd_disk_wal_fsync_duration_seconds The latency distributions of fsync called by WAL.
# TYPE etcd_disk_wal_fsync_duration_seconds histogram
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.512"} 1
etcd_disk_wal_fsync_duration_seconds_bucket{le="1.024"} 40
etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 42
etcd_disk_wal_fsync_duration_seconds_sum 0.006227187
etcd_disk_wal_fsync_duration_seconds_count 42
etcd_mvcc_db_total_size_in_bytes 32768
etcd_mvcc_db_total_size_in_use_in_bytes 24576
etcd_server_proposals_applied_total 4
etcd_server_quota_backend_bytes 2.147483648e+09
etcd_server_version{server_version="3.4.23"} 1
`;

it("reads what etcd says of itself", () => {
  expect(readEtcdFigures(page)).toEqual({ version: "3.4.23", databaseBytes: 32_768, usedBytes: 24_576, quotaBytes: 2 ** 31, applied: 4, syncs: { count: 42, slow: 2 } });
});

it("knows nothing of what is not there, or is no number", () => {
  const nothing = { version: undefined, databaseBytes: undefined, usedBytes: undefined, quotaBytes: undefined, applied: undefined, syncs: undefined };
  expect(readEtcdFigures("")).toEqual(nothing);
  expect(readEtcdFigures(page.replaceAll(/ [\d.e+]+$/gm, " NaN"))).toEqual(nothing);
  expect(readEtcdFigures(page.replaceAll(/ [\d.e+]+$/gm, " -1"))).toEqual(nothing);
});

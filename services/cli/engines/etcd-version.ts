/** The first release of each line whose etcd judges all of a transaction by its user's roles. @see https://github.com/etcd-io/etcd/security/advisories/GHSA-rfx7-8w68-q57q, GHSA-x35m-3gp4-4fh5 */
const judging = [
  [3, 4, 44],
  [3, 5, 30],
  [3, 6, 11],
] as const;

/** The same in words. */
export const rolesHoldFrom = "3.4.44, 3.5.30, 3.6.11, or a later one";

/** Whether a version of etcd ("3.5.21") holds its users to their roles in transactions within transactions, too. What is no version does not. Pure. */
export function holdsToRoles(version: string): boolean {
  const [, major = 0, minor = 0, patch = 0] = (/^(\d+)\.(\d+)\.(\d+)/.exec(version) ?? []).map(Number);
  const line = judging.find(([a, b]) => a === major && b === minor);
  if (line !== undefined) return patch >= line[2];
  return major > 3 || (major === 3 && minor > 6);
}

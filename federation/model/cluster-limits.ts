/** Objects of one cluster that the global plane keeps: its exports, deletions that it remembers, and a few of its trust domain. */
export const clusterObjectsMax = 5_000;

/** Services that a cluster may export: with the deletions that its plane remembers, a thousand, it stays below `clusterObjectsMax`. */
export const clusterExportsMax = 3_900;

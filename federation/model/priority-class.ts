/**
 * How much a request matters where not all can be served, most first: under overload the last class goes first.
 * `critical` is what an operator names so, `sheddable` what nobody waits for (prefetches, batch work).
 */
export const priorityClasses = ["critical", "default", "sheddable"] as const;

export type PriorityClass = (typeof priorityClasses)[number];

/** What a request is that nobody has classed: the index of `default`. */
export const defaultPriority = 1;

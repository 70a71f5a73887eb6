/** How many instances a place has, as a status says it; an older plane counts those that are not heard among the ready ones. */
export interface InstanceCounts {
  readonly endpointsReady: number;
  readonly endpointsUnknown?: number | undefined;
  readonly endpointsTotal: number;
}

/** "2/3", and how many of the rest are not heard: what is neither said that it is not ready. */
export function instanceWords({ endpointsReady, endpointsUnknown = 0, endpointsTotal }: InstanceCounts): string {
  return `${endpointsReady}/${endpointsTotal}${endpointsUnknown === 0 ? "" : ` (${endpointsUnknown} unknown)`}`;
}

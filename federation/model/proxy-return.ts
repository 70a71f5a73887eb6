/**
 * Longest time in which a proxy that lost its plane tries again: it waits for 15 s at most, with 30 % of jitter
 * (`proxy/control/discovery-client.ts`). Of whoever does not say when it leaves, one that is away for longer is not counted on.
 */
export const proxyReturnMs = 20_000;

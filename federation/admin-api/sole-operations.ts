import { AtollError } from "#federation/runtime/errors.ts";
import type { Operation } from "./route.ts";

/** Another process of the plane's name that is alive now, by its incarnation. */
export interface KnownRival {
  readonly rival: string;
}

/** `operations`, of which those that write are refused while another process takes writes under the plane's name. They throw {ATOLL_PLANE_DOUBLED} then. */
export function whileSole(operations: readonly Operation[], rival: () => KnownRival | undefined): readonly Operation[] {
  return operations.map((operation) => {
    const { method, access } = operation.route;
    if (method === "GET" || (access !== "write" && access !== "administer")) return operation;
    return {
      ...operation,
      handle: async (request, signal) => {
        const met = rival();
        if (met !== undefined) throw new AtollError("ATOLL_PLANE_DOUBLED", `${met.rival} speaks under this plane's name, too: nothing is written until it is silent, or an operator names the one that counts by \`atoll reconcile\``);
        return await operation.handle(request, signal);
      },
    };
  });
}

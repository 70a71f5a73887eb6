import { Socket } from "node:net";
import type { Connector, UpstreamTarget } from "./connector.ts";

/** `connector`, which fails with `code` as `net.connect` does for every target that `fails`. */
export function failingConnector(connector: Connector, code: string, fails: (target: UpstreamTarget) => boolean): Connector {
  return {
    negotiates: connector.negotiates,
    connect(target, handler): Socket {
      if (!fails(target)) return connector.connect(target, handler);
      const socket = new Socket();
      process.nextTick(() => socket.destroy(Object.assign(new Error(`connect ${code}`), { code })));
      return socket;
    },
  };
}

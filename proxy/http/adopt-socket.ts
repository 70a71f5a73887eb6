import { Socket } from "node:net";
import type { OnReadOpts, SocketConstructorOpts } from "node:net";

/** What Node keeps of the operating system's socket; private there, and stable since `onread` came (Node 12). */
interface HandleOwner {
  _handle: object | null;
}

/**
 * An accepted socket that reads into a buffer of ours: `net.Server` gives its sockets no `onread`, so its handle
 * moves to a socket made with one. That spares an allocation of 64 KiB, an ArrayBuffer and the stream machinery for
 * each read. `accepted` must come from a server with `pauseOnConnect` and is not to be used afterwards.
 */
export function adoptSocket(accepted: Socket, onread: OnReadOpts): Socket {
  const owner = accepted as unknown as HandleOwner;
  const handle = owner._handle;
  // Its peer was quicker: nothing is left to read.
  if (handle === null) return accepted;
  owner._handle = null;
  const options = { handle, onread, allowHalfOpen: true, readable: true, writable: true };
  return new Socket(options as unknown as SocketConstructorOpts);
}

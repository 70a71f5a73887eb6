import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Worker } from "node:worker_threads";
import { systemClock } from "./clock.ts";

/**
 * Listens at an address of this host to which packets are as good as dropped from then on: whoever dials it is neither let in nor refused.
 * Its owner accepts nobody, and once as many wait as the system lets wait, that drops the first packet of everybody else each time that it comes.
 */
export async function swallow(host: string, port: number): Promise<AsyncDisposable> {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(blocked, { eval: true, workerData: { gate, host, port } });
  await once(worker, "message");
  const waiting: Socket[] = [];
  for (let isFull = false; !isFull; ) {
    const socket = connect({ host, port });
    socket.on("error", () => undefined);
    waiting.push(socket);
    isFull = await Promise.race([once(socket, "connect").then(() => false), new Promise<boolean>((resolve) => void systemClock.schedule(dropShownMs, () => resolve(true)))]);
  }
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of waiting) socket.destroy();
      Atomics.store(gate, 0, 1);
      Atomics.notify(gate, 0);
      await worker.terminate();
    },
  };
}

/** Who is let in on one host is so within a fraction of this, in ms; who is not is asked again by the kernel after a second. */
const dropShownMs = 500;

const blocked = `
  const { createServer } = require("node:net");
  const { parentPort, workerData } = require("node:worker_threads");
  const server = createServer().listen({ port: workerData.port, host: workerData.host, backlog: 1 }, () => {
    parentPort.postMessage("listens");
    setImmediate(() => Atomics.wait(workerData.gate, 0, 0));
  });`;

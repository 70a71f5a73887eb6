import type { AddressInfo, Server } from "node:net";
import { expect, test } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { call } from "../harness/http-call.ts";
import { LoadConnection } from "../bench/load-connection.ts";
import { OverloadApp, type AppConfig } from "./app.ts";

async function open(config: Omit<AppConfig, "port">): Promise<{ readonly port: number } & Disposable> {
  const server: Server = await OverloadApp.open({ ...config, port: 0 }, systemClock);
  return { port: (server.address() as AddressInfo).port, [Symbol.dispose]: () => void server.close() };
}

const head = Buffer.from("GET /load HTTP/1.1\r\nHost: app\r\n\r\n");

test("works with so many workers, first come, first served, and refuses nothing", async () => {
  using app = await open({ workers: 2, workMs: 5 });
  const order: number[] = [];
  await Promise.all(
    Array.from({ length: 7 }, (_, at) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const connection = new LoadConnection<number>(app.port, {
        onAnswer: (_connection, request, status) => {
          if (status === 200) order.push(request);
          connection.close();
          resolve();
        },
        onClosed: () => resolve(),
      });
      connection.send(head, at);
      return promise;
    }),
  );
  expect(order).toEqual([0, 1, 2, 3, 4, 5, 6]);
});

test("never begins work for a connection that is gone", async () => {
  using last = await open({ workers: 0, workMs: 0 });
  using app = await open({ workers: 1, workMs: 20, next: { port: last.port, host: "last" } });
  const requestsOf = async (port: number): Promise<number> => Number((await call(port, { path: "/control/requests" })).body);
  const ignore = { onAnswer: () => undefined, onClosed: () => undefined };
  const [first, second] = [new LoadConnection<number>(app.port, ignore), new LoadConnection<number>(app.port, ignore)];
  first.send(head, 0);
  second.send(head, 1);
  await expect.poll(() => requestsOf(app.port)).toBe(2);
  second.close();
  await expect.poll(() => requestsOf(last.port)).toBe(1);
  // The third comes after where the second stood in the queue.
  expect((await call(app.port, { path: "/load" })).status).toBe(200);
  expect(await requestsOf(last.port)).toBe(2);
  first.close();
});

test("passes on what the next one says, and fails when it is told to", async () => {
  using last = await open({ workers: 0, workMs: 0 });
  using app = await open({ workers: 0, workMs: 0, next: { port: last.port, host: "last" } });
  const ask = async (): Promise<number> => (await call(app.port, { path: "/load" })).status;
  expect(await ask()).toBe(200);
  await call(last.port, { path: "/control/fail" });
  expect(await ask()).toBe(503);
  expect((await call(app.port, { path: "/healthz" })).status).toBe(200);
  await call(last.port, { path: "/control/heal" });
  expect(await ask()).toBe(200);
});

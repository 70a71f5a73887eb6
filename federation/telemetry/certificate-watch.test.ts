import type { X509Certificate } from "node:crypto";
import { expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { CertificateWatch } from "./certificate-watch.ts";

const tls = { caPem: "", certificatePem: "", privateKeyPem: "" };
const certificate = { validFromDate: new Date(1_000), validToDate: new Date(7_200_000) } as X509Certificate;
const addresses = [
  { engine: "etcd", address: "https://a:2379", host: "a", port: 2379 },
  { engine: "nats", address: "tls://a:4222", host: "a", port: 4222 },
] as const;

it("sees what each engine shows, which of them speaks first, and forgets one that does not answer", async () => {
  const clock = new VirtualClock();
  const asked: [number, boolean][] = [];
  let isAway = false;
  const watch = new CertificateWatch({
    addresses,
    tls: () => tls,
    clock,
    read: async ({ port, speaksFirst }) => {
      asked.push([port, speaksFirst]);
      if (isAway && port === 4222) throw new Error("it is away");
      return certificate;
    },
  });
  const stop = new AbortController();
  const ended = watch.run(stop.signal);
  await clock.advance(0);
  const ends = { notBeforeMs: 1_000, notAfterMs: 7_200_000 };
  expect(watch.certificates).toEqual(addresses.map(({ engine, address }) => ({ engine, address, ...ends })));
  expect(asked).toEqual([[2379, false], [4222, true]]);
  isAway = true;
  await clock.advance(60_000);
  expect(watch.certificates.map(({ engine }) => engine)).toEqual(["etcd"]);
  stop.abort();
  await expect(ended).rejects.toMatchObject({ code: "ATOLL_ABORTED" });
});

it("is over at once where engines are embedded", async () => {
  await new CertificateWatch({ addresses: [], tls: () => tls, clock: new VirtualClock() }).run(new AbortController().signal);
});

import { expect, it } from "vitest";
import { engineCertificateProblems } from "./engine-certificate-findings.ts";

const dayMs = 86_400_000;
const nowMs = Date.UTC(2026, 5, 1);
const certificate = (leftMs: number, lifeMs = 30 * dayMs, more: object = {}) => ({ engine: "etcd", address: "https://10.1.0.1:2379", notBeforeMs: nowMs + leftMs - lifeMs, notAfterMs: nowMs + leftMs, ...more }) as const;
const of = (...engineCertificates: readonly ReturnType<typeof certificate>[]): readonly string[] => engineCertificateProblems([{ engineCertificates: [...engineCertificates] }], { isHere: false, nowMs });

it("check says nothing of certificates that are good for long, nor where none was seen", () => {
  expect(engineCertificateProblems([{}, { engineCertificates: [] }], { isHere: true, nowMs })).toEqual([]);
  expect(of(certificate(7 * dayMs + 1))).toEqual([]);
  // One that lives for a day is not always about to end.
  expect(of(certificate(dayMs / 6 + 1, dayMs))).toEqual([]);
});

it("check names an engine whose certificate ends within seven days, or the last sixth of a shorter life, or has ended, with what to do", () => {
  expect(of(certificate(7 * dayMs))).toEqual(["the certificate of etcd at https://10.1.0.1:2379 ends in 7 d, and whoever connects after that is refused: renew it by `atoll renew-engines`, or where it is not of `atoll bootstrap` as docs/engines.md says"]);
  expect(of(certificate(dayMs / 6, dayMs))).toHaveLength(1);
  expect(of(certificate(0, dayMs, { engine: "nats", address: "tls://a:4222" }))).toEqual([expect.stringMatching(/^the certificate of nats-server at tls:\/\/a:4222 ended 0 \S+ ago, and whoever connects is refused, planes and its other members alike: /)]);
  expect(engineCertificateProblems([{ engineCertificates: [certificate(-dayMs)] }], { isHere: true, nowMs })).toEqual([expect.stringMatching(/ended 24 h ago, .*: the supervisor renews it by itself, and logs\/supervisor\.log says why it has not$/)]);
});

it("check names an engine that several planes see once, by the end that comes first", () => {
  const seen = engineCertificateProblems([{ engineCertificates: [certificate(3 * dayMs)] }, { engineCertificates: [certificate(2 * dayMs)] }, { engineCertificates: [certificate(20 * dayMs, 30 * dayMs, { address: "https://b:2379" })] }], { isHere: false, nowMs });
  expect(seen).toEqual([expect.stringContaining("ends in 2 d")]);
});

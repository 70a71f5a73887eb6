import { describe, expect, it } from "vitest";
import { dialledNames, hostOfAddress, nameRows } from "./dialled-names.ts";

describe("names that are dialled", () => {
  it("are read from addresses of every form", () => {
    expect(["https://etcd.example:2379", "tls://nats.example:4222", "plane.example:7420", "https://[fd00::1]:2379", "[fd00::1]:7420", "10.0.0.1:1", "https://etcd.example:2379/"].map(hostOfAddress)).toEqual([
      "etcd.example", "nats.example", "plane.example", "fd00::1", "fd00::1", "10.0.0.1", "etcd.example",
    ]);
  });

  it("are those that are no literal addresses, each once", () => {
    expect(dialledNames(["a.example", "10.0.0.1", "fd00::1", "a.example"], "etcd")).toEqual([{ name: "a.example", use: "etcd" }]);
  });

  it("stand with what they resolve to, or with why they do not", () => {
    const dialled = [...dialledNames(["a.example", "b.example"], "etcd"), ...dialledNames(["left.out"], "NATS")];
    const known = new Map([
      ["a.example", { addresses: ["10.0.0.1"], asOfMs: 1, asked: true, problem: undefined }],
      ["b.example", { addresses: [], asOfMs: undefined, asked: true, problem: "ESERVFAIL" }],
    ]);
    expect(nameRows(dialled, known)).toEqual([
      { name: "a.example", use: "etcd", addresses: ["10.0.0.1"] },
      { name: "b.example", use: "etcd", addresses: [], problem: "ESERVFAIL" },
    ]);
  });
});

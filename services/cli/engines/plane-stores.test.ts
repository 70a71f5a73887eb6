import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readPlaneStores } from "./plane-stores.ts";

describe("the stores of planes, from their configurations", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "atoll-configs-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));
  const write = (name: string, text: string): void => writeFileSync(join(directory, name), text);
  const store = { kind: "etcd", endpoints: ["https://etcd-0.etcd.atoll-system.svc:2379"] };

  it("are read from every JSON file of a directory, whatever else stands in them", () => {
    write("plane.json", JSON.stringify({ cluster: "shop-eu", dataDir: "/var/lib/atoll", store, signer: { kind: "own" } }));
    write("global.json", JSON.stringify({ federation: "fed.example", store }));
    write("embedded.json", JSON.stringify({ cluster: "shop-us" }));
    write("README.md", "not one of them");
    mkdirSync(join(directory, "..data"));
    expect(readPlaneStores(directory)).toEqual([{ cluster: "shop-us" }, { store }, { cluster: "shop-eu", store }]);
  });

  it("are refused with the reason where they cannot be told", () => {
    const refused = (code: string, words: string): object => expect.objectContaining({ code, message: expect.stringContaining(words) as string }) as object;
    const outcome = (): unknown => {
      try {
        return readPlaneStores(directory);
      } catch (error) {
        return error;
      }
    };
    expect(outcome()).toEqual(refused("ATOLL_USAGE", "holds no plane's configuration"));
    write("plane.json", JSON.stringify({ cluster: "Shop/EU", store: { ...store, endpoints: ["http://etcd"] } }));
    expect(outcome()).toEqual(refused("ATOLL_CONFIG_INVALID", "2 faults"));
    write("plane.json", "{");
    expect(outcome()).toEqual(refused("ATOLL_CONFIG_INVALID", "not JSON"));
  });
});

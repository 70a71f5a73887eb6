import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { localDirectory, planeFileText, readDirectory } from "./plane-directory.ts";
import { demoFederation } from "./up/demo-federation.ts";
import { PortBlock } from "./up/port-block.ts";
import { embeddedEngines, layOut, portBlockSize } from "./up/topology.ts";

it("a federation of this machine is known by the file that up writes as it is by its layout", () => {
  const topology = layOut(demoFederation, { dataDir: "/state", home: "/home", node: "/node", ports: new PortBlock(20_000, portBlockSize), engines: embeddedEngines("/state") });
  const directory = mkdtempSync(join(tmpdir(), "atoll-planes-"));
  try {
    const file = join(directory, "context.json");
    writeFileSync(file, planeFileText(topology));
    const known = readDirectory(file);
    const local = localDirectory("/state", topology);
    expect(known.clusters).toEqual(local.clusters);
    expect(known.clusters.length).toBeGreaterThan(3);
    for (const cluster of local.clusters) expect(known.serverOf(cluster)).toBe(local.serverOf(cluster));
    for (const { trustDomain } of demoFederation.clusters) expect(known.signerOf(trustDomain)).toBe(local.signerOf(trustDomain));
  } finally {
    rmSync(directory, { recursive: true });
  }
});

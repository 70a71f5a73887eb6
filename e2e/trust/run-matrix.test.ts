import { describe, expect, it } from "vitest";
import { readCertificate, readSvidLeaf, readUriNames } from "#federation/identity/certificate-reader.ts";
import { createAnchors } from "#federation/identity/anchors.ts";
import { certificatePem } from "#federation/identity/pem.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { allCells, isToBeAccepted, runMatrix, someCells, type MatrixLine } from "./run-matrix.ts";
import type { PlantedFault } from "./verifier.ts";

const seed = 20_261_201;
const never = new AbortController().signal;
const run = async (fault: PlantedFault, count: number): Promise<MatrixLine> => await runMatrix(someCells(count, seed), { nowMs: systemClock.nowMs(), fault }, never);

describe("identities that are claimed", () => {
  it("make more than ten thousand cells, of which some are to be accepted in each context", () => {
    const cells = allCells();
    expect(cells.length).toBeGreaterThan(10_000);
    const accepted = cells.filter(isToBeAccepted);
    expect(new Set(accepted.map(({ context, role }) => `${context} ${role}`)).size).toBe(8);
  });

  it(`are judged as the standards say (a part by the seed ${seed})`, async () => {
    const line = await run({}, 400);
    expect(line.wrong).toEqual([]);
    expect(line.accepted).toBeGreaterThan(30);
    expect(Math.min(line.refusedBy.handshake, line.refusedBy.reading)).toBeGreaterThan(10);
  }, 60_000);
});

describe("the same cells find", () => {
  it.each<[string, PlantedFault, "wrongAccepts" | "wrongRefusals"]>([
    ["roots that are believed for every domain", { anchors: (bundles) => bundles.flatMap(({ x509Authorities }) => x509Authorities.map(certificatePem)) }, "wrongAccepts"],
    ["the first of several URIs taken", { readLeaf: firstUri }, "wrongAccepts"],
    ["anchors that are kept over an update of bundles", { isUpdateIgnored: true }, "wrongAccepts"],
    ["an update of bundles that keeps out whom it brought", { isUpdateIgnored: true }, "wrongRefusals"],
    ["roots that are put under another domain's name", { anchors: (bundles) => createAnchors(bundles.map((bundle) => ({ ...bundle, trustDomain: `${bundle.trustDomain}.test` as typeof bundle.trustDomain }))) }, "wrongRefusals"],
    ["sessions that are resumed with what was judged before", { listening: { secureOptions: 0 } }, "wrongAccepts"],
    ["anybody taken for whom one expects", { acceptOf: () => () => true }, "wrongAccepts"],
  ])("%s", async (_, fault, kind) => {
    expect((await run(fault, 200))[kind]).toBeGreaterThan(0);
  }, 60_000);
});

/** As `readSvidLeaf`, without the count. */
function firstUri(der: Uint8Array): ReturnType<typeof readSvidLeaf> {
  const reading = readSvidLeaf(der);
  const [uri, second] = readUriNames(readCertificate(der));
  return reading.kind === "svid" || uri === undefined || second === undefined ? reading : { kind: "svid", spiffeId: uri.toString("latin1") as SpiffeId };
}

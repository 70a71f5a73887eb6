import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { writePrivateFile, type WritePrivateFile } from "#federation/runtime/private-file.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { nothingWitnessed, type StoreWitness } from "./store-witness.ts";
import { WitnessFile } from "./witness-file.ts";

let directory: string;
let path: string;
let errors: string[];
/** Writes that have begun; each goes on when it is let. */
let begun: { readonly content: string; readonly go: () => void }[];

const at = (revision: number): StoreWitness => ({ epoch: 1, revision, marks: [] });
const seenBehind: StoreWitness = { ...at(9), behind: { reason: "revision", witnessed: { epoch: 1, revision: 9 }, witness: "this plane" } };
const held: WritePrivateFile = async (file, content, isWanted) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  begun.push({ content: String(content), go: resolve });
  await promise;
  await writePrivateFile(file, content, isWanted);
};
const open = (write: WritePrivateFile = held): WitnessFile => WitnessFile.open({ path, logger: { ...silentLogger, error: (message) => errors.push(message) }, write });
const onDisk = (): unknown => JSON.parse(readFileSync(path, "utf8"));

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "atoll-witness-"));
  path = join(directory, "witness.json");
  errors = [];
  begun = [];
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it("keeps nobody waiting but who asked for it, who goes on when it is on the disk", async () => {
  const file = open();
  const written = file.set(at(1)).then(() => onDisk());
  expect(file.current).toEqual(at(1));
  expect(readdirSync(directory)).toEqual([]);
  begun[0]?.go();
  expect(await written).toEqual(at(1));
  expect(open().current).toEqual(at(1));
});

it("writes of those that wait for the disk the latest alone, which is good for all of them", async () => {
  const file = open();
  const all = [1, 2, 3].map(async (revision) => await file.set(at(revision)));
  begun[0]?.go();
  await expect.poll(() => begun.length).toBe(2);
  begun[1]?.go();
  await Promise.all(all);
  expect(onDisk()).toEqual(at(3));
  expect(begun.map(({ content }) => JSON.parse(content))).toEqual([at(1), at(3)]);
});

it("has what was written at once, whatever is being written, and nothing left over", async () => {
  const file = open();
  const earlier = file.set(at(1));
  file.setNow(seenBehind);
  expect(onDisk()).toEqual(seenBehind);
  begun[0]?.go();
  await earlier;
  expect(onDisk()).toEqual(seenBehind);
  expect(readdirSync(directory)).toEqual(["witness.json"]);
  const later = file.set({ ...seenBehind, revision: 10 });
  begun[1]?.go();
  await later;
  expect(onDisk()).toMatchObject({ revision: 10, behind: { reason: "revision" } });
});

it("remembers what it could not write, says so, and writes the next one", async () => {
  const blocker = join(directory, "a-file");
  writeFileSync(blocker, "");
  path = join(blocker, "witness.json");
  const blocked = open(writePrivateFile);
  await blocked.set(at(4));
  blocked.setNow(at(5));
  expect(blocked.current).toEqual(at(5));
  expect(errors.slice(-2)).toEqual(Array(2).fill("The witness of the store could not be written."));
  rmSync(blocker);
  await blocked.set(at(6));
  expect(onDisk()).toEqual(at(6));
});

it("begins with nothing where there is no file", () => {
  expect(open().current).toEqual(nothingWitnessed);
});

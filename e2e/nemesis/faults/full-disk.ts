import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PlannedFault } from "../fault-plan.ts";
import { processOf } from "../places.ts";
import type { Heal, Scene } from "./fault.ts";
import { fillEtcd } from "./full-etcd.ts";
import { expectNamed } from "./going-on.ts";
import { moveOnto, run } from "./mounting.ts";

/** Beside what a plane's directory holds already; what is left of it is filled. */
const spareBytes = 16 * 1024 * 1024;

/** Whether this host lets us mount a file system of memory, which takes root. */
export function canMount(): boolean {
  const directory = mkdtempSync(join(tmpdir(), "atoll-mount-"));
  try {
    mount(directory, 1024 * 1024);
    run("umount", directory);
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(directory);
  }
}

/** The disk that a plane's directory is on has no byte left, or its etcd has come to its quota; its operator makes room, and the plane is not started again for that. */
export async function injectFullDisk(scene: Scene, { place }: PlannedFault): Promise<Heal> {
  const { world } = scene;
  if (world.ground !== "embedded") return await fillEtcd(scene, place);
  const { federation } = world;
  const name = processOf(place);
  const directory = federation.directoryOf(name);
  await federation.kill(name);
  moveOnto(directory, spareBytes, (bytes) => mount(directory, bytes));
  world.defer(() => void run("umount", directory));
  await federation.start(name);
  const filler = join(directory, "filler");
  fill(filler);
  await expectNamed(scene, "has not been able to write", `the disk of ${place} is full`);
  return async () => {
    rmSync(filler);
    await Promise.resolve();
  };
}

function fill(path: string): void {
  const file = openSync(path, "w");
  try {
    for (let size = 1024 * 1024; size >= 1; ) {
      try {
        writeSync(file, Buffer.alloc(size));
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
        size = Math.floor(size / 2);
      }
    }
  } finally {
    closeSync(file);
  }
}

function mount(directory: string, bytes: number): void {
  run("mount", "-t", "tmpfs", "-o", `size=${bytes},mode=0700`, "tmpfs", directory);
}

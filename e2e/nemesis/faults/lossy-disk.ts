import { mkdtempSync, rmdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { moveOnto, run } from "./mounting.ts";

/**
 * Only what is synced reaches the device, and within seconds nothing else; a file that is renamed over another is not synced for that, as
 * ext4 would do by itself for programs that forget it.
 */
const mountOptions = "loop,commit=300,noauto_da_alloc";
/** Room for the journal, and a little more. */
export const diskBytesMin = 32 * 1024 * 1024;
/** A file system whose users stand still is written to only by the kernel, now and then. */
const copiesMax = 20;

/** A directory on a file system and a device of its own, which is a file: what that holds is all that is left when the power goes. */
export class LossyDisk {
  readonly #directory: string;
  readonly #imagePath: string;

  private constructor(directory: string, imagePath: string) {
    this.#directory = directory;
    this.#imagePath = imagePath;
  }

  /** Whether this host lets us mount a file, which takes root. */
  static isPossible(): boolean {
    const scratch = mkdtempSync(join(tmpdir(), "atoll-disk-"));
    try {
      LossyDisk.#mountNew(scratch, `${scratch}.image`, diskBytesMin);
      run("umount", scratch);
      return true;
    } catch {
      return false;
    } finally {
      rmdirSync(scratch);
      rmSync(`${scratch}.image`, { force: true });
    }
  }

  /** Moves what a directory holds to such a disk, which takes its place and has room for so much more; nothing may have it open. */
  static replace(directory: string, imagePath: string, spareBytes: number): LossyDisk {
    moveOnto(directory, spareBytes, (bytes) => LossyDisk.#mountNew(directory, imagePath, bytes));
    run("sync", "--file-system", directory);
    return new LossyDisk(directory, imagePath);
  }

  static #mountNew(directory: string, imagePath: string, bytes: number): void {
    writeFileSync(imagePath, "", { mode: 0o600 });
    truncateSync(imagePath, bytes);
    run("mkfs.ext4", "-q", "-F", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0", imagePath);
    run("mount", "-t", "ext4", "-o", mountOptions, imagePath, directory);
    rmdirSync(join(directory, "lost+found"));
  }

  /** Keeps what the device holds now; whoever writes to the directory stands still. Answers what has the directory be that, once nothing has it open. */
  losePower(): () => void {
    const kept = `${this.#imagePath}-kept`;
    for (let copies = 1; ; copies++) {
      run("cp", "--sparse=always", this.#imagePath, kept);
      if (areEqual(this.#imagePath, kept)) break;
      if (copies === copiesMax) throw new Error(`the device of ${this.#directory} is written to although nobody writes`);
    }
    return () => {
      run("umount", this.#directory);
      run("mv", kept, this.#imagePath);
      run("mount", "-t", "ext4", "-o", mountOptions, this.#imagePath, this.#directory);
    };
  }

  /** Nothing is left of the disk, and the directory shows what it held before there was one; nothing may have it open. */
  remove(): void {
    run("umount", this.#directory);
    rmSync(this.#imagePath);
  }
}

function areEqual(one: string, other: string): boolean {
  try {
    run("cmp", "--silent", one, other);
    return true;
  } catch {
    return false;
  }
}

import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";

/** Has `mount` put a file system of so many bytes in a directory's place: what it holds, and as many spare ones. Nothing may have it open. */
export function moveOnto(directory: string, spareBytes: number, mount: (bytes: number) => void): void {
  const heldBytes = Number(run("du", "-sb", directory).split("\t")[0]);
  const aside = `${directory}-aside`;
  run("cp", "-a", directory, aside);
  mount(heldBytes + spareBytes);
  run("cp", "-a", `${aside}/.`, directory);
  rmSync(aside, { recursive: true });
}

/** Runs a program of the system, and answers what it prints. @throws Error when it fails, with what it says of it */
export function run(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

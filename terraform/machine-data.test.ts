import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

/** Stand-ins for what the script calls; each writes down what it is asked to do. A file in $PLACE says how the machine is. */
const programs: Readonly<Record<string, string>> = {
  mountpoint: '[ -e "$PLACE/mounted" ]',
  // Took too long.
  udevadm: "exit 1",
  blkid: 'if [ -e "$PLACE/filesystem" ]; then exit 0; elif [ -e "$PLACE/ambivalent" ]; then exit 8; else exit 2; fi',
  "mkfs.ext4": 'echo mkfs >>"$PLACE/log"; touch "$PLACE/filesystem"',
  mount: 'echo mount >>"$PLACE/log"; touch "$PLACE/mounted"',
  id: 'case $* in "-u atoll") echo 990 ;; *) [ -e "$PLACE/user" ] ;; esac',
  useradd: 'echo useradd >>"$PLACE/log"; touch "$PLACE/user"',
  stat: 'cat "$PLACE/owner"',
  chown: 'echo "chown $1" >>"$PLACE/log"; echo 990 >"$PLACE/owner"',
};
const attach = 'echo attach >>"$PLACE/log"; [ ! -e "$PLACE/held" ] || exit 255; cp "$PLACE/disk" "$PLACE/device"';

describe("the script that brings a machine's disk", () => {
  let place: string;
  const has = (...names: readonly string[]): void => names.forEach((name) => writeFileSync(join(place, name), ""));
  const log = (): readonly string[] => (existsSync(join(place, "log")) ? readFileSync(join(place, "log"), "utf8").trim().split("\n") : []);
  const run = (): { readonly status: number | null; readonly stderr: string } =>
    spawnSync("sh", [join(place, "data.sh"), join(place, "device"), join(place, "state")], { encoding: "utf8", env: { PATH: `${join(place, "bin")}:${process.env["PATH"]}`, PLACE: place } });

  beforeEach(() => {
    place = mkdtempSync(join(tmpdir(), "atoll-disk-"));
    mkdirSync(join(place, "bin"));
    for (const [name, text] of Object.entries(programs)) writeFileSync(join(place, "bin", name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    writeFileSync(join(place, "attach.sh"), attach);
    writeFileSync(join(place, "disk"), Buffer.alloc(2 * 1_048_576));
    writeFileSync(join(place, "owner"), "0\n");
    copyFileSync(join(import.meta.dirname, "modules/machine/data.sh"), join(place, "data.sh"));
  });
  afterEach(() => rmSync(place, { recursive: true }));

  it("formats a new disk, mounts it, and gives it to Atoll's user", () => {
    expect(run().status).toBe(0);
    expect(log()).toEqual(["attach", "mkfs", "mount", "useradd", "chown -R"]);
  });

  it("does nothing where the disk is mounted", () => {
    has("mounted");
    expect(run().status).toBe(0);
    expect(log()).toEqual([]);
  });

  it("touches nothing while another machine has the disk, or before the device is there, and goes on from there", () => {
    has("held", "filesystem");
    expect(run()).toMatchObject({ status: 1, stderr: expect.stringContaining("cannot be attached yet") as string });
    rmSync(join(place, "held"));
    rmSync(join(place, "disk"));
    writeFileSync(join(place, "attach.sh"), 'echo attach >>"$PLACE/log"');
    expect(run()).toMatchObject({ status: 1, stderr: expect.stringContaining("is not there yet") as string });
    expect(log()).toEqual(["attach", "attach"]);
    writeFileSync(join(place, "device"), "");
    expect(run().status).toBe(0);
    expect(log()[2]).toBe("mount");
  });

  it("never formats what has a file system, and gives it to the user of this image", () => {
    has("filesystem", "user");
    writeFileSync(join(place, "owner"), "101\n");
    expect(run().status).toBe(0);
    expect(log()).toEqual(["attach", "mount", "chown -R"]);
    rmSync(join(place, "mounted"));
    expect(run().status).toBe(0);
    expect(log().slice(3)).toEqual(["mount"]);
  });

  it.each([
    ["has data that nothing knows", () => writeFileSync(join(place, "disk"), Buffer.concat([Buffer.alloc(4_096), Buffer.from("a key"), Buffer.alloc(1_048_576)]))],
    ["could be several things", () => has("ambivalent")],
    ["is too short to be one", () => writeFileSync(join(place, "disk"), Buffer.alloc(10))],
  ])("leaves a disk alone that %s", (_name, make) => {
    make();
    const { status, stderr } = run();
    expect(status).toBe(1);
    expect(stderr).toContain("is left as it is");
    expect(log()).toEqual(["attach"]);
  });
});

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { StartedTestContainer } from "testcontainers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.ts";
import { home } from "../harness/test-federation.ts";
import { findContainerEngine } from "./container-engine.ts";
import { buildServersImage, serversImage } from "./images.ts";
import { PlacedContainer } from "./placed-container.ts";

const { client, leftOut } = await findContainerEngine();

const withinMs = 90_000;
const folder = "/root/atoll-eu-1";
const device = "/run/atoll-disk";
const module = join(home, "terraform/modules/machine");
/** A file of the module as it is on the machine. */
function rendered(name: string): string {
  return Object.entries({ host: "eu-1", folder, device }).reduce((text, [word, value]) => text.replaceAll(`\${${word}}`, value), readFileSync(join(module, name), "utf8"));
}

const units = "/etc/systemd/system";
/** A container has no disks: what is known of them, and their file systems, is played by memory. Everything else is real. */
const files: Readonly<Record<string, string>> = {
  [`${folder}/data.sh`]: rendered("data.sh"),
  [`${folder}/attach.sh`]: `set -eu\n[ -e /run/disk-is-free ] || { echo 'VolumeInUse' >&2; exit 254; }\ntouch ${device}\n`,
  [`${units}/attach-atoll-data.service`]: rendered("attach-atoll-data.service.tftpl"),
  [`${units}/atoll-.service.d/50-data.conf`]: rendered("data.conf"),
  [`${units}/atoll-setup.service`]: rendered("atoll-setup.service.tftpl"),
  [`${folder}/setup.sh`]: "touch /var/lib/atoll/was-set-up\n",
  [`${units}/atoll-etcd.service`]: readFileSync(join(home, "infra/example/hosts/eu-1/systemd/atoll-etcd.service"), "utf8").replace(/^ExecStart=.*$/m, "ExecStart=/bin/sleep infinity").replace(/^EnvironmentFile=.*\n/m, ""),
  "/usr/local/sbin/blkid": "#!/bin/sh\n",
  "/usr/local/sbin/mount": '#!/bin/sh\nexec /bin/mount -t tmpfs disk "$4"\n',
};

/** Undefined only where it could not be started; then no test runs. */
let machine: StartedTestContainer;

/** Runs a shell command on the machine. @throws Error with what it printed */
async function run(command: string): Promise<string> {
  const { exitCode, output } = await machine.exec(["bash", "-euo", "pipefail", "-c", command]);
  if (exitCode !== 0) throw new Error(`${command}: ${output}`);
  return output.trim();
}

const stateOf = (unit: string): Promise<string> => run(`systemctl show --value --property ActiveState ${unit}`);

// Each step rests on the one before it: it is one machine's life.
describe.skipIf(client === undefined)(`a machine whose disk outlives it, under systemd in a container${leftOut}`, () => {
  beforeAll(async () => {
    await buildServersImage();
    machine = await new PlacedContainer(serversImage, [])
      .bootsSystemd([])
      .withPullPolicy({ shouldPull: () => "never" })
      .withCopyContentToContainer(Object.entries(files).map(([target, content]) => ({ target, content, mode: 0o755 })))
      .start();
    await eventually("systemd has booted", async () => (await run("systemctl is-system-running || true")) === "running", withinMs);
    await run("mkdir -p /var/lib/atoll /var/cache/atoll && systemctl daemon-reload && systemctl start --no-block atoll-etcd.service atoll-setup.service");
  }, 900_000);

  afterAll(async () => {
    await (machine as StartedTestContainer | undefined)?.stop({ remove: true, timeout: 10_000 });
  }, 60_000);

  it("starts nothing of Atoll while another machine has the disk", async () => {
    await eventually("it has asked for the disk in vain", () => run("journalctl -u attach-atoll-data.service | grep -q 'cannot be attached yet' && echo yes"), withinMs);
    expect(await Promise.all(["attach-atoll-data", "atoll-etcd", "atoll-setup"].map(stateOf))).toEqual(["activating", "inactive", "inactive"]);
  });

  it("starts everything on the disk once that is free, without being asked again", async () => {
    await run("touch /run/disk-is-free");
    await eventually("etcd runs", async () => (await stateOf("atoll-etcd")) === "active", withinMs);
    await eventually("the machine was set up", () => run("ls /var/lib/atoll/was-set-up"), withinMs);
    expect(await run("findmnt --noheadings --output FSTYPE /var/lib/atoll")).toBe("tmpfs");
    expect(await run("stat --format %U /var/lib/atoll")).toBe("atoll");
  });

  it("stops what stands on the disk when that goes", async () => {
    await run("systemctl stop var-lib-atoll.mount attach-atoll-data.service");
    expect(await stateOf("atoll-etcd")).toBe("inactive");
    // The order is the units' own (`After=`); the journal has shown these two lines in either.
    const journal = await run("journalctl --no-pager --output cat -u atoll-etcd.service -u var-lib-atoll.mount | grep -E '^(Stopped|Unmounted)'");
    expect(journal).toMatch(/^Stopped /m);
    expect(journal).toMatch(/^Unmounted /m);
    expect(await run("ls -A /var/lib/atoll")).toBe("");
  });
});

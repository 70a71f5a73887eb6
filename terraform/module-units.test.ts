import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const units = join(import.meta.dirname, "modules/federation/units");

/** Stands in for `atoll`: writes down what it is asked for, has a supervisor while `data` has one, and cannot bring anything up while `broken` is there. */
const atoll = `#!/bin/sh
shift
echo "atoll $*" >>"$PLACE/log"
case "$*" in
  *" status") if [ -e "$DIRECTORY/data/supervised" ]; then echo '{"supervised": true}'; else exit 1; fi ;;
  *" up "*) mkdir -p "$DIRECTORY/data"; touch "$DIRECTORY/data/keys"; if [ -e "$PLACE/broken" ]; then exit 7; fi; touch "$DIRECTORY/data/supervised" ;;
  *" down") rm -f "$DIRECTORY/data/supervised" ;;
  "bootstrap "*) mkdir -p "$DIRECTORY/keys"; cp "$PLACE/compose.sh" "$DIRECTORY/compose.sh" ;;
esac
`;

/** Stands in for what bootstrap writes: a part runs from its "up" to its "down". */
const composeScript = `echo "compose.sh $*" >>"$PLACE/log"
case $1 in
  up) if [ -e "$PLACE/broken" ]; then exit 1; fi; touch "$PLACE/runs.$2" ;;
  status) if [ -e "$PLACE/unknown" ]; then exit 1; fi; [ -e "$PLACE/runs.$2" ] || exit 3 ;;
  down) rm -f "$PLACE/runs.\${2:-@global}" ;;
esac
`;

describe("the units of the module `federation`", () => {
  let place: string;
  let directory: string;
  const log = (): readonly string[] => readFileSync(join(place, "log"), "utf8").trim().split("\n");

  beforeEach(() => {
    place = mkdtempSync(join(tmpdir(), "atoll-units-"));
    directory = join(place, "f");
    for (const folder of ["home/node_modules/.bin", "bin"]) mkdirSync(join(place, folder), { recursive: true });
    for (const [path, text] of [["home/node_modules/.bin/node", atoll], ["bin/docker", "#!/bin/sh\n"], ["compose.sh", composeScript]] as const) {
      writeFileSync(join(place, path), text);
      chmodSync(join(place, path), 0o755);
    }
  });
  afterEach(() => rmSync(place, { recursive: true }));

  /** Runs a unit's actions one after the other as one provider does, which is then the parent of all; answers how the last that failed ended. */
  function provider(unit: "processes" | "docker", actions: readonly string[], part = "@global"): Promise<number | null> {
    return new Promise((resolve) => {
      const program = actions.map((action) => `sh "${units}/${unit}.sh" ${action} || status=$?`).join("; ");
      const env = { PATH: `${join(place, "bin")}:${process.env["PATH"]}`, PLACE: place, DIRECTORY: directory, ATOLL_HOME: join(place, "home"), FEDERATION_NAME: "f", FEDERATION: "kind: Federation", PART: part, WITHIN: "1" };
      spawn("sh", ["-c", `status=0; ${program}; exit $status`], { env, stdio: "ignore" }).once("exit", resolve);
    });
  }

  describe("as processes", () => {
    const downs = (): number => log().filter((line) => line.endsWith(" down")).length;

    it("starts what is missing beside what serves, and ends nothing", async () => {
      expect(await provider("processes", ["start", "start", "status"])).toBe(0);
      expect(downs()).toBe(0);
    });

    it("ends first what goes on without a supervisor", async () => {
      expect(await provider("processes", ["start"])).toBe(0);
      rmSync(join(directory, "data/supervised"));
      expect(await provider("processes", ["status"])).toBe(3);
      expect(await provider("processes", ["start"])).toBe(0);
      expect(downs()).toBe(1);
    });

    it("leaves nothing of a first start that failed", async () => {
      writeFileSync(join(place, "broken"), "");
      expect(await provider("processes", ["start", "stop"])).not.toBe(0);
      expect(existsSync(directory)).toBe(false);
    });

    it("leaves what was there when a repair fails, and goes when somebody destroys it later", async () => {
      expect(await provider("processes", ["start"])).toBe(0);
      writeFileSync(join(place, "broken"), "");
      expect(await provider("processes", ["start", "stop"])).not.toBe(0);
      expect(existsSync(join(directory, "data/keys"))).toBe(true);
      expect(downs()).toBe(0);
      expect(await provider("processes", ["start"])).not.toBe(0);
      expect(await provider("processes", ["stop"])).toBe(0);
      expect(existsSync(directory)).toBe(false);
    });
  });

  describe("in containers", () => {
    const scripted = (): readonly string[] => log().filter((line) => line.startsWith("compose.sh"));

    it("brings up the part that it is for, finds it short, and leaves nothing", async () => {
      expect(await provider("docker", ["start", "status"])).toBe(0);
      expect(await provider("docker", ["start", "status"], "eu-west")).toBe(0);
      rmSync(join(place, "runs.eu-west"));
      expect(await provider("docker", ["status"], "eu-west")).toBe(3);
      expect(await provider("docker", ["stop"], "eu-west")).toBe(0);
      expect(await provider("docker", ["stop"])).toBe(0);
      expect(existsSync(directory)).toBe(false);
      expect(log().filter((line) => line.startsWith("atoll"))).toHaveLength(1);
      expect(scripted()).toEqual(["compose.sh up @global", "compose.sh status @global", "compose.sh up eu-west", "compose.sh status eu-west", "compose.sh status eu-west", "compose.sh down eu-west", "compose.sh down"]);
    });

    it("says neither that it runs nor that it does not where nobody can tell", async () => {
      expect(await provider("docker", ["status"], "eu-west")).toBe(3);
      expect(await provider("docker", ["start"])).toBe(0);
      writeFileSync(join(place, "unknown"), "");
      expect(await provider("docker", ["status"])).toBe(1);
      rmSync(join(place, "unknown"));
      writeFileSync(join(place, "bin/docker"), "#!/bin/sh\nexit 1\n");
      expect(await provider("docker", ["status"])).toBe(1);
    });

    it("leaves a region that was there when its repair fails, and nothing of a first start that failed", async () => {
      expect(await provider("docker", ["start"])).toBe(0);
      expect(await provider("docker", ["start"], "eu-west")).toBe(0);
      writeFileSync(join(place, "broken"), "");
      expect(await provider("docker", ["start", "stop"], "eu-west")).toBe(1);
      expect(await provider("docker", ["start", "stop"], "us-east")).toBe(1);
      expect(scripted().filter((line) => line.includes("down"))).toEqual(["compose.sh down us-east"]);
    });
  });
});

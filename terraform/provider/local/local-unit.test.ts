import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CtyObject } from "../cty/values.ts";
import { noPlanes } from "../planes.ts";
import { localUnit } from "./local-unit.ts";

const never = new AbortController().signal;
const planes = noPlanes("no plane is asked", process.env);

/** Runs as long as a file lies there; what it is asked for stands in a log. */
const script = `
echo "$1 $WORD" >> "$PLACE/log"
case $1 in
  start) touch "$PLACE/runs"; if [ "$WORD" = bad ]; then echo "no such image" >&2; exit 7; fi ;;
  status) if [ "$WORD" = odd ]; then echo "no engine" >&2; exit 1; fi; if [ -e "$PLACE/runs" ]; then exit 0; fi; exit 3 ;;
  stop) rm -f "$PLACE/runs" ;;
esac
`;

describe("a unit of this machine", () => {
  let place: string;
  const unit = (word: string, more: CtyObject = {}): CtyObject => ({ name: "one", program: ["sh", join(place, "unit.sh")], environment: { PLACE: place, WORD: word }, triggers: null, timeout_seconds: null, id: null, instance: null, ...more });
  const log = (): readonly string[] => readFileSync(join(place, "log"), "utf8").trim().split("\n");

  beforeEach(() => {
    place = mkdtempSync(join(tmpdir(), "atoll-unit-test-"));
    writeFileSync(join(place, "unit.sh"), script);
  });
  afterEach(() => rmSync(place, { recursive: true }));

  it("is started, found, missed when it has gone, and stopped", async () => {
    const { state } = await localUnit.create(unit("a"), planes, never);
    expect(state).toMatchObject({ id: "one", instance: expect.stringMatching(/./) as string });
    expect(await localUnit.read(state, planes, never)).toEqual({ state, memory: {} });
    rmSync(join(place, "runs"));
    expect(await localUnit.read(state, planes, never)).toBeUndefined();
    await localUnit.remove(state, {}, planes, never);
    expect(log()).toEqual(["start a", "status a", "status a", "stop a"]);
  });

  it("leaves nothing when its start fails, and says what the program complained of", async () => {
    await expect(localUnit.create(unit("bad"), planes, never)).rejects.toMatchObject({ code: "ATOLL_PROCESS_FAILED", message: "one: start ended with 7\nno such image", details: { attribute: "program" } });
    expect(log()).toEqual(["start bad", "stop bad"]);
    expect(existsSync(join(place, "runs"))).toBe(false);
  });

  it("starts again for another environment, remembers another program, and stays the same instance", async () => {
    const { state: prior } = await localUnit.create(unit("a"), planes, never);
    const same = await localUnit.update({ prior, planned: { ...prior, timeout_seconds: 9 }, memory: {} }, planes, never);
    expect(same.state).toEqual({ ...prior, timeout_seconds: 9 });
    const other = await localUnit.update({ prior, planned: { ...prior, environment: { PLACE: place, WORD: "b" } }, memory: {} }, planes, never);
    expect(other.state["instance"]).toBe(prior["instance"]);
    expect(log()).toEqual(["start a", "start b"]);
  });

  it("takes a status that is neither for a fault, so that nothing is started twice", async () => {
    await expect(localUnit.read(unit("odd"), planes, never)).rejects.toMatchObject({ code: "ATOLL_PROCESS_FAILED", message: "one: status ended with 1\nno engine" });
  });

  it("is given up when it takes too long", async () => {
    writeFileSync(join(place, "unit.sh"), "case $1 in start) exec sleep 600 ;; esac\n");
    await expect(localUnit.create(unit("a", { timeout_seconds: 1 }), planes, never)).rejects.toMatchObject({ message: "one: start did not end within 1 s" });
  });

  it("is given up, with everything that it waits for, when Terraform is stopped", async () => {
    writeFileSync(join(place, "unit.sh"), 'case $1 in start) sleep 600 & echo $! > "$PLACE/child.new"; mv "$PLACE/child.new" "$PLACE/child"; wait ;; esac\n');
    const stopping = new AbortController();
    const created = expect(localUnit.create(unit("a"), planes, stopping.signal)).rejects.toMatchObject({ message: "one: start was stopped" });
    while (!existsSync(join(place, "child"))) await turn();
    stopping.abort();
    await created;
    const child = Number(readFileSync(join(place, "child"), "utf8"));
    while (isAlive(child)) await turn();
  });

  it("says that a program is not there", async () => {
    await expect(localUnit.read(unit("a", { program: [join(place, "nothing")] }), planes, never)).rejects.toThrow(/one: .*nothing cannot be run/);
  });

  it("is refused without a program, and with a time that is none", () => {
    expect(localUnit.validate(unit("a", { program: [] }))).toMatchObject([{ attribute: { steps: [{ attribute_name: "program" }] } }]);
    expect(localUnit.validate(unit("a", { timeout_seconds: 0 }))).toMatchObject([{ detail: "Found 0, expected seconds from 1 to 3600." }]);
    expect(localUnit.validate(unit("a"))).toEqual([]);
  });
});

function isAlive(pid: number): boolean {
  try {
    // One that has ended and waits for its parent's attention has no command line any more.
    process.kill(pid, 0);
    return !existsSync("/proc/self/cmdline") || readFileSync(`/proc/${pid}/cmdline`, "utf8") !== "";
  } catch {
    return false;
  }
}

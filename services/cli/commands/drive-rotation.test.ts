import { beforeEach, describe, expect, it } from "vitest";
import type { RootRotation } from "#federation/admin-api/plane-routes.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { rotationPhases, rotationSteps, stepFrom, type RotationPhase } from "#federation/model/root-rotation.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { driveRotation, type DriveOptions, type RotationGear } from "./drive-rotation.ts";
import type { RotationWait } from "./rotation-waits.ts";

describe("driving a rotation", () => {
  let clock: VirtualClock;
  let phase: RotationPhase;
  let sequence: number;
  let waits: readonly RotationWait[];
  let steps: string[];
  let words: string[];
  let fault: AtollError | undefined;
  const rotation = (): RootRotation => ({ trustDomain: "shop.example" as TrustDomainName, phase, sequence, issuingSha256: "a".repeat(64) });
  const gear = (): RotationGear => ({
    look: () => (fault === undefined ? Promise.resolve({ rotation: rotation(), waits }) : Promise.reject(fault)),
    take: (step, of) => {
      if (stepFrom[phase] !== step || of !== sequence) return Promise.reject(new AtollError("ATOLL_ROTATION_OUT_OF_STEP", "moved on"));
      steps.push(step);
      sequence++;
      phase = rotationPhases[(rotationPhases.indexOf(phase) + 1) % rotationPhases.length] ?? phase;
      return Promise.resolve(rotation());
    },
    onWord: (word) => void words.push(word),
    clock,
  });
  const drive = (options: DriveOptions) => driveRotation(gear(), options, new AbortController().signal);

  beforeEach(() => {
    clock = new VirtualClock();
    [phase, sequence, waits, steps, words, fault] = ["settled", 1, [], [], [], undefined];
  });

  it("takes each step in its order, once", async () => {
    expect(await drive({ resume: false })).toMatchObject({ phase: "settled" });
    expect(steps).toEqual([...rotationSteps]);
    expect(words.map((word) => word.split(":")[0])).toEqual(["prepared", "activated", "tainted", "revoked"]);
  });

  it.each(rotationPhases)("is resumed where it is %s, and takes what is left", async (at) => {
    phase = at;
    await drive({ resume: true });
    expect(steps).toEqual(at === "settled" ? [] : rotationSteps.slice(rotationPhases.indexOf(at)));
  });

  it("refuses a second one, naming where the first is", async () => {
    phase = "draining";
    await expect(drive({ resume: false })).rejects.toMatchObject({ code: "ATOLL_ROTATION_OUT_OF_STEP", message: expect.stringContaining("it is draining, with the bundle of sequence 1") as string });
    expect(steps).toEqual([]);
  });

  it("waits for whom it has to, says so once, and gives up by name when its time is over", async () => {
    phase = "distributing";
    waits = [{ cluster: "us", cause: "svids", reason: "ends in 9 s" }];
    const driven = drive({ resume: true, timeout: 5 });
    const refused = expect(driven).rejects.toMatchObject({ code: "ATOLL_ROLLOUT_INCOMPLETE", message: expect.stringMatching(/^after 5 s .*activate waits for us \(ends in 7 s\); --resume/) as string });
    await clock.advance(2_000);
    waits = [{ cluster: "us", cause: "svids", reason: "ends in 7 s" }];
    await clock.advance(10_000);
    await refused;
    expect(words).toEqual(["activate waits for us (ends in 9 s)"]);
    expect(steps).toEqual([]);
  });

  it("goes on when a plane that was away is back, and ends at once for what will not pass", async () => {
    waits = [{ cluster: "us", cause: "behind", reason: "has the bundle of sequence 1" }];
    const driven = drive({ resume: false });
    await clock.advance(1_500);
    fault = new AtollError("ATOLL_ADMIN_UNAVAILABLE", "nobody is there");
    await clock.advance(3_000);
    [fault, waits] = [undefined, []];
    await clock.advance(3_000);
    expect(await driven).toMatchObject({ phase: "settled" });
    expect(words).toContain("the rotation waits: nobody is there");
    phase = "tainted";
    fault = new AtollError("ATOLL_ADMIN_FORBIDDEN", "not yours");
    await expect(drive({ resume: true })).rejects.toMatchObject({ code: "ATOLL_ADMIN_FORBIDDEN" });
  });
});

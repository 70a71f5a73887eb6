import { measureCost } from "./measure.ts";
import type { BenchSettings } from "./measure.ts";
import { readProfiles, summarizeProfile } from "./cpu-profile.ts";
import type { ProfileSummary } from "./cpu-profile.ts";
import type { Rig } from "./rig.ts";
import type { Shape } from "./shape.ts";
import type { Subject } from "./subject.ts";
import { startBackend } from "./surroundings.ts";

/** What to profile. `subject` writes a V8 profile into `directory` when it ends. */
export interface ProfileRun {
  readonly shape: Shape;
  readonly subject: Subject;
  readonly settings: BenchSettings;
  readonly directory: string;
  readonly home: string;
}

/** Loads the subject in a closed loop, ends it, and reads where the time of each of its processes went. Their start is in it too. */
export async function profileShape(rig: Rig, run: ProfileRun, signal: AbortSignal): Promise<ReadonlyMap<string, ProfileSummary>> {
  {
    await using cleanUp = new AsyncDisposableStack();
    const backend = await startBackend(rig, cleanUp, signal);
    const running = await run.subject.start({ rig, backend, shape: run.shape, cleanUp }, signal);
    await measureCost(rig, running, run.settings, signal);
  }
  return new Map([...readProfiles(run.directory)].map(([name, profile]) => [name, summarizeProfile(profile, run.home)]));
}

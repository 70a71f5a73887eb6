import type { RootRotation } from "#federation/admin-api/plane-routes.ts";
import { stepFrom, type RotationStep } from "#federation/model/root-rotation.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError, isAtollError } from "#federation/runtime/errors.ts";
import { nextWords, type RotationWait } from "./rotation-waits.ts";

/** What a rotation is driven through. */
export interface RotationGear {
  readonly look: (signal: AbortSignal) => Promise<{ readonly rotation: RootRotation; readonly waits: readonly RotationWait[] }>;
  readonly take: (step: RotationStep, sequence: number, signal: AbortSignal) => Promise<RootRotation>;
  /** Hears of each step that was taken, and of each change in what the next one waits for. */
  readonly onWord: (word: string) => void;
  readonly clock: Clock;
}

export interface DriveOptions {
  /** Goes on with a rotation that is on its way, rather than beginning one. */
  readonly resume: boolean;
  /** How long it may take, in s; for ever unless told. */
  readonly timeout?: number;
}

const lookAgainMs = 1_000;
/** Of a plane that is away, or of another who takes the steps of the same rotation. */
const passing = ["ATOLL_ADMIN_UNAVAILABLE", "ATOLL_STORE_UNAVAILABLE", "ATOLL_TIMEOUT", "ATOLL_ROTATION_OUT_OF_STEP"] as const;

/**
 * Takes a rotation to its end, each step once nobody has to be waited for. What it knows it has read anew before each, so that it may be
 * ended and resumed at any moment.
 * @throws {ATOLL_ROTATION_OUT_OF_STEP} when one is to begin and one is on its way; {ATOLL_ROLLOUT_INCOMPLETE} naming whom it waits for when its time is over
 */
export async function driveRotation({ look, take, onWord, clock }: RotationGear, { resume, timeout = Number.POSITIVE_INFINITY }: DriveOptions, signal: AbortSignal): Promise<RootRotation> {
  const endMs = clock.monotonicMs() + timeout * 1_000;
  const { rotation } = await look(signal);
  const { trustDomain } = rotation;
  if (!resume && rotation.phase !== "settled") throw new AtollError("ATOLL_ROTATION_OUT_OF_STEP", `a rotation of the root of ${trustDomain} is on its way: it is ${rotation.phase}, with the bundle of sequence ${rotation.sequence}; --resume goes on with it`);
  if (!resume) onWord(wordOf("prepare", await take("prepare", rotation.sequence, signal)));
  let said = "";
  for (;;) {
    let word: string;
    try {
      const seen = await look(signal);
      if (seen.rotation.phase === "settled") return seen.rotation;
      if (seen.waits.length === 0) {
        const step = stepFrom[seen.rotation.phase];
        onWord(wordOf(step, await take(step, seen.rotation.sequence, signal)));
        continue;
      }
      word = nextWords(seen.rotation.phase, seen.waits);
    } catch (error) {
      if (!isAtollError(error, ...passing)) throw error;
      word = `the rotation waits: ${describeError(error)}`;
    }
    if (clock.monotonicMs() >= endMs) throw new AtollError("ATOLL_ROLLOUT_INCOMPLETE", `after ${timeout} s the rotation of the root of ${trustDomain} is not over: ${word}; --resume goes on with it`);
    // Times that run down are no news.
    const news = word.replaceAll(/\d+ s\b/g, "");
    if (news !== said) onWord(word);
    said = news;
    await sleep(clock, lookAgainMs, signal);
  }
}

function wordOf(step: RotationStep, { sequence }: RootRotation): string {
  switch (step) {
    case "prepare":
      return `prepared: there is another root, and it is in the bundle of sequence ${sequence}; nothing is issued by it yet`;
    case "activate":
      return `activated: every cluster and its proxies have both roots; the other one issues, under sequence ${sequence}, and the former has no key any more`;
    case "taint":
      return `tainted: what the former root has issued has ended; the bundle of sequence ${sequence} is without it`;
    case "revoke":
    default:
      return "revoked: nobody verifies by the former root any more";
  }
}

import type { ThreeRegions } from "./three-regions.ts";

/** Something that somebody takes away by hand, behind Terraform's back. */
export interface Drift {
  /** In words. */
  readonly name: string;
  readonly happen: () => Promise<void>;
  /** All that a plan has to do about it. */
  readonly planned: string;
}

/** What the loss of a region came to, and its return by `terraform apply`. */
export interface RegionLoss {
  /** What was killed, by name. */
  readonly killed: readonly string[];
  /** What a plan wanted to do while it was dead. */
  readonly planned: readonly string[];
  /** What was not killed and is another one after the return, by name. */
  readonly restarted: readonly string[];
  /** What users saw, from before the kill until some seconds after the return. */
  readonly requests: number;
  readonly failed: number;
  /** Repeatable requests that failed before the kill or after the shift. */
  readonly failedIdempotentOutsideShift: number;
  /** From the kill until users were served by another region; null when that did not happen. */
  readonly shiftMs: number | null;
  /** From the beginning of the apply until they were served as before. */
  readonly recoverMs: number | null;
}

/** The region of the example whose stock is asked first, and that is lost. */
export const lostRegion = "us-east";

/** The example on what runs its programs. Disposing ends whatever of it still lives, and removes everything. */
export interface RunTarget extends AsyncDisposable {
  readonly example: ThreeRegions;
  /** What the storefront of eu-west answers; for `/stock` it asks, through its sidecar, whoever has stock. */
  storefront(path: string): Promise<string>;
  readonly drifts: readonly Drift[];
  /** Kills everything of `lostRegion` by SIGKILL while users call, and has it brought back by Terraform. */
  loseRegion(): Promise<RegionLoss>;
  /** Destroys it; answers by name what is left of the state, of what ran, and of its files. */
  destroy(): Promise<readonly string[]>;
}

import { stepFrom, type RotationStep } from "#federation/model/root-rotation.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { KeyFiles } from "./key-files.ts";

/** The roots of a trust domain at its signer, by the phase of their rotation. Of a root that issues no more only the certificate is kept. */
export type SignerRoots = {
  /** Of the bundle that they make. */
  readonly sequence: number;
  /** By which intermediates are issued. */
  readonly issuing: KeyFiles;
} & (
  | { readonly phase: "settled" }
  | { readonly phase: "distributing"; readonly next: KeyFiles }
  | { readonly phase: "draining" | "tainted"; readonly formerPem: string }
);

/**
 * The roots after `step`; `sequence` is that of the roots which the step was decided for. Pure, but for the root that `makeRoot` makes.
 * @throws {ATOLL_ROTATION_OUT_OF_STEP} for another step than the next one, or when the roots have moved on since
 */
export function advanceRoots(roots: SignerRoots, { step, sequence }: { readonly step: RotationStep; readonly sequence: number }, makeRoot: () => KeyFiles): SignerRoots {
  const { issuing } = roots;
  if (stepFrom[roots.phase] !== step || roots.sequence !== sequence) {
    throw new AtollError("ATOLL_ROTATION_OUT_OF_STEP", `${step} for sequence ${sequence} is not the next step: the rotation is ${roots.phase} with sequence ${roots.sequence}, and ${stepFrom[roots.phase]} comes next`);
  }
  switch (roots.phase) {
    case "settled":
      return { phase: "distributing", sequence: sequence + 1, issuing, next: makeRoot() };
    case "distributing":
      return { phase: "draining", sequence: sequence + 1, issuing: roots.next, formerPem: issuing.certificatePem };
    case "draining":
      return { phase: "tainted", sequence: sequence + 1, issuing, formerPem: roots.formerPem };
    case "tainted":
    default:
      return { phase: "settled", sequence, issuing };
  }
}

/** The certificates of a bundle, in PEM, that by which the signer issues first. Pure. */
export function believedRoots(roots: SignerRoots): readonly string[] {
  const { certificatePem } = roots.issuing;
  if (roots.phase === "distributing") return [certificatePem, roots.next.certificatePem];
  return roots.phase === "draining" ? [certificatePem, roots.formerPem] : [certificatePem];
}

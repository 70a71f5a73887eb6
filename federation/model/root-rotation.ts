/**
 * Where the rotation of a trust domain's root stands, of which each step is one durable write of its signer:
 *
 *   settled --prepare--> distributing --activate--> draining --taint--> tainted --revoke--> settled
 *
 * `settled`: one root. `distributing`: another is in the bundle, and nothing is issued by it before everybody has it. `draining`: the other
 * issues, and what the former has issued ends. `tainted`: the former is in no bundle any more, and its key is gone.
 */
export const rotationPhases = ["settled", "distributing", "draining", "tainted"] as const;
export type RotationPhase = (typeof rotationPhases)[number];

export const rotationSteps = ["prepare", "activate", "taint", "revoke"] as const;
export type RotationStep = (typeof rotationSteps)[number];

/** The only step that is taken from a phase. */
export const stepFrom: Readonly<Record<RotationPhase, RotationStep>> = { settled: "prepare", distributing: "activate", draining: "taint", tainted: "revoke" };

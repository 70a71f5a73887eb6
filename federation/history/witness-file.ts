import { readFileSync } from "node:fs";
import { z } from "zod";
import { behindReasons } from "#federation/model/store-standing.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { writePrivateFileSync } from "#federation/runtime/private-file.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { isMissing } from "#federation/runtime/missing-file.ts";
import { marksMax, nothingWitnessed, type StoreWitness } from "./store-witness.ts";

const generation = { epoch: z.int().min(0), revision: z.int().min(0) };

const schema = z.object({
  ...generation,
  marks: z.array(z.string().max(64)).max(marksMax).default([]),
  behind: z.exactOptional(z.object({ reason: z.enum(behindReasons), witnessed: z.object(generation), witness: z.string().max(128) })),
});

/**
 * The witness that was written last, or that nothing is witnessed where there is no file. One that cannot be read counts as none, since a
 * damaged file must not end a region: the other planes are witnesses too.
 */
export function readWitness(path: string, logger: Logger): StoreWitness {
  try {
    return schema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    const isAbsent = isMissing(error);
    if (!isAbsent) logger.error("The witness of the store cannot be read; the store is believed as it is.", { file: path, reason: describeError(error) });
    return nothingWitnessed;
  }
}

export function writeWitness(path: string, witness: StoreWitness): void {
  writePrivateFileSync(path, JSON.stringify(witness));
}

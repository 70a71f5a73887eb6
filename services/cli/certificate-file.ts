import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

/** The first certificate in the PEM file at `path`; undefined where there is none that can be read. */
export function certificateInFile(path: string): X509Certificate | undefined {
  try {
    return new X509Certificate(readFileSync(path));
  } catch {
    return undefined;
  }
}

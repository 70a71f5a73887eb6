import { parseSpiffeId } from "#federation/model/spiffe-id.ts";
import type { SpiffeId } from "#federation/model/names.ts";

/**
 * The SPIFFE ID of a verified certificate, from Node's text of its alternative names: the one URI among them.
 * Undefined when there is none or more than one, when it is not a SPIFFE ID, or when a name needed quoting, which no honest one does.
 * @see https://nodejs.org/api/crypto.html#x509subjectaltname
 */
export function peerSpiffeId(subjectAltName: string | undefined): SpiffeId | undefined {
  if (subjectAltName === undefined || subjectAltName.includes('"')) return undefined;
  const uris = subjectAltName.split(", ").filter((name) => name.startsWith("URI:"));
  const [uri] = uris;
  if (uri === undefined || uris.length > 1) return undefined;
  try {
    return parseSpiffeId(uri.slice("URI:".length));
  } catch {
    return undefined;
  }
}

import type { ReceivedDeltaResponse } from "#federation/wire/discovery-messages.ts";
import { isPart } from "#federation/wire/discovery-parts.ts";
import { heldVersionsBytes, streamNamesMax } from "#federation/wire/limits.ts";

/**
 * What a proxy holds of one type when it opens a stream. The plane is told the versions of as much as a request has room for. Of the others
 * it knows nothing: it sends again what there still is of them, and says of none that it is gone. So those that have not come when all has
 * been told are gone.
 */
export class HeldResources {
  /** Versions by name, for the plane. */
  readonly named: Readonly<Record<string, string>>;
  readonly #unnamed: Set<string>;

  constructor(held: ReadonlyMap<string, string>) {
    const named: [string, string][] = [];
    let bytes = 0;
    for (const [name, version] of held) {
      bytes += Buffer.byteLength(name) + Buffer.byteLength(version);
      if (named.length === streamNamesMax || bytes > heldVersionsBytes) break;
      named.push([name, version]);
    }
    this.named = Object.fromEntries(named);
    this.#unnamed = new Set([...held.keys()].slice(named.length));
  }

  /** `response` with the removal of what has turned out to be gone, for as long as nobody has taken that. */
  completed(response: ReceivedDeltaResponse): ReceivedDeltaResponse {
    if (this.#unnamed.size === 0) return response;
    for (const { name } of response.resources) this.#unnamed.delete(name);
    if (isPart(response)) return response;
    return { ...response, removed: [...response.removed, ...this.#unnamed] };
  }

  /** `response` has been applied, with what it was completed by. */
  taken(response: ReceivedDeltaResponse): void {
    if (!isPart(response)) this.#unnamed.clear();
  }
}

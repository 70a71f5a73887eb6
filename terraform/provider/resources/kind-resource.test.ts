import { describe, expect, it } from "vitest";
import type { AdminClient } from "#federation/admin-api/client.ts";
import { apiVersion, type Region } from "#federation/model/resource.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { ProviderPlanes } from "../planes.ts";
import { toState } from "./conversion.ts";
import { kindResource } from "./kind-resource.ts";
import { kindRows, type KindRow } from "./kinds.ts";

const { signal } = new AbortController();
const row = kindRows.find(({ kind }) => kind === "Region") as KindRow;
const resource = kindResource(row);
const region = (displayName: string, revision: number): Region => ({ apiVersion, kind: "Region", metadata: { name: "eu-west", generation: 1, revision }, spec: { displayName } });
const stateOf = (displayName: string) => toState(row, region(displayName, 1), { cluster: undefined, written: undefined });

/** A plane that keeps one region; before each write `meanwhile` may have written it too. */
class OnePlane {
  kept: Region;
  writes = 0;
  readonly #meanwhile: (plane: OnePlane) => void;

  constructor(kept: Region, meanwhile: (plane: OnePlane) => void) {
    this.kept = kept;
    this.#meanwhile = meanwhile;
  }

  /** As a plane that has noted something in its status does. */
  touch(displayName = this.kept.spec.displayName ?? ""): void {
    this.kept = region(displayName, (this.kept.metadata.revision ?? 0) + 1);
  }

  get planes(): ProviderPlanes {
    const apply = async (wanted: Region, { ifRevision }: { readonly ifRevision?: number }): Promise<unknown> => {
      this.writes++;
      this.#meanwhile(this);
      if (ifRevision !== this.kept.metadata.revision) throw new AtollError("ATOLL_STORE_CONFLICT", "it is at another revision");
      this.touch(wanted.spec.displayName);
      return { resource: this.kept };
    };
    const client = (): AdminClient => ({ apply, get: async () => this.kept }) as unknown as AdminClient;
    return { environment: {}, clusters: [], timeoutMs: 30_000, of: client, signerOf: client };
  }
}

const update = (plane: OnePlane) => resource.update({ prior: stateOf("Europe"), planned: stateOf("West"), memory: { revision: 1 } }, plane.planes, signal);

describe("a change of Terraform's", () => {
  it("is written again when only what the server fills has moved on since it was read", async () => {
    const plane = new OnePlane(region("Europe", 1), (one) => (one.writes < 4 ? one.touch() : undefined));
    expect(await update(plane)).toMatchObject({ state: { display_name: "West" }, memory: { revision: 5 } });
    expect(plane.writes).toBe(4);
  });

  it("is not written over what somebody else has changed", async () => {
    const plane = new OnePlane(region("Europe", 1), (one) => one.touch("Theirs"));
    await expect(update(plane)).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT", message: expect.stringContaining("was changed by somebody else since it was read") as string });
    expect(plane.writes).toBe(1);
    expect(plane.kept.spec.displayName).toBe("Theirs");
  });

  it("is given up after a bounded number of tries", async () => {
    const plane = new OnePlane(region("Europe", 1), (one) => one.touch());
    await expect(update(plane)).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT" });
    expect(plane.writes).toBe(5);
  });
});

import type { Mutant } from "./mutant.ts";

const publisher = "federation/replication/core/publisher.ts";
const shell = "federation/replication/shell/run-publisher.ts";
const own = "services/cluster/exports/own-objects.ts";
const objects = "services/global/relay/global-objects.ts";
const state = "services/global/relay/federation-state.ts";

/** Bugs of whoever says something. */
export const publishingMutants: readonly Mutant[] = [
  { name: "a change that was undone in time is said all the same", file: publisher, find: "    this.#pending.delete(id);\n", replace: "" },
  { name: "withdrawals are in no frame and in no digest", file: publisher, find: "if (object === undefined) this.#withdraw(id);", replace: "if (object === undefined) continue;" },
  { name: "an answer has only the first of each bucket's objects", file: publisher, find: "if (buckets.has(bucket)) packer.entry(object.signed);", replace: "if (buckets.delete(bucket)) packer.entry(object.signed);" },
  { name: "an answer brings nothing", file: publisher, find: "if (buckets.has(bucket)) packer.entry(object.signed);", replace: "" },
  { name: "what is pending is given up when more comes", file: publisher, find: "    this.#pendingRevision = state.revision;\n", replace: "    this.#pendingRevision = state.revision;\n    this.#pending.clear();\n" },
  { name: "a publisher that was started again goes on in its old stream", file: shell, find: 'Buffer.from(options.random.bytes(8)).toString("hex")', replace: '"stream"' },
  { name: "a restart counts positions from the beginning", file: own, find: "    own.#revision = own.#storedRevision;\n", replace: "" },
  { name: "what is exported once is never said anew", file: own, find: "return known === content.fingerprint;", replace: "return true;" },
  { name: "a deletion is not said", file: own, find: "if (content === undefined) return before && {", replace: "if (content === undefined) return undefined && {" },
  { name: "a resource that has changed is not signed anew", file: objects, find: "before?.value === value ? before : { value, object: this.#sign(value.kind, key, revision, value) }", replace: "before ?? { value, object: this.#sign(value.kind, key, revision, value) }" },
  { name: "what a cluster took back is relayed on", file: state, find: "this.#set(id, object);\n    }\n    return clusters;", replace: "if (object?.payload.tombstone === false) this.#set(id, object);\n    }\n    return clusters;" },
];

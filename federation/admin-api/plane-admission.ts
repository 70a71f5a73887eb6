import type { Overload } from "#federation/model/overload.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { RequestAdmission, type RequestRefusal } from "./request-admission.ts";
import type { AnyRoute } from "./route.ts";

/** Of which the admin API admits each by itself: a flood of writes hides nothing, and who looks on holds up no write. */
export const requestKinds = ["reads", "writes"] as const;
export type RequestKind = (typeof requestKinds)[number];

/** A kind of request of which a plane is asked for more than it can do. */
export interface PlaneOverload extends Overload {
  readonly requests: RequestKind;
}

export interface PlaneAdmissionOptions {
  readonly clock: Clock;
  readonly onRefused: (refused: { readonly requests: RequestKind; readonly reason: RequestRefusal }) => void;
}

/** Admission to one plane's admin API. */
export class PlaneAdmission {
  readonly #kinds: Readonly<Record<RequestKind, RequestAdmission>>;

  constructor({ clock, onRefused }: PlaneAdmissionOptions) {
    const open = (requests: RequestKind): RequestAdmission => new RequestAdmission({ what: requests, clock, onRefused: (reason) => onRefused({ requests, reason }) });
    this.#kinds = { reads: open("reads"), writes: open("writes") };
  }

  /** What admits requests of `route`; undefined for those that mostly wait, which have a bound of their own. */
  of({ method, access, mayWait }: AnyRoute): RequestAdmission | undefined {
    if (mayWait === true) return undefined;
    return this.kind(method === "GET" || access === "read" ? "reads" : "writes");
  }

  kind(requests: RequestKind): RequestAdmission {
    return this.#kinds[requests];
  }

  get kinds(): readonly (readonly [RequestKind, RequestAdmission])[] {
    return requestKinds.map((requests) => [requests, this.#kinds[requests]]);
  }

  get overloads(): readonly PlaneOverload[] {
    return requestKinds.flatMap((requests) => {
      const overload = this.#kinds[requests].overload;
      return overload === undefined ? [] : [{ requests, ...overload }];
    });
  }
}

/** What a status says of it; nothing while all that is asked is done. */
export function apiOverloadsField(overloads: readonly PlaneOverload[]): { readonly apiOverloads?: PlaneOverload[] } {
  return overloads.length === 0 ? {} : { apiOverloads: [...overloads] };
}

import { afterEach, beforeEach, expect, it } from "vitest";
import type { TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type TrustDomain, type TrustDomainSpec } from "#federation/model/resource.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { until, WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { followOwnBundle } from "./follow-own-bundle.ts";

const shop = "shop.example" as TrustDomainName;
const said = (name: string, bundle: string): readonly [string, TrustDomain] => [name, { apiVersion, kind: "TrustDomain", metadata: { name }, spec: { authorityCertificatePem: "", bundle, bundleSignature: "" } }];

let stop: AbortController;
let replicated: WatchedValue<{ readonly trustDomains: ReadonlyMap<string, TrustDomain> }>;
let taken: WatchedValue<readonly string[]>;
let refused: WatchedValue<number>;

const follow = (): Promise<void> =>
  followOwnBundle(
    {
      trustDomain: shop,
      replicated,
      keySource: {
        takeBundle: ({ bundle }: TrustDomainSpec) => {
          if (bundle === "forged") throw new AtollError("ATOLL_BUNDLE_INVALID", "it is not signed");
          if (bundle === "unwritable") throw new Error("ENOSPC");
          taken.set([...taken.current, bundle]);
        },
      },
      onRefused: () => refused.set(refused.current + 1),
      logger: silentLogger,
    },
    stop.signal,
  );

beforeEach(() => {
  stop = new AbortController();
  replicated = new WatchedValue({ trustDomains: new Map() });
  taken = new WatchedValue<readonly string[]>([]);
  refused = new WatchedValue(0);
});
afterEach(() => stop.abort());

it("takes up what is said of its own trust domain, and goes on after what is refused, which it counts", async () => {
  const following = follow();
  replicated.set({ trustDomains: new Map([said("pay.example", "another's"), said(shop, "first")]) });
  await until(taken, ({ length }) => length === 1, stop.signal);
  replicated.set({ trustDomains: new Map([said(shop, "forged")]) });
  await until(refused, (count) => count === 1, stop.signal);
  replicated.set({ trustDomains: new Map([said(shop, "second")]) });
  await until(taken, ({ length }) => length === 2, stop.signal);
  expect(taken.current).toEqual(["first", "second"]);
  stop.abort();
  await following;
});

it("ends with what the disk says, so that it is tried again", async () => {
  replicated.set({ trustDomains: new Map([said(shop, "unwritable")]) });
  await expect(follow()).rejects.toThrow("ENOSPC");
  expect(refused.current).toBe(0);
});

import { expect, it } from "vitest";
import { jwtAuthorityOf } from "#federation/identity/jwt-svid.ts";
import { createKeyPair } from "#federation/identity/key-pair.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { encodeBundle, resourceTypeUrls } from "#federation/wire/discovery-resources.ts";
import { emptyHeldState, SnapshotBuilder } from "../control/snapshot-builder.ts";
import { createTestTrustDomain } from "./identity-fixture.ts";
import { TlsContexts } from "./tls-contexts.ts";

const shop = createTestTrustDomain("shop.example");
const { trustDomain } = shop.bundle;
const typeUrl = resourceTypeUrls.bundle;

it("TLS contexts stay when only the keys of JWT-SVIDs change, which reach the snapshot, and are made anew for other roots", async () => {
  const builder = new SnapshotBuilder(emptyHeldState, systemClock);
  const contexts = new TlsContexts(new WatchedValue(shop.svid("/ns/web/sa/catalog")), builder.snapshot);
  const tell = async (bundle: TrustBundle): Promise<void> =>
    await builder.apply({ typeUrl, systemVersion: "", nonce: "1", removed: [], resources: [{ name: trustDomain, version: "1", typeUrl, value: encodeBundle(bundle) }] });
  const authorities = [jwtAuthorityOf(createKeyPair().publicKey), jwtAuthorityOf(createKeyPair().publicKey)];
  const held = (): TrustBundle | undefined => builder.snapshot.current.bundles.get(trustDomain);
  const keyIds = (): readonly string[] | undefined => held()?.jwtAuthorities?.map(({ keyId }) => keyId);

  await tell({ ...shop.bundle, jwtAuthorities: authorities.slice(0, 1) });
  const [client, server] = [contexts.clientContext(trustDomain), contexts.serverMaterial()];
  expect(client).toBeDefined();
  await tell({ ...shop.bundle, jwtAuthorities: authorities });
  expect(keyIds()).toEqual(authorities.map(({ keyId }) => keyId));
  expect([contexts.clientContext(trustDomain) === client, contexts.serverMaterial() === server]).toEqual([true, true]);
  // Bundles that come with an identity say nothing of them.
  builder.addBundles([{ ...shop.bundle, sequence: 2 }]);
  expect(keyIds()).toEqual(authorities.map(({ keyId }) => keyId));
  expect([contexts.clientContext(trustDomain) === client, contexts.serverMaterial() === server]).toEqual([false, false]);
  await tell({ ...shop.bundle, sequence: 2 });
  expect(held()).toEqual({ ...shop.bundle, sequence: 2 });
});

import { Server, status, type handleBidiStreamingCall, type handleUnaryCall, type ServerDuplexStream } from "@grpc/grpc-js";
import { publicKeyFromCsr } from "#federation/identity/csr.ts";
import { openGrpcListener, peerOfCall, type GrpcListener } from "#federation/identity/grpc-listener.ts";
import { decodeJoinProof } from "#federation/identity/join-proof.ts";
import { createJoinToken, encodeJoinToken } from "#federation/identity/join-token.ts";
import { jwtAuthorityOf, signJwtSvid, type JwtSvid } from "#federation/identity/jwt-svid.ts";
import { createKeyPair, sha256Hex, spkiSha256 } from "#federation/identity/key-pair.ts";
import { judgeLapsedSvid } from "#federation/identity/lapsed-svid.ts";
import { createTlsMaterial, type TlsMaterial } from "#federation/identity/tls-options.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import { isProvisioningId } from "#federation/model/provisioning-token.ts";
import type { GatewayRoute, InboundPort, ServiceView } from "#federation/model/snapshot.ts";
import { pathOf } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { encodeResource, type DeltaRequest, type DeltaResponse } from "#federation/wire/discovery-messages.ts";
import { encodeBundle, encodeGatewayRoute, encodeInbound, encodeService, resourceTypeUrls } from "#federation/wire/discovery-resources.ts";
import { partVersion } from "#federation/wire/discovery-parts.ts";
import { presenceOf } from "#federation/wire/discovery-presence.ts";
import { discoveryService, identityService, joinService, registryService } from "#federation/wire/grpc-services.ts";
import { verifyBytes } from "#federation/wire/signed-object.ts";
import { keyRenewalContext, type IdentityResponse, type JoinRequest, type JwtRequest, type JwtResponse, type KeyRenewalRequest, type RenewRequest, type SessionAck, type SessionReport } from "#federation/wire/workload-messages.ts";
import { createTestTrustDomain, type TestTrustDomain } from "../tls/identity-fixture.ts";

/** What the test plane offers at a moment. */
export interface TestWorld {
  readonly services: readonly ServiceView[];
  readonly bundles: readonly TrustBundle[];
  /** By path of the subscriber's identity. */
  readonly inbound: ReadonlyMap<string, ReadonlyMap<string, InboundPort>>;
  readonly gatewayRoutes: readonly GatewayRoute[];
}

interface Stream {
  readonly call: ServerDuplexStream<DeltaRequest, DeltaResponse>;
  readonly path: string;
  readonly sent: Map<string, Map<string, string>>;
}

/** A cluster plane in little for tests: real gRPC, real TLS, real certificates; it keeps nothing and decides nothing. */
export class TestPlane implements AsyncDisposable {
  readonly cluster: string;
  readonly workloads: TestTrustDomain;
  readonly federation: TestTrustDomain;
  world: TestWorld = { services: [], bundles: [], inbound: new Map(), gatewayRoutes: [] };
  readonly reports: SessionReport[] = [];
  readonly requests: DeltaRequest[] = [];
  renewals = 0;
  /** Of each request to join, whatever became of it: the hash of its public key. */
  readonly joinKeys: string[] = [];
  /** So many answers to joining get lost on the way. */
  joinAnswersToLose = 0;
  renewsNobody = false;
  /** As over a link that breaks just then: no discovery stream is ended from this side. */
  keepsStreams = false;
  /** Resources in one response; what there is more comes in parts. */
  partMax = Infinity;
  /** Of those by key, at the join port. */
  keyRenewals = 0;
  svidValidityMs = 3_600_000;
  /** By how much the clock that its acknowledgements tell is behind ours. */
  clockBehindMs = 0;
  readonly #jwtKeys = createKeyPair();
  /** By which its JWT-SVIDs are verified. */
  readonly jwtAuthority = jwtAuthorityOf(this.#jwtKeys.publicKey);
  readonly #tokens = new Map<string, string>();
  /** Path of the identity that each attested document gives. */
  readonly documents = new Map<string, string>();
  readonly #streams = new Set<Stream>();
  #listeners: GrpcListener[] = [];
  #servers: Server[] = [];
  #version = 0;
  #nonce = 0;
  #life = new AbortController();
  #ports: readonly number[] = [];

  constructor(cluster: string, workloads: TestTrustDomain, federation = createTestTrustDomain("demo.atoll")) {
    this.cluster = cluster;
    this.workloads = workloads;
    this.federation = federation;
  }

  /** Listens; `discoveryPort` 0 picks one. */
  async open(discoveryPort = 0, address = "127.0.0.1"): Promise<void> {
    const material = new WatchedValue<TlsMaterial | undefined>(
      createTlsMaterial(this.federation.svid(`/atoll/plane/cluster/${this.cluster}`), [this.workloads.bundle]),
    );
    const discovery = new Server();
    discovery.addService(identityService, { renew: this.#renew, issueJwt: this.#issueJwt });
    discovery.addService(registryService, { session: this.#session });
    discovery.addService(discoveryService, { deltaAggregatedResources: this.#discover });
    const join = new Server();
    join.addService(joinService, { issueFirst: this.#issueFirst, renewByKey: this.#renewByKey });
    const common = { address, material, accept: () => true };
    this.#listeners = [
      await openGrpcListener({ ...common, server: discovery, port: discoveryPort, clients: "required" }, this.#life.signal),
      await openGrpcListener({ ...common, server: join, port: this.#ports[1] ?? 0, clients: "none", presentedRoot: this.federation.rootDer }, this.#life.signal),
    ];
    this.#servers = [discovery, join];
    this.#ports = this.#listeners.map(({ port }) => port);
  }

  get discoveryPort(): number {
    return this.#ports[0] ?? 0;
  }

  /** As a plane whose store is away: nothing but its join port is open. */
  async closeDiscovery(): Promise<void> {
    this.#servers[0]?.forceShutdown();
    await this.#listeners[0]?.[Symbol.asyncDispose]();
  }

  /** Ends, as its process would. */
  async close(): Promise<void> {
    this.#life.abort();
    for (const server of this.#servers) server.forceShutdown();
    for (const listener of this.#listeners) await listener[Symbol.asyncDispose]();
  }

  /** Listens where it did before it was closed. */
  async reopen(): Promise<void> {
    this.#life = new AbortController();
    await this.open(this.discoveryPort);
  }

  /** How to join here by the document that `tokenFile` will hold. */
  joinAttest(tokenFile: string) {
    return { addresses: [`127.0.0.1:${this.#ports[1]}`], rootSha256: sha256Hex(this.federation.rootDer), evidence: { kind: "kubernetes", tokenFile } };
  }

  /** A token that gives an identity with this path, once or as often as one asks; `host`: under which the plane is reached. */
  token(path: string, { host = "127.0.0.1", uses = "one" }: { readonly host?: string; readonly uses?: "one" | "many" } = {}): string {
    const token = createJoinToken([`${host}:${this.#ports[1]}`], sha256Hex(this.federation.rootDer), uses);
    this.#tokens.set(token.id, path);
    return encodeJoinToken(token);
  }

  /** A JWT-SVID by its key. */
  signJwt(spiffeId: SpiffeId, audience: readonly string[], validityMs = 300_000): JwtSvid {
    const signer = { keyId: this.jwtAuthority.keyId, privateKey: this.#jwtKeys.privateKey };
    return signJwtSvid(signer, { spiffeId, audience, validityMs, nowMs: systemClock.nowMs() });
  }

  /** Shows `world` to every subscriber. */
  show(world: Partial<TestWorld>): void {
    this.world = { ...this.world, ...world };
    for (const stream of this.#streams) for (const typeUrl of stream.sent.keys()) this.#push(stream, typeUrl);
  }

  /** Sends one raw response to every subscriber of its type. */
  sendRaw(response: Omit<DeltaResponse, "nonce" | "systemVersion">): void {
    for (const { call } of this.#streams) call.write({ ...response, nonce: `raw${++this.#nonce}`, systemVersion: "" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  readonly #issueFirst: handleUnaryCall<JoinRequest, IdentityResponse> = ({ request }, callback) => {
    const proof = decodeJoinProof(request.token);
    const path = proof.kind === "token" ? this.#tokens.get(proof.id) : this.documents.get(proof.document);
    this.joinKeys.push(spkiSha256(publicKeyFromCsr(request.csr)));
    if (proof.kind === "token" && !isProvisioningId(proof.id)) this.#tokens.delete(proof.id);
    if (this.joinAnswersToLose > 0) {
      this.joinAnswersToLose--;
      callback({ code: status.UNAVAILABLE, details: "lost" });
      return;
    }
    if (path === undefined) callback({ code: status.UNAUTHENTICATED, details: "the token cannot be used" });
    else callback(null, this.#issue(path, request.csr));
  };

  readonly #renew: handleUnaryCall<RenewRequest, IdentityResponse> = (call, callback) => {
    const identity = peerOfCall(call);
    if (identity === undefined || this.renewsNobody) {
      callback({ code: status.UNAUTHENTICATED, details: "no identity" });
      return;
    }
    this.renewals++;
    callback(null, this.#issue(pathOf(identity), call.request.csr));
  };

  readonly #issueJwt: handleUnaryCall<JwtRequest, JwtResponse> = (call, callback) => {
    const spiffeId = peerOfCall(call);
    if (spiffeId === undefined || this.renewsNobody) {
      callback({ code: status.PERMISSION_DENIED, details: "refused" });
      return;
    }
    callback(null, this.signJwt(spiffeId, call.request.audience));
  };

  readonly #renewByKey: handleUnaryCall<KeyRenewalRequest, IdentityResponse> = ({ request }, callback) => {
    const verdict = judgeLapsedSvid(request.certificateChain, { bundle: this.workloads.bundle, nowMs: systemClock.nowMs(), lapseMsMax: 3_600_000 });
    if (verdict.kind === "refused" || this.renewsNobody) {
      callback({ code: status.PERMISSION_DENIED, details: "refused" });
      return;
    }
    verifyBytes(keyRenewalContext, request.csr, request.proof, verdict.publicKey);
    this.keyRenewals++;
    callback(null, this.#issue(pathOf(verdict.spiffeId), request.csr));
  };

  #issue(path: string, csr: Uint8Array): IdentityResponse {
    return {
      certificateChain: this.workloads.issue(path, publicKeyFromCsr(csr), this.svidValidityMs),
      bundles: [this.workloads.bundle, this.federation.bundle],
      discoveryAddresses: [`127.0.0.1:${this.discoveryPort}`],
    };
  }

  readonly #session: handleBidiStreamingCall<SessionReport, SessionAck> = (call) => {
    call.on("data", (report: SessionReport) => {
      this.reports.push(report);
      call.write({ ttlMs: 3_000, refused: "", nowMs: Math.floor(systemClock.nowMs() - this.clockBehindMs) });
    });
    call.on("end", () => call.end());
    call.on("error", () => {});
  };

  readonly #discover: handleBidiStreamingCall<DeltaRequest, DeltaResponse> = (call) => {
    const stream: Stream = { call, path: pathOf(peerOfCall(call) ?? ("spiffe://none.example/none" as never)), sent: new Map() };
    this.#streams.add(stream);
    call.on("data", (request: DeltaRequest) => {
      this.requests.push(request);
      if (presenceOf(request) !== undefined || request.responseNonce !== "" || stream.sent.has(request.typeUrl)) return;
      stream.sent.set(request.typeUrl, new Map(Object.entries(request.initialVersions)));
      this.#push(stream, request.typeUrl, true);
    });
    const gone = (): void => void this.#streams.delete(stream);
    call.on("end", () => {
      gone();
      if (!this.keepsStreams) call.end();
    });
    call.on("cancelled", gone);
    call.on("error", gone);
  };

  #push(stream: Stream, typeUrl: string, evenEmpty = false): void {
    const sent = stream.sent.get(typeUrl) ?? new Map<string, string>();
    const table = this.#table(stream.path, typeUrl);
    const changed = [...table].filter(([name, value]) => sent.get(name) !== versionOf(value));
    const removed = [...sent.keys()].filter((name) => !table.has(name));
    for (const [name, value] of changed) sent.set(name, versionOf(value));
    for (const name of removed) sent.delete(name);
    if (changed.length + removed.length === 0 && !evenEmpty) return;
    const resources = changed.map(([name, value]) => encodeResource({ name, version: versionOf(value), typeUrl, value }));
    const write = (response: Pick<DeltaResponse, "systemVersion" | "resources" | "removed">): void => void stream.call.write({ typeUrl, nonce: String(++this.#nonce), ...response });
    while (resources.length > this.partMax) write({ systemVersion: partVersion, resources: resources.splice(0, this.partMax), removed: [] });
    write({ systemVersion: `1.${++this.#version}`, resources, removed });
  }

  #table(path: string, typeUrl: string): ReadonlyMap<string, Uint8Array> {
    const { services, bundles, inbound, gatewayRoutes } = this.world;
    switch (typeUrl) {
      case resourceTypeUrls.service:
        return new Map(services.map((view) => [view.host, encodeService(view)]));
      case resourceTypeUrls.bundle:
        return new Map(bundles.map((bundle) => [bundle.trustDomain, encodeBundle(bundle)]));
      case resourceTypeUrls.inbound:
        return new Map(Array.from(inbound.get(path) ?? [], ([sni, port]) => [sni, encodeInbound(port)]));
      default:
        return new Map(gatewayRoutes.map((route) => [route.sni, encodeGatewayRoute(route)]));
    }
  }
}

function versionOf(value: Uint8Array): string {
  return sha256Hex(value);
}

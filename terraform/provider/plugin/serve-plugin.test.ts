import { generateKeyPairSync, randomUUID, X509Certificate } from "node:crypto";
import { Client, credentials, type ChannelCredentials } from "@grpc/grpc-js";
import forge from "node-forge";
import { describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { LazyHandlers } from "../lazy-handlers.ts";
import { services } from "../protocol/definitions.ts";
import { checkStartedByTerraform, servePlugin } from "./serve-plugin.ts";

/** As Terraform makes its own: self-signed, for localhost. */
function createTerraformCertificate(): { readonly certificatePem: string; readonly privateKeyPem: string } {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2_048, publicKeyEncoding: { type: "spki", format: "pem" }, privateKeyEncoding: { type: "pkcs1", format: "pem" } });
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey);
  certificate.serialNumber = "01";
  certificate.validity.notBefore = new Date(systemClock.nowMs() - 3_600_000);
  certificate.validity.notAfter = new Date(systemClock.nowMs() + 3_600_000);
  const name = [{ name: "commonName", value: `localhost ${randomUUID()}` }];
  certificate.setSubject(name);
  certificate.setIssuer(name);
  certificate.sign(forge.pki.privateKeyFromPem(privateKey), forge.md.sha256.create());
  return { certificatePem: forge.pki.certificateToPem(certificate), privateKeyPem: privateKey };
}

const cookie = { TF_PLUGIN_MAGIC_COOKIE: "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2" };

async function call(client: Client, service: keyof typeof services, method: string): Promise<Record<string, unknown>> {
  const definition = services[service][method];
  if (definition === undefined) throw new Error(`no method ${method}`);
  return await new Promise((resolve, reject) => {
    client.makeUnaryRequest(definition.path, definition.requestSerialize, definition.responseDeserialize, {}, (error, answer: Record<string, unknown> | undefined) => (error === null ? resolve(answer ?? {}) : reject(error)));
  });
}

describe("a plugin's start", () => {
  it("tells a person who starts it what it is, and takes a Terraform that speaks its protocol among others", () => {
    expect(() => checkStartedByTerraform({})).toThrow(/plugin of Terraform/);
    expect(() => checkStartedByTerraform({ ...cookie, PLUGIN_PROTOCOL_VERSIONS: "5" })).toThrow(/protocol 5/);
    checkStartedByTerraform({ ...cookie, PLUGIN_PROTOCOL_VERSIONS: "6,5" });
  });

  it("announces one line, and serves to the client whose certificate it was told, and to nobody else", async () => {
    const terraform = createTerraformCertificate();
    const stranger = createTerraformCertificate();
    const lines: string[] = [];
    let isShutDown = false;
    const stopping = new AbortController();
    using provider = new LazyHandlers({ environment: {}, stopping });
    using plugin = await servePlugin({ env: { PLUGIN_CLIENT_CERT: terraform.certificatePem }, provider: provider.implementation, announce: (line) => lines.push(line), onShutdown: () => (isShutDown = true), clock: systemClock });
    expect(lines).toHaveLength(1);
    const fields = lines[0]?.split("|") ?? [];
    expect(fields.slice(0, 5)).toEqual(["1", "6", "tcp", `127.0.0.1:${plugin.port}`, "grpc"]);
    expect(fields[5]).not.toContain("=");
    const shown = new X509Certificate(Buffer.from(fields[5] ?? "", "base64"));
    expect(shown.subjectAltName).toContain("DNS:localhost");
    const connect = (own: typeof terraform): Client => {
      // Terraform pins the very certificate; here, where the name is checked in its place, it is this one too.
      const secure: ChannelCredentials = credentials.createSsl(Buffer.from(shown.toString()), Buffer.from(own.privateKeyPem), Buffer.from(own.certificatePem), {
        rejectUnauthorized: false,
        checkServerIdentity: (_host, { raw }) => (Buffer.compare(raw, shown.raw) === 0 ? undefined : new Error("another certificate")),
      });
      return new Client(`127.0.0.1:${plugin.port}`, secure, { "grpc.ssl_target_name_override": "localhost" });
    };
    const own = connect(terraform);
    const other = connect(stranger);
    try {
      expect(Object.keys((await call(own, "provider", "GetProviderSchema"))["resource_schemas"] as object)).toContain("atoll_region");
      await expect(call(other, "provider", "GetProviderSchema")).rejects.toThrow();
      await call(own, "provider", "StopProvider");
      expect(stopping.signal.aborted).toBe(true);
      await call(own, "controller", "Shutdown");
      expect(isShutDown).toBe(true);
    } finally {
      own.close();
      other.close();
    }
  });
});

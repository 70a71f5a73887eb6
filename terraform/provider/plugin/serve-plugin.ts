import { Server, ServerCredentials, type ServerDuplexStream, type ServerWritableStream, type UntypedServiceImplementation } from "@grpc/grpc-js";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { services } from "../protocol/definitions.ts";
import { createOwnCertificate } from "./own-certificate.ts";

/** go-plugin's version of its own protocol, and Terraform's of its. */
const coreVersion = 1;
const terraformVersion = 6;
/** Proves that Terraform starts the program and not a person; it is no secret. */
const magicCookie = { name: "TF_PLUGIN_MAGIC_COOKIE", value: "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2" } as const;
/** As Terraform's own SDK has it: a state may be large. */
const messageBytesMax = 256 * 1024 * 1024;

export interface PluginOptions {
  /** Of the process. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly provider: UntypedServiceImplementation;
  /** Terraform asked it to end. */
  readonly onShutdown: () => void;
  /** Writes the one line that Terraform reads; nothing else may ever be written there. */
  readonly announce: (line: string) => void;
  readonly clock: Clock;
}

/** @throws {ATOLL_USAGE} when a person has started the program, or a Terraform that is too old. */
export function checkStartedByTerraform(env: PluginOptions["env"]): void {
  if (env[magicCookie.name] !== magicCookie.value) {
    throw new AtollError("ATOLL_USAGE", "this program is a plugin of Terraform, which starts it by itself; put it where Terraform looks for providers (docs/terraform.md)");
  }
  const versions = env["PLUGIN_PROTOCOL_VERSIONS"];
  if (versions !== undefined && !versions.split(",").includes(String(terraformVersion))) {
    throw new AtollError("ATOLL_USAGE", `this Terraform speaks the plugin protocol ${versions}; the provider speaks ${terraformVersion}, of Terraform 1.0 and newer`);
  }
}

/**
 * Serves a provider to the Terraform that started this process, on loopback, with mutual TLS by certificates that both told each other
 * over environment and pipe (AutoMTLS). The port is announced once the server listens. @returns the port
 */
export async function servePlugin(options: PluginOptions): Promise<Disposable & { readonly port: number }> {
  const server = new Server({ "grpc.max_receive_message_length": messageBytesMax, "grpc.max_send_message_length": messageBytesMax });
  server.addService(services.provider, options.provider);
  server.addService(services.stdio, { StreamStdio: (call: ServerWritableStream<unknown, unknown>) => void call.on("cancelled", () => call.end()) });
  // Terraform opens the stream and never says anything on it.
  server.addService(services.broker, { StartStream: (call: ServerDuplexStream<unknown, unknown>) => void call.on("data", () => undefined).on("end", () => call.end()) });
  server.addService(services.controller, {
    Shutdown: (_call: unknown, answer: (error: null, value: object) => void) => {
      answer(null, {});
      options.onShutdown();
    },
  });
  const { credentials, field } = credentialsFor(options);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  options.announce([coreVersion, terraformVersion, "tcp", `127.0.0.1:${port}`, "grpc", field].join("|"));
  return { port, [Symbol.dispose]: () => server.forceShutdown() };
}

/** Without a client's certificate nobody but a debugger calls (`TF_REATTACH_PROVIDERS`), in the clear. */
function credentialsFor({ env, clock }: PluginOptions): { readonly credentials: ServerCredentials; readonly field: string } {
  const clientPem = env["PLUGIN_CLIENT_CERT"];
  if (clientPem === undefined || clientPem === "") return { credentials: ServerCredentials.createInsecure(), field: "" };
  const own = createOwnCertificate(clock);
  const pair = { private_key: Buffer.from(own.privateKeyPem), cert_chain: Buffer.from(own.certificatePem) };
  const field = Buffer.from(own.certificateDer).toString("base64").replaceAll("=", "");
  return { credentials: ServerCredentials.createSsl(Buffer.from(clientPem), [pair], true), field };
}

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "#federation/runtime/clock.ts";
import { describeError, isAtollError } from "#federation/runtime/errors.ts";
import { etcdArguments, type EngineTlsFiles, type EtcdOptions } from "#services/cli/engines/etcd-args.ts";
import type { FindEngineOptions } from "#services/cli/engines/executable.ts";
import { findEngine, type EngineName } from "#services/cli/engines/find-engine.ts";
import { natsConfig, type NatsServerOptions } from "#services/cli/engines/nats-config.ts";
import { findFreePort, startEngine, type RunningEngine } from "#services/cli/engines/start-engine.ts";

/** The engine's program, or undefined where it cannot be had. */
export function findTestEngine(name: EngineName): Promise<string | undefined> {
  return findOrLeaveOut(`the suites on a real ${name}`, (options, signal) => findEngine(name, options, signal));
}

/**
 * What `find` finds, or undefined (said on standard error) where it cannot be had: then `what` is left out. Under CI=true
 * what is missing is a failure.
 */
export async function findOrLeaveOut<T>(what: string, find: (options: FindEngineOptions, signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
  try {
    return await find({ environment: process.env, onProgress: (sentence) => console.error(sentence) }, new AbortController().signal);
  } catch (error) {
    if (process.env["CI"] === "true" || !isAtollError(error, "ATOLL_ENGINE_UNAVAILABLE")) throw error;
    console.error(`LEFT OUT: ${what}: ${describeError(error)}`);
    return undefined;
  }
}

/** PEM texts of one identity. */
export interface TestIdentity {
  readonly caPem: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** A certificate authority in a temporary directory, made by the openssl program, and everything it issued. */
export class TestAuthority implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "atoll-engines-"));
  readonly #name: string;

  constructor(name = "root") {
    this.#name = name;
    this.#openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", `${name}.key`);
    this.#openssl("req", "-x509", "-new", "-key", `${name}.key`, "-subj", `/CN=${name}`, "-days", "2", "-out", `${name}.pem`);
  }

  /** Files of a certificate with `names` as its subject alternative names, for example `IP:127.0.0.1`. */
  issueFiles(name: string, names: readonly string[]): EngineTlsFiles {
    const extensions = `basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=${names.join(",")}\n`;
    writeFileSync(join(this.directory, `${name}.ext`), extensions);
    this.#openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", `${name}.key`);
    this.#openssl("req", "-new", "-key", `${name}.key`, "-subj", `/CN=${name}`, "-out", `${name}.csr`);
    const ca = this.#name;
    this.#openssl("x509", "-req", "-in", `${name}.csr`, "-CA", `${ca}.pem`, "-CAkey", `${ca}.key`, "-CAcreateserial", "-days", "1", "-extfile", `${name}.ext`, "-out", `${name}.pem`);
    return { certificate: this.#path(`${name}.pem`), privateKey: this.#path(`${name}.key`), ca: this.#path(`${ca}.pem`) };
  }

  /** A client's identity as PEM texts. */
  issue(name: string, names: readonly string[]): TestIdentity {
    const files = this.issueFiles(name, names);
    return {
      caPem: readFileSync(files.ca, "utf8"),
      certificatePem: readFileSync(files.certificate, "utf8"),
      privateKeyPem: readFileSync(files.privateKey, "utf8"),
    };
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  #path(file: string): string {
    return join(this.directory, file);
  }

  #openssl(...args: readonly string[]): void {
    execFileSync("openssl", args, { cwd: this.directory, stdio: ["ignore", "ignore", "pipe"] });
  }
}

/** An engine that can be killed and started again on the same ports and files. */
export interface RestartableEngine extends AsyncDisposable {
  readonly url: string;
  readonly process: RunningEngine;
  start(): Promise<void>;
  kill(): Promise<void>;
}

/** Starts a real etcd with TLS below `authority.directory`; `more` are arguments that no plane would be given. */
export async function startTestEtcd(program: string, authority: TestAuthority, name: string, { more = [], ...options }: Pick<EtcdOptions, "clientHost"> & { readonly more?: readonly string[] } = {}): Promise<RestartableEngine> {
  const [clientPort, peerPort] = [await findFreePort("127.0.0.1"), await findFreePort("127.0.0.1")];
  const directory = join(authority.directory, name);
  mkdirSync(directory, { recursive: true });
  const tls = authority.issueFiles(`${name}-server`, ["IP:127.0.0.1", "DNS:localhost"]);
  const args = [...etcdArguments({ name, dataDir: join(directory, "data"), address: "127.0.0.1", clientPort, peerPort, tls, ...options }), ...more];
  const start = (): Promise<RunningEngine> =>
    startEngine({ name: "etcd", program, args, logFile: join(directory, "log"), clock: systemClock }, new AbortController().signal);
  return restartable(`https://127.0.0.1:${clientPort}`, start);
}

/** Starts a real nats-server; `options` are completed with name, address and TLS. */
export async function startTestNats(
  program: string,
  authority: TestAuthority,
  name: string,
  options: Pick<NatsServerOptions, "users" | "gateway">,
): Promise<RestartableEngine> {
  const port = await findFreePort("127.0.0.1");
  const directory = join(authority.directory, name);
  mkdirSync(directory, { recursive: true });
  const tls = authority.issueFiles(`${name}-server`, ["IP:127.0.0.1", "DNS:localhost"]);
  const config = join(directory, "nats.conf");
  writeFileSync(config, natsConfig({ name, address: "127.0.0.1", port, tls, ...options }));
  const start = (): Promise<RunningEngine> =>
    startEngine({ name: "nats-server", program, args: ["-c", config], logFile: join(directory, "log"), clock: systemClock }, new AbortController().signal);
  return restartable(`tls://127.0.0.1:${port}`, start);
}

/** Starts an engine, and again when it was killed. */
export async function restartable(url: string, start: () => Promise<RunningEngine>): Promise<RestartableEngine> {
  let engine = await start();
  return {
    url,
    get process() {
      return engine;
    },
    async start() {
      engine = await start();
    },
    async kill() {
      engine.signal("SIGKILL");
      await engine.ended;
    },
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  };
}

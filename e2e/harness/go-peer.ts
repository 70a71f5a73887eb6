import { execFile, spawn, type ChildProcessByStdio } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { promisify } from "node:util";

const run = promisify(execFile);
const sources = join(import.meta.dirname, "..", "interop", "go-spiffe");

/** The built program, in a directory of its own. */
export interface GoProgram extends Disposable {
  readonly path: string;
}

/**
 * Builds a program of e2e/interop/go-spiffe, the application or one in a folder beside it, with the go on PATH, or gives undefined (said on standard error) where there is none, or the
 * modules that it needs cannot be had: Go is no requirement of this project. A program that does not compile is a failure.
 */
export async function buildGoPeer(folder: "." | "./federation" = "."): Promise<GoProgram | undefined> {
  try {
    await run("go", ["mod", "download"], { cwd: sources });
  } catch (error) {
    console.error(`LEFT OUT: the interoperation with go-spiffe: its modules, or go itself, are not to be had: ${String(error)}`);
    return undefined;
  }
  const directory = mkdtempSync(join(tmpdir(), "atoll-go-"));
  const path = join(directory, "peer");
  await run("go", ["build", "-mod=readonly", "-o", path, folder], { cwd: sources });
  return { path, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
}

/** One update of the Workload API, as go-spiffe has read it. */
export interface GoIdentity {
  readonly id: string;
  /** Of the leaf, in hex. */
  readonly serial: string;
  /** Trust domains that it has roots of. */
  readonly domains: readonly string[];
}

/** What came of a call: an answer, or why there was none. */
export interface GoAnswer {
  readonly status?: number;
  readonly body?: string;
  readonly error?: string;
}

/** What came of asking for a token, or of taking one: whom it proves, or why it proves nobody. */
export interface GoToken {
  readonly id?: string;
  readonly audience?: readonly string[];
  readonly token?: string;
  readonly error?: string;
}

/** A running application by go-spiffe. */
export class GoPeer implements AsyncDisposable {
  readonly identities: GoIdentity[] = [];
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #ended: Promise<unknown>;
  readonly #address = Promise.withResolvers<string>();
  #answer: ((answer: GoAnswer) => void) | undefined;
  #token: ((token: GoToken) => void) | undefined;
  #changed = Promise.withResolvers<void>();

  /** `socket`: that of its sidecar, all that it is told. */
  constructor(program: string, socket: string) {
    const child = spawn(program, [], { env: { PATH: process.env["PATH"], SPIFFE_ENDPOINT_SOCKET: `unix://${socket}` }, stdio: ["pipe", "pipe", "pipe"] });
    this.#child = child;
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
    createInterface(child.stdout).on("line", (line) => this.#take(JSON.parse(line) as Event));
    this.#ended = new Promise((resolve) => child.once("close", resolve));
    void this.#ended.then(() => {
      const fault = new Error(`the application has ended: ${errors}`);
      this.#address.reject(fault);
      this.#changed.reject(fault);
    });
    for (const { promise } of [this.#address, this.#changed]) promise.catch(() => undefined);
  }

  /** Where it serves, once it does. */
  address(): Promise<string> {
    return this.#address.promise;
  }

  /** The newest identity, once there are updates of `count` different leaves. */
  async identityOf(count: number): Promise<GoIdentity> {
    while (new Set(this.identities.map(({ serial }) => serial)).size < count) await this.#changed.promise;
    return this.identities.at(-1) as GoIdentity;
  }

  /** Calls by mutual TLS of its own, one call at a time, as it does all that it is told. */
  async call(address: string, serverName: string, expectedId: string): Promise<GoAnswer> {
    return await new Promise((resolve) => {
      this.#answer = resolve;
      this.#child.stdin.write(`call ${address} ${serverName} ${expectedId}\n`);
    });
  }

  /** A JWT-SVID of its own for `audience`. */
  async fetchToken(audience: string): Promise<GoToken> {
    return await this.#askToken(`token ${audience}`);
  }

  /** Takes a token as `audience`: by itself, with the keys that it was told ("parse"), or by asking its sidecar ("validate"). */
  async takeToken(how: "parse" | "validate", audience: string, token: string): Promise<GoToken> {
    return await this.#askToken(`${how} ${audience} ${token}`);
  }

  async #askToken(line: string): Promise<GoToken> {
    return await new Promise((resolve) => {
      this.#token = resolve;
      this.#child.stdin.write(`${line}\n`);
    });
  }

  #take(event: Event): void {
    if (event.event === "serving") this.#address.resolve(event.address);
    else if (event.event === "answer") this.#answer?.(event);
    else if (event.event === "token") this.#token?.(event);
    else if (event.event === "identity") {
      this.identities.push(event);
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
      this.#changed.promise.catch(() => undefined);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}

type Event =
  | { readonly event: "serving"; readonly address: string }
  | ({ readonly event: "identity" } & GoIdentity)
  | ({ readonly event: "answer" } & GoAnswer)
  | ({ readonly event: "token" } & GoToken)
  | { readonly event: "watchError"; readonly error: string };

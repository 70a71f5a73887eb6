import type { EngineCertificate } from "#federation/model/engine-report.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import type { EngineAddress } from "#federation/runtime/engine-config.ts";
import { readPeerCertificate, type HandshakeTls } from "#federation/runtime/peer-certificate.ts";

export interface CertificateWatchOptions {
  readonly addresses: readonly EngineAddress[];
  /** Of the plane; asked for each handshake. */
  readonly tls: () => HandshakeTls;
  readonly clock: Clock;
  readonly read?: typeof readPeerCertificate;
}

/** Between looks, in ms, and as a part of the shortest life that was seen: what is said of a certificate of an hour is not older than three minutes. */
const look = { msMin: 1_000, msMax: 60_000, ofLifeRatio: 1 / 20 } as const;

/** Looks at what each of a plane's engines shows in the handshake, now and then, and keeps what was seen last; of one that does not answer, nothing. */
export class CertificateWatch {
  readonly #options: CertificateWatchOptions;
  #seen: readonly EngineCertificate[] = [];

  constructor(options: CertificateWatchOptions) {
    this.#options = options;
  }

  get certificates(): readonly EngineCertificate[] {
    return this.#seen;
  }

  async run(signal: AbortSignal): Promise<void> {
    if (this.#options.addresses.length === 0) return;
    for (;;) {
      const found = await Promise.all(this.#options.addresses.map((address) => this.#lookAt(address)));
      this.#seen = found.filter((one) => one !== undefined);
      const lifeMs = Math.min(...this.#seen.map(({ notBeforeMs, notAfterMs }) => notAfterMs - notBeforeMs));
      await sleep(this.#options.clock, Math.max(look.msMin, Math.min(look.msMax, lifeMs * look.ofLifeRatio)), signal);
    }
  }

  async #lookAt({ engine, address, host, port }: EngineAddress): Promise<EngineCertificate | undefined> {
    const { tls, read = readPeerCertificate } = this.#options;
    try {
      const { validFromDate, validToDate } = await read({ host, port, tls: tls(), speaksFirst: engine === "nats" });
      return { engine, address, notBeforeMs: validFromDate.getTime(), notAfterMs: validToDate.getTime() };
    } catch {
      // That it does not answer is told by those who need its answer.
      return undefined;
    }
  }
}

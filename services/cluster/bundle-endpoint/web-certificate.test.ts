import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createDomainFixture } from "#federation/identity/identity-fixture.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { silentLogger, type Logger } from "#federation/telemetry/logger.ts";
import { readWebCertificate, WebCertificate } from "./web-certificate.ts";

const hourMs = 3_600_000;
const endpointId = "spiffe://web.example/x";

describe("the web certificate of a bundle endpoint", () => {
  let directory: string;
  let clock: VirtualClock;
  let authority: ReturnType<typeof createDomainFixture>;
  let files: { readonly certificateFile: string; readonly keyFile: string };
  let stop: AbortController;
  let failures: number;
  let said: string[];
  const logger: Logger = { ...silentLogger, error: (_, fields) => void said.push(String(fields?.["reason"])) };

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "atoll-web-certificate-"));
    clock = new VirtualClock();
    authority = createDomainFixture("web.example", clock.nowMs());
    files = { certificateFile: join(directory, "fullchain.pem"), keyFile: join(directory, "privkey.pem") };
    stop = new AbortController();
    failures = 0;
    said = [];
  });
  afterEach(() => {
    stop.abort();
    rmSync(directory, { recursive: true, force: true });
  });

  const issue = (validityMs = hourMs): X509Svid => authority.issue(endpointId, "root", { dnsNames: ["bundles.web.example"], validityMs });
  const writeCertificate = (svid: X509Svid): void => writeFileSync(files.certificateFile, svid.certificateChainPem);
  const writeKey = (svid: X509Svid): void => writeFileSync(files.keyFile, svid.privateKeyPem, { mode: 0o600 });
  const write = (svid: X509Svid): X509Svid => {
    writeCertificate(svid);
    writeKey(svid);
    return svid;
  };
  const open = (): WebCertificate => {
    const opened = new WebCertificate({ ...files, onFailure: () => void failures++, clock, logger });
    void opened.run(stop.signal).catch(() => undefined);
    return opened;
  };
  const shown = ({ certificate }: WebCertificate): string | undefined => certificate.current?.certificateChainPem;

  it("is read again when its files change", async () => {
    const first = write(issue());
    const web = open();
    expect(web.certificate.current).toEqual({ certificateChainPem: first.certificateChainPem, privateKeyPem: first.privateKeyPem.trim(), notAfterMs: first.notAfterMs });
    await clock.advance(60_000);
    const second = write(issue(2 * hourMs));
    await clock.advance(10_000);
    expect(shown(web)).toBe(second.certificateChainPem);
    expect(failures).toBe(0);
  });

  it("stays while only one of two files has been replaced, and says so only of what stays so", async () => {
    const first = write(issue());
    const web = open();
    const second = issue();
    writeCertificate(second);
    await clock.advance(10_000);
    expect(shown(web)).toBe(first.certificateChainPem);
    expect(said).toEqual([]);
    writeKey(second);
    await clock.advance(10_000);
    expect(shown(web)).toBe(second.certificateChainPem);
    expect(said).toEqual([]);

    writeCertificate(first);
    await clock.advance(60_000);
    expect(shown(web)).toBe(second.certificateChainPem);
    expect(said).toEqual([`bundleEndpoint.certificateFile ${files.certificateFile} cannot be used: its first certificate does not belong to the key in ${files.keyFile}`]);
    expect(failures).toBe(1);
    expect(web.fault).toBe(said[0]);
    write(first);
    await clock.advance(10_000);
    expect(web.fault).toBeUndefined();
    writeCertificate(second);
    await clock.advance(60_000);
    expect(said, "said again of another time").toHaveLength(2);
  });

  it("is none at first where it cannot be used, which is said at once, and becomes one when it can", async () => {
    const web = open();
    expect(web.certificate.current).toBeUndefined();
    expect(said).toEqual([expect.stringMatching(/^bundleEndpoint\.keyFile .*privkey\.pem cannot be used: ENOENT/)]);
    await clock.advance(60_000);
    expect(failures).toBe(1);
    const first = write(issue());
    await clock.advance(10_000);
    expect(shown(web)).toBe(first.certificateChainPem);
  });

  it.each<readonly [string, string, RegExp, () => void]>([
    ["a key that others may read", "ATOLL_KEY_FILE_INVALID", /others than its owner may use it \(mode 0644\)/, () => chmodSync(files.keyFile, 0o644)],
    ["a key that is none", "ATOLL_KEY_FILE_INVALID", /holds no private key in PEM/, () => writeFileSync(files.keyFile, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")],
    ["a certificate that is none", "ATOLL_CERTIFICATE_INVALID", /a certificate chain has 1 to 8 certificates, this one 0/, () => writeFileSync(files.certificateFile, "nothing")],
    ["a certificate that cannot be read", "ATOLL_CERTIFICATE_INVALID", /the certificate cannot be read/, () => writeFileSync(files.certificateFile, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")],
    ["a certificate that is not there", "ATOLL_CERTIFICATE_INVALID", /fullchain\.pem cannot be used: ENOENT/, () => rmSync(files.certificateFile)],
    ["a file without end", "ATOLL_CERTIFICATE_INVALID", /larger than 131072 bytes/, () => writeFileSync(files.certificateFile, " ".repeat(131_073))],
    ["a certificate of another key", "ATOLL_CERTIFICATE_INVALID", /does not belong to the key in/, () => writeCertificate(issue())],
    ["a certificate that has ended", "ATOLL_CERTIFICATE_INVALID", /it ended at 2026-01-01T/, () => clock.jumpWall(2 * hourMs)],
  ])("refuses %s", (_, code, reason, spoil) => {
    write(issue());
    expect(readWebCertificate(files, clock.nowMs()).notAfterMs).toBeGreaterThan(clock.nowMs());
    spoil();
    expect(() => readWebCertificate(files, clock.nowMs())).toThrow(expect.objectContaining({ code, message: expect.stringMatching(reason) as string }));
  });
});

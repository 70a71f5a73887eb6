import { generateKeyPairSync, sign, verify } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { signP256, verifiesP256 } from "./p256-signature.ts";

const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const dsaEncoding = "ieee-p1363";
/** The order of the curve's group: a signature's numbers are below it. */
const order = Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", "hex");

describe("signatures of P-256", () => {
  it("are those of node:crypto in both directions, whatever is signed", () => {
    // Often enough for numbers with leading zeros and with a high first bit.
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const ours = signP256(bytes, privateKey);
        expect(ours).toHaveLength(64);
        expect(verify("sha256", bytes, { key: publicKey, dsaEncoding }, ours)).toBe(true);
        expect(verifiesP256(bytes, sign("sha256", bytes, { key: privateKey, dsaEncoding }), publicKey)).toBe(true);
      }),
      { numRuns: 600 },
    );
  });

  it("hold for nothing else", () => {
    const bytes = Buffer.from("what was signed");
    const signature = signP256(bytes, privateKey);
    for (let at = 0; at < signature.length; at++) {
      const other = Uint8Array.from(signature);
      other[at] = (other[at] ?? 0) ^ 1;
      expect(verifiesP256(bytes, other, publicKey)).toBe(false);
    }
    expect(verifiesP256(Buffer.from("what was not"), signature, publicKey)).toBe(false);
    expect(verifiesP256(bytes, signature, generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey)).toBe(false);
  });

  it("are refused, and no error, where they cannot be any", () => {
    const bytes = Buffer.from("anything");
    const zero = new Uint8Array(32);
    const one = Uint8Array.from([...zero.subarray(1), 1]);
    const notAny = [new Uint8Array(), new Uint8Array(63), new Uint8Array(65), ...[zero, one, order, new Uint8Array(32).fill(255)].flatMap((r) => [zero, order].flatMap((s) => [Buffer.concat([r, s]), Buffer.concat([s, r])]))];
    for (const signature of notAny) expect(verifiesP256(bytes, signature, publicKey)).toBe(false);
    expect(verifiesP256(bytes, sign("sha256", bytes, privateKey), publicKey)).toBe(false);
  });

  it("are not looked for with keys of another kind", () => {
    const bytes = Buffer.from("anything");
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2_048 });
    expect(verifiesP256(bytes, signP256(bytes, privateKey), rsa.publicKey)).toBe(false);
    const wider = generateKeyPairSync("ec", { namedCurve: "P-384" });
    expect(verifiesP256(bytes, sign("sha256", bytes, { key: wider.privateKey, dsaEncoding }), wider.publicKey)).toBe(false);
  });
});

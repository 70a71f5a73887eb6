import { createCipheriv, createDecipheriv, createPublicKey, diffieHellman, generateKeyPairSync, hkdfSync, type KeyObject } from "node:crypto";
import { keyOfRecipient, type BackupRecipient } from "#federation/model/backup-recipient.ts";

// How the key of one file is wrapped for one recipient, as age does it for X25519 but for the cipher, which is the one that the file has:
//
//   shared   = X25519(ephemeral private, recipient public)
//   wrapping = HKDF-SHA-256(shared, salt = ephemeral public | recipient public, info = "atoll-backup/2/x25519"), 32 bytes
//   wrapped  = AES-256-GCM(wrapping, nonce = 0, file key) | tag; the nonce may be fixed, since each wrapping key is used once
//
// see https://github.com/C2SP/C2SP/blob/main/age.md#the-x25519-recipient-type

/** The key of a file as one recipient can have it. Both in base64. */
export interface WrappedKey {
  /** The public part of a key that was made for this. */
  readonly ephemeral: string;
  readonly wrapped: string;
}

const keyBytes = 32;
const tagBytes = 16;
const info = "atoll-backup/2/x25519";
const nonce = Buffer.alloc(12);

/** `fileKey` for whoever has the recipient's private key. */
export function wrapKey(fileKey: Uint8Array, recipient: BackupRecipient): WrappedKey {
  const publicKey = keyOfRecipient(recipient);
  const ephemeral = generateKeyPairSync("x25519");
  const wrapping = wrappingKey(ephemeral.privateKey, publicKey, { ephemeral: ephemeral.publicKey, recipient: publicKey });
  const cipher = createCipheriv("aes-256-gcm", wrapping, nonce);
  const wrapped = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
  return { ephemeral: rawOf(ephemeral.publicKey).toString("base64"), wrapped: wrapped.toString("base64") };
}

/** The key of the file, if one of `wrappedKeys` was made for `privateKey`; undefined otherwise. */
export function unwrapKey(wrappedKeys: readonly WrappedKey[], privateKey: KeyObject): Buffer | undefined {
  const recipient = createPublicKey(privateKey);
  for (const { ephemeral, wrapped } of wrappedKeys) {
    try {
      const publicKey = createPublicKey({ key: { kty: "OKP", crv: "X25519", x: Buffer.from(ephemeral, "base64").toString("base64url") }, format: "jwk" });
      // OpenSSL refuses a point of small order, of which the result would not be secret.
      const wrapping = wrappingKey(privateKey, publicKey, { ephemeral: publicKey, recipient });
      const bytes = Buffer.from(wrapped, "base64");
      const decipher = createDecipheriv("aes-256-gcm", wrapping, nonce, { authTagLength: tagBytes }).setAuthTag(bytes.subarray(-tagBytes));
      return Buffer.concat([decipher.update(bytes.subarray(0, -tagBytes)), decipher.final()]);
    } catch {
      // Another recipient's: which one is whose stands nowhere.
    }
  }
  return undefined;
}

function wrappingKey(privateKey: KeyObject, publicKey: KeyObject, ends: { readonly ephemeral: KeyObject; readonly recipient: KeyObject }): Buffer {
  const shared = diffieHellman({ privateKey, publicKey });
  return Buffer.from(hkdfSync("sha256", shared, Buffer.concat([rawOf(ends.ephemeral), rawOf(ends.recipient)]), info, keyBytes));
}

function rawOf(publicKey: KeyObject): Buffer {
  return Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
}

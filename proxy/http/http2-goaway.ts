const words = Buffer.from("this port speaks HTTP/1.1", "latin1");
const frameHeadBytes = 9;
const frameTypes = { settings: 0x4, goaway: 0x7 } as const;
/** HTTP_1_1_REQUIRED. */
const errorCode = 0xd;

/**
 * What a client of HTTP/2 with prior knowledge is told, in its own words: that this is to be asked by HTTP/1.1 (RFC 9113 §7), after the
 * SETTINGS that have to come first (§3.4).
 */
export const http2Refusal: Buffer = Buffer.concat([frame(frameTypes.settings, Buffer.alloc(0)), frame(frameTypes.goaway, Buffer.concat([word(0), word(errorCode), words]))]);

function frame(type: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(frameHeadBytes);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  return Buffer.concat([head, payload]);
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Bytes of one ping: the prober's nonce, sent back as it is. */
export const pingBytes = 8;

/**
 * What a gateway says unasked, between two echoes, when it drains: a word that is never a nonce, since those count from 1.
 * A prober that does not know it takes it for one more echo, which does it no harm: it counts bytes, and none is missing.
 */
export const drainWord: Buffer = Buffer.alloc(pingBytes, 0xff);

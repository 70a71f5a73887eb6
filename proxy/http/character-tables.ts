/** Byte classes of HTTP/1.1 as tables of 256, 1 for a member. */

function table(isMember: (code: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (isMember(code) ? 1 : 0));
}

const tokenSymbols = "!#$%&'*+-.^_`|~";

const isAlphanumeric = (code: number): boolean =>
  (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);

/** RFC 9110 §5.6.2 `tchar`. */
export const tokenBytes = table((code) => isAlphanumeric(code) || tokenSymbols.includes(String.fromCharCode(code)));

/** RFC 9110 §5.5 field values: visible ASCII, space, tab and obs-text; no other control character. */
export const valueBytes = table((code) => code === 0x09 || (code >= 0x20 && code !== 0x7f));

/** Visible ASCII but `#` and `\`: a fragment is never sent, and a backslash is a slash to some servers only. */
export const targetBytes = table((code) => code > 0x20 && code < 0x7f && code !== 0x23 && code !== 0x5c);

/** What a Host may hold: names, IPv4 and IPv6 literals, a port. */
export const hostBytes = table((code) => isAlphanumeric(code) || "-._:[]".includes(String.fromCharCode(code)));

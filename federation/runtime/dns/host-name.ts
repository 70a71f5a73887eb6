import { isIP } from "node:net";

/**
 * True for a DNS name in lower case, without a trailing dot. The last label is not only digits, so that a mistyped IPv4 address is
 * none (RFC 3696 §2).
 */
export function isDnsName(text: string): boolean {
  const labels = text.split(".");
  return text.length <= 253 && labels.every((label) => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(label)) && !/^[0-9]+$/.test(labels.at(-1) ?? "");
}

/** True for where something can be dialled: a literal IP address, without a zone, or a DNS name. */
export function isHost(text: string): boolean {
  return isIP(text) === 0 ? isDnsName(text) : !text.includes("%");
}

/** What `isHost` takes, in the words of an error message. */
export const hostForm = "a DNS name in lower case or a literal IP address";

/** The host of a URL as it is dialled: an IPv6 address without its brackets. */
export function bareHost({ hostname }: Pick<URL, "hostname">): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}

/** `host:port`, an IPv6 address in brackets. */
export function hostPort(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

import { expect, it } from "vitest";
import { parseAdminContext } from "./admin-context.ts";

const context = { server: "127.0.0.1:7400", federation: "demo.atoll", caPem: "ca", certificatePem: "certificate", privateKeyPem: "very secret" };

it("reads what init writes, with or without a server", () => {
  expect(parseAdminContext(JSON.stringify(context))).toEqual(context);
  expect(parseAdminContext(JSON.stringify({ ...context, server: "" })).server).toBe("");
  expect(parseAdminContext(JSON.stringify({ ...context, server: "[::1]:7400" })).server).toBe("[::1]:7400");
});

it("names every fault and shows no value", () => {
  const bad = JSON.stringify({ ...context, server: "nowhere", privateKeyPem: undefined, passphrase: "very secret" });
  expect(() => parseAdminContext(bad)).toThrow(/server.*host:port.*privateKeyPem.*nothing.*passphrase/s);
  for (const text of [bad, `{"privateKeyPem": "very secret"`, JSON.stringify({ ...context, caPem: 5, federation: "very secret" })]) {
    try {
      parseAdminContext(text);
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: "ATOLL_CONFIG_INVALID" });
      expect(String(error)).not.toContain("very secret");
    }
  }
});

it("takes a token's file in place of certificate and key, and never both", () => {
  const { certificatePem: _, privateKeyPem: __, ...rest } = context;
  expect(parseAdminContext(JSON.stringify({ ...rest, tokenFile: "/run/token" }))).toMatchObject({ tokenFile: "/run/token" });
  expect(() => parseAdminContext(JSON.stringify({ ...rest, tokenFile: "token" }))).toThrow(/tokenFile.*absolute/);
  expect(() => parseAdminContext(JSON.stringify({ ...context, tokenFile: "/run/token" }))).toThrow(/certificatePem.*privateKeyPem/s);
});

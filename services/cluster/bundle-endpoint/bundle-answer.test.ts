import { describe, expect, it } from "vitest";
import { createDomainFixture } from "#federation/identity/identity-fixture.ts";
import { answerBundleRequest, createBundleDocument } from "./bundle-answer.ts";

const nowMs = Date.UTC(2026, 0, 1);
const { bundle } = createDomainFixture("shop.example", nowMs);
const document = createBundleDocument(bundle);
const ask = (method: string, target: string, ifNoneMatch?: string) => answerBundleRequest({ method, target, ifNoneMatch }, document);

describe("the answer of a bundle endpoint", () => {
  it.each(["/", "/?a=b", "https://bundles.shop.example/", "https://bundles.shop.example"])("is the document at %s", (target) => {
    const answer = ask("GET", target);
    expect(answer).toMatchObject({ status: 200, body: document.text, headers: { "content-type": "application/json", "cache-control": "no-cache", etag: document.etag } });
    expect(JSON.parse(answer.body)).toMatchObject({ keys: [{ use: "x509-svid", kty: "EC" }], spiffe_sequence: 1, spiffe_refresh_hint: 300 });
  });

  it.each(["/bundle", "/x/..%2f", "//", "//shop.example/", "*", "http://[", "shop.example:443"])("is that nothing is there at %s", (target) => {
    expect(ask("GET", target).status).toBe(404);
  });

  it.each(["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", ""])("is that %s does nothing", (method) => {
    expect(ask(method, "/")).toMatchObject({ status: 405, headers: { allow: "GET, HEAD" } });
  });

  it("says as much of it to HEAD as to GET", () => {
    expect(ask("HEAD", "/").headers).toEqual(ask("GET", "/").headers);
  });

  it.each(['"x"', document.etag.slice(1, -1), "", `${document.etag}x`])("is the document for whoever has %s", (ifNoneMatch) => {
    expect(ask("GET", "/", ifNoneMatch).status).toBe(200);
  });

  it.each([document.etag, `W/${document.etag}`, `"x", ${document.etag}`, "*"])("is nothing new for whoever has %s", (ifNoneMatch) => {
    for (const method of ["GET", "HEAD"]) expect(ask(method, "/", ifNoneMatch)).toEqual({ status: 304, headers: { etag: document.etag, "cache-control": "no-cache" }, body: "" });
  });

  it("has a tag that is the same wherever the document is, and another for another document", () => {
    expect(createBundleDocument({ ...bundle }).etag).toBe(document.etag);
    expect(createBundleDocument({ ...bundle, sequence: 2 }).etag).not.toBe(document.etag);
  });
});

import { expect, it } from "vitest";
import { bundleEndpointProblems } from "./bundle-endpoint-findings.ts";

const asOfMs = Date.UTC(2026, 0, 1);
const dayMs = 86_400_000;
const problems = (more: object, profile: "https_spiffe" | "https_web" = "https_web") => bundleEndpointProblems("shop-eu", { asOfMs, bundleEndpoint: { profile, port: 7412, sequence: 1, ...more } });

it("is nothing of a plane that serves no bundle, or goes on serving one", () => {
  expect(bundleEndpointProblems("shop-eu", { asOfMs })).toEqual([]);
  expect(problems({ certificateNotAfterMs: asOfMs + 8 * dayMs })).toEqual([]);
  expect(problems({ certificateNotAfterMs: asOfMs + 600_000 }, "https_spiffe"), "it renews itself").toEqual([]);
});

it("names a web certificate that ends, one that cannot be replaced, and none", () => {
  expect(problems({ certificateNotAfterMs: asOfMs + 6 * dayMs })).toEqual(["the web certificate of the bundle endpoint of shop-eu ends in 6 d: put a newer one into its files, which are read by themselves"]);
  expect(problems({ certificateNotAfterMs: asOfMs - dayMs })[0]).toContain("ended 24 h ago");
  expect(problems({ certificateNotAfterMs: asOfMs + 60 * dayMs, fault: "it has another key" })).toEqual(["the bundle endpoint of shop-eu has no newer certificate than one that ends in 60 d: it has another key"]);
  expect(problems({ certificateNotAfterMs: asOfMs + 600_000, fault: "the intermediate has ended" }, "https_spiffe")).toEqual(["the bundle endpoint of shop-eu has no newer certificate than one that ends in 10 min: the intermediate has ended"]);
  expect(problems({ fault: "ENOENT" })).toEqual(["the bundle endpoint of shop-eu serves nobody, for want of a certificate: ENOENT"]);
});

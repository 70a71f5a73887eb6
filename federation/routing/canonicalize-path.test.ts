import * as fc from "fast-check";
import { expect, test } from "vitest";
import { canonicalizePath } from "./canonicalize-path.ts";

test.each([
  ["/", "/"],
  ["/a/b", "/a/b"],
  ["//a///b/", "/a/b/"],
  ["/a/./b/../c", "/a/c"],
  ["/a/..", "/"],
  ["/a/.", "/a/"],
  ["/%61dmin", "/admin"],
  ["/a%2e%2e/b", "/a../b"],
  ["/x/%2e%2e/admin", "/admin"],
  ["/caf%c3%a9", "/caf%C3%A9"],
  ["/.well-known/x", "/.well-known/x"],
  ["/a/...", "/a/..."],
])("%j is %j", (path, canonical) => expect(canonicalizePath(path)).toBe(canonical));

test.each(["", "a", "*", "/..", "/a/../..", "/%2f", "/%5C", "/%00", "/a\\b", "/%", "/%4", "/%zz", "/a b", "/\u00e9", "/a?b", "/a#b", "/\u007f"])(
  "%j is refused",
  (path) => expect(canonicalizePath(path)).toBeUndefined(),
);

test("what comes out is canonical and has no dot segment or empty one", () => {
  const piece = fc.constantFrom("/", ".", "..", "a", "B", "%2e", "%2E", "%41", "%20", "%25", "-", "//");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const canonical = canonicalizePath(`/${pieces.join("")}`);
      if (canonical === undefined) return;
      expect(canonicalizePath(canonical)).toBe(canonical);
      expect(canonical).not.toMatch(/\/\/|\/\.\.?(\/|$)/);
    }),
    { numRuns: 1000 },
  );
});

import { expect, test } from "vitest";
import { packageOfLibrary } from "./tools.ts";

test.each([
  ["liblua5.3.so.0", "liblua5.3-0"],
  ["libopentracing-c-wrapper.so.0", "libopentracing-c-wrapper0"],
  ["libopentracing.so.1", "libopentracing1"],
  ["libluajit-5.1.so.2", "libluajit-5.1-2"],
])("%s is in %s", (soname, name) => expect(packageOfLibrary(soname)).toBe(name));

import { expect, it } from "vitest";
import { changedWords } from "./etcd-beside.ts";

it("changed words have the new values of flags once, whatever their names begin with, and all others as they were", () => {
  const words = ["--name=one", "--data-dir=/a", "--client-cert-auth", "--data-dir-mode=7"];
  expect(changedWords(words, { "--data-dir": "/b", "--quota-backend-bytes": "1" })).toEqual(["--name=one", "--client-cert-auth", "--data-dir-mode=7", "--data-dir=/b", "--quota-backend-bytes=1"]);
});

import { expect, it } from "vitest";
import { etcdProblems, type EtcdState } from "./etcd-findings.ts";

const well: EtcdState = { tenants: { endpoints: ["https://a:1"], planes: ["global", "eu"] }, isJudging: true, users: ["atoll-eu", "atoll-global", "root"], alarms: [] };

it("each state of an etcd that is not as it should be is a sentence with what to do", () => {
  expect(etcdProblems([well])).toEqual([]);
  expect(etcdProblems([{ ...well, alarms: ["Nospace"] }])).toEqual([expect.stringMatching(/^etcd of global, eu at https:\/\/a:1 is full and refuses writes: compact/)]);
  expect(etcdProblems([{ ...well, alarms: ["Corrupt"] }])).toEqual([expect.stringContaining("its data differ")]);
  expect(etcdProblems([{ ...well, isJudging: false, users: [] }])).toEqual([expect.stringContaining("lets every certificate of the federation do everything in it")]);
  expect(etcdProblems([{ ...well, tenants: { ...well.tenants, planes: ["eu"] }, isJudging: false, users: [] }])).toEqual([]);
  expect(etcdProblems([well, { ...well, users: ["atoll-global"] }])).toEqual([expect.stringContaining("does not know eu, and refuses")]);
});

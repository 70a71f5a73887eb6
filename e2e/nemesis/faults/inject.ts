import type { FaultKind } from "../fault-plan.ts";
import { injectClone } from "./clone.ts";
import { injectCold } from "./cold.ts";
import { injectCut } from "./cut.ts";
import type { Inject } from "./fault.ts";
import { injectFreeze } from "./freeze.ts";
import { injectFullDisk } from "./full-disk.ts";
import { injectKill } from "./kill.ts";
import { injectMember } from "./member.ts";
import { injectPower } from "./power.ts";
import { injectQuorum } from "./quorum.ts";
import { injectReconnect } from "./reconnect.ts";
import { injectReplica } from "./replica.ts";
import { injectRollback } from "./rollback.ts";
import { injectSkew } from "./skew.ts";
import { injectSplit } from "./split.ts";
import { injectStoreCut } from "./store-cut.ts";
import { injectWipe } from "./wipe.ts";

/** How each kind of fault is brought about. */
export const injectors: Readonly<Record<FaultKind, Inject>> = {
  kill: injectKill,
  freeze: injectFreeze,
  cut: injectCut,
  "cut-one-way": injectCut,
  rollback: injectRollback,
  "rollback-restart": injectRollback,
  wipe: injectWipe,
  clone: injectClone,
  cold: injectCold,
  skew: injectSkew,
  reconnect: injectReconnect,
  replica: injectReplica,
  "replica-cut": injectReplica,
  "store-cut": injectStoreCut,
  member: injectMember,
  split: injectSplit,
  quorum: injectQuorum,
  "full-disk": injectFullDisk,
  power: injectPower,
};

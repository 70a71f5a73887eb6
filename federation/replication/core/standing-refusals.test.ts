import { expect, it } from "vitest";
import { heldBackReason } from "./refused-objects.ts";
import { refusalStandsMs, StandingRefusals } from "./standing-refusals.ts";

const refused = (id: string, reason = "origin") => ({ id, reason });

it("tells what has been refused for a while, by its last reason, and nothing of what was refused for a moment or is held back", () => {
  const refusals = new StandingRefusals();
  refusals.take([refused("b"), refused("moment"), refused("held", heldBackReason)], 0);
  refusals.take([refused("b", "signature"), refused("a")], 1_000);
  expect(refusals.at(refusalStandsMs - 1)).toEqual([]);
  expect(refusals.at(refusalStandsMs)).toEqual([refused("b", "signature")]);
  expect(refusals.at(refusalStandsMs + 1_000)).toEqual([refused("a"), refused("b", "signature")]);
  refusals.take([refused("a")], 9_000);
  refusals.take([refused("a"), refused("b")], 10_000);
  expect(refusals.at(10_000)).toEqual([refused("a")]);
  refusals.take([], 11_000);
  expect(refusals.at(60_000)).toEqual([]);
});

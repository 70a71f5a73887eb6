import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { TrustDomainName } from "./names.ts";
import { carriedStatus, commonTerms, isSameTerms, relationshipSides, relationshipStanding, withApproval, withoutApprovals } from "./relationship-terms.ts";
import type { RelationshipApproval, RelationshipSide, RelationshipSpec, RelationshipStatus } from "./resource.ts";
import { relationshipSigningInput } from "./signing-input.ts";

const days = ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z", "2029-01-01T00:00:00Z"] as const;
const principals = ["ns/web/sa/a", "ns/web/sa/b"];
const services = ["core/x", "core/y"];

interface Subject {
  readonly spec: RelationshipSpec;
  readonly status?: RelationshipStatus;
}

function terms(over: { readonly principals?: readonly string[]; readonly services?: readonly string[]; readonly until?: string; readonly authority?: string } = {}): RelationshipSpec {
  return {
    caller: { trustDomain: "shop.example" as TrustDomainName, authoritySha256: over.authority ?? "aa", principals: over.principals ?? ["ns/web/sa/a"] },
    callee: { trustDomain: "pay.example" as TrustDomainName, authoritySha256: "bb", services: over.services ?? ["core/x"] },
    validUntil: over.until ?? days[0],
  };
}

const signatureOf = (side: RelationshipSide, spec: RelationshipSpec): string => `${side} ${Buffer.from(relationshipSigningInput("r", spec)).toString("base64url")}`;
const isGenuine = (spec: RelationshipSpec, { side, signature }: RelationshipApproval): boolean => signature === signatureOf(side, spec);
const standing = (subject: Subject) => relationshipStanding(subject, isGenuine);

const edited = (subject: Subject, spec: RelationshipSpec): Subject => {
  const status = carriedStatus(subject, spec);
  return { spec, ...(status === undefined ? {} : { status }) };
};
function approved(subject: Subject, side: RelationshipSide, minute = 0): Subject {
  const other = subject.status?.approvals?.find((one) => one.side !== side);
  // As the global plane records one.
  const approval = { side, signature: signatureOf(side, subject.spec), approvedAt: new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString() };
  return { ...subject, status: withApproval(subject.status, approval, other !== undefined && other.terms === undefined && isGenuine(subject.spec, other)) };
}
const withdrawn = (subject: Subject, side: RelationshipSide): Subject => ({ ...subject, status: withoutApprovals(subject.status, (approval) => approval.side === side) });
const agreedOn = (spec: RelationshipSpec): Subject => approved(approved({ spec }, "caller", 1), "callee", 2);

describe("what holds while the next is not agreed", () => {
  const first = terms();
  const longer = terms({ until: days[1] });

  it("is what was agreed, through an extension of the end, until both have approved it", () => {
    const proposed = edited(agreedOn(first), longer);
    expect(standing(proposed)).toEqual({ inForce: { terms: first, since: "2026-01-01T00:02:00.000Z" }, waitsFor: ["caller", "callee"] });
    const half = approved(proposed, "callee", 3);
    expect(standing(half)).toEqual({ inForce: { terms: first, since: "2026-01-01T00:02:00.000Z" }, waitsFor: ["caller"] });
    expect(standing(approved(half, "caller", 4))).toEqual({ inForce: { terms: longer, since: "2026-01-01T00:04:00.000Z" }, waitsFor: [] });
  });

  it("is at once what a narrower proposal leaves of it, which waits for nobody", () => {
    const wide = terms({ services, until: days[1] });
    for (const narrow of [first, longer, terms({ services })]) expect(standing(edited(agreedOn(wide), narrow))).toMatchObject({ inForce: { terms: narrow }, waitsFor: [] });
    expect(standing(edited(agreedOn(first), terms({ services: ["core/y"] })))).toEqual({ waitsFor: ["caller", "callee"] });
    expect(standing(edited(agreedOn(terms({ services, until: days[0] })), terms({ services: ["core/y"], until: days[1] })))).toMatchObject({ inForce: { terms: terms({ services: ["core/y"] }) }, waitsFor: ["caller", "callee"] });
  });

  it("is what was agreed again after an edit back, with no new approval", () => {
    const half = approved(edited(agreedOn(first), terms({ services, until: days[2] })), "caller", 3);
    const back = edited(half, { ...first, validUntil: "2027-01-01T01:00:00+01:00" });
    expect(standing(back)).toMatchObject({ inForce: { since: "2026-01-01T00:02:00.000Z" }, waitsFor: [] });
    expect(edited(edited(agreedOn(first), longer), first).status).toEqual(agreedOn(first).status);
  });

  it("stays narrow where a side has signed that, whoever writes the wider terms again", () => {
    const wide = terms({ services });
    const narrowed = approved(edited(agreedOn(wide), first), "callee", 3);
    expect(standing(edited(narrowed, wide))).toMatchObject({ inForce: { terms: first }, waitsFor: ["callee"] });
  });

  it("is nothing once a side has taken back what it approved, whatever is proposed", () => {
    for (const side of relationshipSides) {
      const proposed = approved(edited(agreedOn(first), longer), "caller", 3);
      expect(standing(withdrawn(proposed, side)).inForce).toBeUndefined();
      expect(standing(edited(withdrawn(proposed, side), first)).inForce).toBeUndefined();
    }
  });

  it("is told without saying twice what was agreed, and with all that is needed once it is no more", () => {
    const proposed = edited(agreedOn(first), longer);
    expect(proposed.status).toMatchObject({ agreed: { terms: first }, approvals: [{ terms: "agreed" }, { terms: "agreed" }] });
    expect(withdrawn(proposed, "caller").status).toEqual({ approvals: [{ side: "callee", signature: signatureOf("callee", first), approvedAt: "2026-01-01T00:02:00.000Z", terms: first }] });
    expect(approved(approved(proposed, "caller", 3), "callee", 4).status).toEqual(approved(approved({ spec: longer }, "caller", 3), "callee", 4).status);
  });

  it("is nothing of what was agreed with another authority, or between others, who are told nothing of it", () => {
    expect(standing(edited(agreedOn(first), terms({ authority: "cc" }))).inForce).toBeUndefined();
    expect(standing(edited(edited(agreedOn(first), terms({ authority: "cc" })), first))).toMatchObject({ inForce: { terms: first } });
    const others = { ...first, caller: { ...first.caller, trustDomain: "bank.example" as TrustDomainName } };
    expect(edited(edited(agreedOn(first), longer), others).status).toEqual({ approvals: [] });
  });

  it("is read of approvals that an older plane has recorded, which say no terms: they are for the spec beside them", () => {
    const recorded: Subject = { spec: first, status: { approvals: relationshipSides.map((side) => ({ side, signature: signatureOf(side, first), approvedAt: days[0] })) } };
    expect(standing(recorded).inForce?.terms).toEqual(first);
    expect(standing(edited(recorded, longer)).inForce?.terms).toEqual(first);
    const outdated: Subject = { ...recorded, spec: longer };
    expect(standing(outdated)).toEqual({ waitsFor: ["caller", "callee"] });
    expect(standing(edited(outdated, terms({ services }))).inForce).toBeUndefined();
  });
});

const someTerms = fc
  .record({ principals: fc.subarray(principals, { minLength: 1 }), services: fc.subarray(services, { minLength: 1 }), until: fc.constantFrom(...days), all: fc.boolean() })
  .map(({ all, ...over }) => terms(all ? { ...over, principals: ["*"] } : over));

/** One call that terms may allow: who calls, what, on which day. */
const calls = [...principals, "ns/other/sa/c"].flatMap((principal) => services.flatMap((service) => days.map((day) => ({ principal, service, day }))));
const allows = (spec: RelationshipSpec | undefined, { principal, service, day }: (typeof calls)[number]): boolean =>
  spec !== undefined && (spec.caller.principals.includes("*") || spec.caller.principals.includes(principal)) && spec.callee.services.includes(service) && Date.parse(day) <= Date.parse(spec.validUntil);

type Step = { readonly kind: "edit"; readonly spec: RelationshipSpec } | { readonly kind: "approve" | "withdraw"; readonly side: RelationshipSide };
const someStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("edit" as const), spec: someTerms }),
  fc.record({ kind: fc.constant("approve" as const), side: fc.constantFrom(...relationshipSides) }),
  fc.record({ kind: fc.constant("approve" as const), side: fc.constantFrom(...relationshipSides) }),
  fc.record({ kind: fc.constant("withdraw" as const), side: fc.constantFrom(...relationshipSides) }),
);

it("commonTerms allows what both allow, and nothing else", () => {
  fc.assert(
    fc.property(someTerms, someTerms, (a, b) => {
      for (const call of calls) expect(allows(commonTerms(a, b), call)).toBe(allows(a, call) && allows(b, call));
    }),
  );
});

it("allows after any history what a plain record of it allows: agreed by both exactly, proposed now, and within what each side signed last", () => {
  fc.assert(
    fc.property(someTerms, fc.array(someStep, { maxLength: 16 }), (spec, steps) => {
      let subject: Subject = { spec };
      let agreed: RelationshipSpec | undefined;
      const said = new Map<RelationshipSide, RelationshipSpec>();
      for (const [minute, step] of steps.entries()) {
        if (step.kind === "edit") {
          subject = edited(subject, step.spec);
        } else if (step.kind === "approve") {
          subject = approved(subject, step.side, minute);
          said.set(step.side, subject.spec);
          if (relationshipSides.every((side) => isSameTerms(said.get(side) ?? terms({ authority: "none" }), subject.spec))) agreed = subject.spec;
        } else {
          subject = withdrawn(subject, step.side);
          said.delete(step.side);
          agreed = undefined;
        }
        const { inForce, waitsFor } = standing(subject);
        for (const call of calls) expect(allows(inForce?.terms, call)).toBe(allows(agreed, call) && allows(subject.spec, call) && [...said.values()].every((one) => allows(one, call)));
        if (waitsFor.length === 0) expect(inForce !== undefined && isSameTerms(inForce.terms, subject.spec)).toBe(true);
      }
    }),
  );
});

it("allows nothing that the two have not signed in one and the same form, whatever is put together of their signatures", () => {
  const someApproval = (signed: readonly (readonly [RelationshipSide, RelationshipSpec])[]) => fc.constantFrom(...signed).map(([side, spec]) => ({ side, signature: signatureOf(side, spec), approvedAt: days[0] }));
  const someSignatures = fc.array(fc.tuple(fc.constantFrom(...relationshipSides), someTerms), { minLength: 1, maxLength: 5 });
  const someForgery = someSignatures.chain((signed) =>
    fc.record({
      signed: fc.constant(signed),
      spec: someTerms,
      approvals: fc.array(fc.tuple(someApproval(signed), fc.option(fc.oneof(fc.constant("agreed" as const), someTerms, fc.constantFrom(...signed.map(([, spec]) => spec))))), { maxLength: 2 }),
      agreed: fc.option(fc.record({ terms: fc.oneof(someTerms, fc.constantFrom(...signed.map(([, spec]) => spec))), approvals: fc.array(someApproval(signed), { minLength: 2, maxLength: 2 }) })),
    }),
  );
  fc.assert(
    fc.property(someForgery, ({ signed, spec, approvals, agreed }) => {
      const status: RelationshipStatus = { approvals: approvals.map(([approval, of]) => (of === null ? approval : { ...approval, terms: of })), ...(agreed === null ? {} : { agreed }) };
      const { inForce } = standing({ spec, status });
      const both = signed.filter(([, one]) => relationshipSides.every((side) => signed.some(([by, other]) => by === side && isSameTerms(one, other)))).map(([, one]) => one);
      for (const call of calls) if (allows(inForce?.terms, call)) expect(both.some((one) => allows(one, call))).toBe(true);
    }),
  );
});

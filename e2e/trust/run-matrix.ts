import { acceptExactly, acceptTrustDomain } from "#federation/identity/tls-options.ts";
import { parseSpiffeId, parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { claims, domains, workloadPath, type Claim, type Domain } from "./claims.ts";
import { Handshakes, type Outcome, type Way } from "./handshakes.ts";
import { bundleOf, mintRoot, mintSvid, type DomainRoot } from "./mint.ts";
import { createVerifier, type PlantedFault } from "./verifier.ts";

/** When and how a peer comes: `updated` is after every domain's bundle has got another root in place of the former one. */
export const contexts = ["new", "resumed", "updated", "relayed"] as const;
export type Context = (typeof contexts)[number];

/** Whom the one that judges expects: callers are judged by the first and the third, servers by all. */
const expectations = ["its domain", "exactly it", "another domain", "another workload"] as const;

/** One peer that is judged once. */
export interface Cell {
  readonly context: Context;
  readonly role: "caller" | "server";
  /** Whose root signed. */
  readonly signer: Domain;
  readonly root: "former" | "present";
  /** Whose identity the leaf names. */
  readonly domain: Domain;
  readonly claim: Claim;
  readonly expected: (typeof expectations)[number];
}

/** What the matrix found. */
export interface MatrixLine {
  readonly cells: number;
  readonly accepted: number;
  readonly wrongAccepts: number;
  readonly wrongRefusals: number;
  /** Of what was refused. */
  readonly refusedBy: Readonly<Record<Outcome["decidedBy"], number>>;
  readonly byContext: Readonly<Record<Context, number>>;
  /** The first of the wrong ones, in words. */
  readonly wrong: readonly string[];
}

/** Wrong cells that are named. */
const namedMax = 20;

/** Every cell there is, in order. */
export function allCells(): readonly Cell[] {
  return contexts.flatMap((context) =>
    (["caller", "server"] as const).flatMap((role) =>
      domains.flatMap((signer) =>
        (context === "updated" ? (["former", "present"] as const) : (["former"] as const)).flatMap((root) =>
          domains.flatMap((domain) =>
            claims.flatMap((claim) => expectations.filter((_, at) => role === "server" || at % 2 === 0).map((expected): Cell => ({ context, role, signer, root, domain, claim, expected }))),
          ),
        ),
      ),
    ),
  );
}

/** About `count` of them, the same by the same seed. A quarter is of valid leaves that their own domain's root signed: chance alone finds few that are to be accepted, or nearly. */
export function someCells(count: number, seed: number): readonly Cell[] {
  const random = createSeededRandom(seed);
  const drawn = allCells().map((cell) => ({ cell, order: random.next() })).toSorted((left, right) => left.order - right.order).map(({ cell }) => cell);
  const near = drawn.filter(({ claim, signer, domain }) => claim.isValid && signer === domain).slice(0, count / 4);
  return [...new Set([...near, ...drawn.slice(0, count - near.length)])];
}

/**
 * What the standards and the design ask for: a peer is who it says when the root of the very domain that it names vouches for a leaf that keeps
 * all rules, that root is in the bundle now, and it is who is expected.
 */
export function isToBeAccepted({ context, signer, root, domain, claim, expected }: Cell): boolean {
  const isRootBelieved = context === "updated" ? root === "present" : root === "former";
  return claim.isValid && signer === domain && isRootBelieved && (expected === "its domain" || expected === "exactly it");
}

/** Judges `cells`, each by a real handshake. @throws when a listener cannot be opened */
export async function runMatrix(cells: readonly Cell[], options: { readonly nowMs: number; readonly fault?: PlantedFault; readonly onProgress?: (done: number) => void }, signal: AbortSignal): Promise<MatrixLine> {
  const { nowMs, fault, onProgress } = options;
  const peers = new Peers(nowMs);
  const line = { cells: 0, accepted: 0, wrongAccepts: 0, wrongRefusals: 0, refusedBy: { handshake: 0, reading: 0 }, byContext: { new: 0, resumed: 0, updated: 0, relayed: 0 }, wrong: [] as string[] };
  for (const context of contexts) {
    const verifier = createVerifier(peers.own, peers.bundles("former"), fault);
    await using handshakes = await Handshakes.open(verifier);
    const session = context === "resumed" ? await handshakes.sessionOf(peers.own) : undefined;
    if (context === "updated") {
      verifier.update(peers.bundles("present"));
      handshakes.renew();
    }
    for (const cell of cells) {
      if (cell.context !== context) continue;
      signal.throwIfAborted();
      const outcome = await judge(handshakes, cell, peers, { session, isRelayed: context === "relayed" });
      line.cells++;
      line.byContext[context]++;
      if (outcome.isAccepted) line.accepted++;
      else line.refusedBy[outcome.decidedBy]++;
      if (outcome.isAccepted !== isToBeAccepted(cell)) {
        if (outcome.isAccepted) line.wrongAccepts++;
        else line.wrongRefusals++;
        if (line.wrong.length < namedMax) line.wrong.push(`${describeCell(cell)}: ${outcome.isAccepted ? "accepted" : `refused by the ${outcome.decidedBy}, ${outcome.reason}`}`);
      }
      if (line.cells % 1_000 === 0) onProgress?.(line.cells);
    }
  }
  return line;
}

/** In words, for whoever looks for the cause. */
export function describeCell({ context, role, signer, root, domain, claim, expected }: Cell): string {
  return `${context} ${role}: ${claim.name}, of ${domain}, signed by the ${root} root of ${signer}, where ${expected} is expected`;
}

async function judge(handshakes: Handshakes, { role, signer, root, domain, claim, expected }: Cell, peers: Peers, way: Way): Promise<Outcome> {
  const svid = peers.svid(root, signer, domain, claim);
  const dialed = parseTrustDomainName(expected === "another domain" ? (domains[(domains.indexOf(domain) + 1) % domains.length] ?? domain) : domain);
  const accept = expected === "exactly it" || expected === "another workload" ? acceptExactly([parseSpiffeId(`spiffe://${domain}${expected === "exactly it" ? workloadPath : "/ns/web/sa/other"}`)]) : acceptTrustDomain(dialed);
  return role === "caller" ? await handshakes.judgeCaller(svid, accept, way) : await handshakes.judgeServer(svid, dialed, accept, way);
}

/** Roots and what they sign, each made once. */
class Peers {
  readonly #nowMs: number;
  readonly #roots: Readonly<Record<Cell["root"], ReadonlyMap<Domain, DomainRoot>>>;
  readonly #svids = new Map<string, ReturnType<typeof mintSvid>>();

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
    const mint = (): ReadonlyMap<Domain, DomainRoot> => new Map(domains.map((domain) => [domain, mintRoot(domain, nowMs)]));
    this.#roots = { former: mint(), present: mint() };
  }

  /** Of the one that judges. */
  get own(): ReturnType<typeof mintSvid> {
    return this.svid("former", domains[0], domains[0], claims[0] as Claim);
  }

  bundles(which: Cell["root"]) {
    return [...this.#roots[which].values()].map((root) => bundleOf(root.domain, which === "former" ? 1 : 2, root));
  }

  svid(which: Cell["root"], signer: Domain, domain: Domain, claim: Claim): ReturnType<typeof mintSvid> {
    const key = [which, signer, domain, claim.name].join("|");
    const known = this.#svids.get(key);
    if (known !== undefined) return known;
    const root = this.#roots[which].get(signer);
    if (root === undefined) throw new Error(`no root of ${signer}`);
    const made = mintSvid({ root, domain, claim, nowMs: this.#nowMs });
    this.#svids.set(key, made);
    return made;
  }
}


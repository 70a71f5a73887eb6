import type { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { planeNames } from "./cast.ts";
import { notAsDone } from "./done-and-held.ts";
import { doneLinks } from "./done-links.ts";
import { originOf, relationshipRegister } from "./registers.ts";
import { SeenOrder } from "./seen-order.ts";
import { settled } from "./settled.ts";
import { isOwnOf, ShownRegisters, type Shown } from "./shown-registers.ts";
import type { SimulatedPlanes } from "./simulated-planes.ts";
import { Truth } from "./truth.ts";

/** Knows what was told to whom, looks at what planes show and say, and keeps what must not be. */
export class Judge {
  readonly truth = new Truth();
  readonly violations: string[] = [];
  readonly #planes: SimulatedPlanes;
  readonly #clock: VirtualClock;
  readonly #order = new SeenOrder();
  readonly #shown: ShownRegisters;

  constructor(planes: SimulatedPlanes, clock: VirtualClock) {
    this.#planes = planes;
    this.#clock = clock;
    this.#shown = new ShownRegisters(planes, clock);
  }

  /** What a plane shows; undefined while it does not serve. */
  shownAt(name: string): Promise<Shown | undefined> {
    return this.#shown.at(name);
  }

  /** What was seen of a plane's own registers does not bind it any more: its store went back. */
  forgetOrderOf(name: string): void {
    this.#order.forget(name, (register) => isOwnOf(name, register));
  }

  /** Judges what planes show now; with `isHealed` also that it is all that is true. */
  async look(when: string, isHealed: boolean): Promise<void> {
    for (const plane of this.#planes.all) for (const failure of plane.failures.splice(0)) this.violations.push(`${when}: the plane of ${plane.name} ended: ${String(failure)}`);
    for (const name of planeNames) {
      const shown = await this.#shown.at(name);
      if (shown === undefined) continue;
      for (const [register, version] of shown) if (!this.truth.wasWritten(register, version)) this.violations.push(`${when}: ${name} shows ${register} as ${version}, which nobody wrote`);
      for (const register of this.truth.registers) {
        const fault = this.#order.see({ plane: name, register, version: shown.get(register) ?? 0, mayBeWithdrawn: this.#shown.mayBeWithdrawn(name, register) });
        if (fault !== undefined) this.violations.push(`${when}: ${name} shows ${register} ${fault}`);
      }
    }
    if (isHealed) this.violations.push(...(await this.faultsOfHealed()).map((fault) => `${when}: ${fault}`));
  }

  /** Judges what publishers know to be done: acknowledged means in the receiver's store. */
  async lookAtDone(when: string): Promise<void> {
    const { global, clusters } = this.#planes;
    const before = doneLinks(global, clusters);
    for (const receiver of planeNames) {
      const plane = this.#planes.of(receiver);
      if (plane.served === undefined || plane.trouble === "away") continue;
      const held = await settled(this.#clock, plane.heldGenerations());
      const after = doneLinks(global, clusters);
      for (const { publisher, done } of before.filter((link) => link.receiver === receiver)) {
        const still = after.find((link) => link.publisher === publisher && link.receiver === receiver)?.done ?? new Map();
        for (const fault of notAsDone(done, held, still)) this.violations.push(`${when}: ${receiver} has acknowledged ${fault}, and it is not so`);
      }
    }
  }

  /** Judges a plane that takes its store for sound after it went back: nothing of its own that it showed may be missing. */
  async lookAtUnnoticed(name: string, before: Shown | undefined): Promise<void> {
    const after = await this.#shown.at(name);
    const lost = [...(before ?? [])].filter(([register, version]) => isOwnOf(name, register) && after?.get(register) !== version);
    if (lost.length > 0) this.violations.push(`the store of ${name} went back, and nobody noticed: ${lost.map(([register]) => register).join(", ")}`);
  }

  /** What the store of `name` holds counts from now on; but what was revoked stays so. */
  async takeForTrue(name: string): Promise<void> {
    const shown = await this.#shown.at(name);
    for (const register of [...this.truth.registers]) {
      if (!isOwnOf(name, register)) continue;
      const version = shown?.get(register) ?? 0;
      // One that nobody was told of the outcome of was never revoked.
      if (register === relationshipRegister && this.truth.acknowledged(register) === 0 && !this.truth.allows(register, version)) this.violations.push(`a relationship that was revoked is back: version ${version}`);
      this.truth.decided(register, version);
    }
  }

  /** What is not as it should be where everything works, and had time. */
  async faultsOfHealed(): Promise<readonly string[]> {
    const shown = new Map<string, Shown | undefined>();
    for (const name of planeNames) shown.set(name, await this.#shown.at(name));
    return planeNames.flatMap((name) => {
      const own = shown.get(name);
      if (own === undefined) return [`${name} does not serve`];
      const standing = this.#planes.of(name).served?.standing;
      const faults = standing?.state === "sound" ? [] : [`the store of ${name} is ${standing?.state ?? "away"}`];
      for (const register of this.truth.registers) {
        const version = own.get(register) ?? 0;
        if (isOwnOf(name, register)) {
          if (!this.truth.allows(register, version)) faults.push(`${name} has ${register} as ${version}; ${this.truth.acknowledged(register)} was acknowledged`);
          continue;
        }
        const expected = this.#shown.isMeantFor(name, register) ? (shown.get(originOf(register))?.get(register) ?? 0) : 0;
        if (version !== expected) faults.push(`${name} shows ${register} as ${version}, and not as ${expected}`);
      }
      return faults;
    });
  }

  /** What every plane shows, for comparing two runs. */
  async trace(): Promise<string> {
    const lines: string[] = [];
    for (const name of planeNames) {
      const shown = await this.#shown.at(name);
      lines.push(`${name} ${shown === undefined ? "away" : [...shown].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([register, version]) => `${register}=${version}`).join(" ")}`);
    }
    return lines.join("\n");
  }
}

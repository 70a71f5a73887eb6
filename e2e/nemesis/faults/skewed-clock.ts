/** Loaded before a program (`node --import`), moves its wall clock by this many ms; time as it passes stays what it is. */
export const skewVariable = "NEMESIS_SKEW_MS";

const skewMs = Number(process.env[skewVariable] ?? 0);

if (skewMs !== 0) {
  const SystemDate = Date;
  // A proxy and not a subclass: `Date()` without `new` and `instanceof` go on to work.
  globalThis.Date = new Proxy(SystemDate, {
    construct: (target, args: readonly unknown[], newTarget) => Reflect.construct(target, args.length === 0 ? [SystemDate.now() + skewMs] : [...args], newTarget) as object,
    get: (target, property, receiver) => (property === "now" ? () => SystemDate.now() + skewMs : (Reflect.get(target, property, receiver) as unknown)),
  });
}

import { renderTable, type Column } from "../table.ts";
import type { Terminal } from "../terminal.ts";
import { plural, seconds, type DrillReport, type DrillSample, type DrillStep } from "./drill-run.ts";
import type { MatrixRow } from "./drill-score.ts";
import type { WindowSum } from "./request-window.ts";

interface LiveRow {
  readonly region: string;
  readonly sum: WindowSum;
}

const liveColumns: readonly Column<LiveRow>[] = [
  { title: "USERS IN", value: (row) => row.region },
  { title: "SERVED BY", value: (row) => shares(row.sum.ok, row.sum.okTotal) },
  { title: "OK/S", value: (row) => String(row.sum.okTotal), align: "right" },
  { title: "FAILED", value: (row) => String(row.sum.failed), align: "right" },
  { title: "P50", value: (row) => ms(row.sum.p50Ms), align: "right" },
  { title: "P99", value: (row) => ms(row.sum.p99Ms), align: "right" },
];

const stepTitles: Readonly<Record<DrillStep, string>> = {
  observing: "BEFORE",
  killed: "KILLED",
  shifted: "SHIFTED",
  returning: "RETURNING",
  returned: "RETURNED",
  recovered: "RECOVERED",
};

/** A line of numbers this often where lines cannot be rewritten. */
const plainEveryMs = 1_000;
const redrawEveryMs = 200;

/** Shows a running drill: a table that is rewritten on a terminal; plain lines, one a second, elsewhere. */
export class DrillView {
  readonly #terminal: Terminal;
  readonly #homeRegion: string;
  #shownLines = 0;
  #lastShownMs = Number.NEGATIVE_INFINITY;
  #hint = "";

  constructor(terminal: Terminal, homeRegion: string) {
    this.#terminal = terminal;
    this.#homeRegion = homeRegion;
  }

  /** A line under the live table, such as which key does what. */
  hint(text: string): void {
    this.#hint = text;
  }

  step(step: DrillStep, text: string): void {
    this.#shownLines = 0;
    const { paint } = this.#terminal;
    const color = step === "killed" ? paint.bad : step === "recovered" || step === "shifted" ? paint.good : paint.bold;
    this.#terminal.print("");
    this.#terminal.print(`${color(stepTitles[step])}  ${text}`);
    this.#lastShownMs = Number.NEGATIVE_INFINITY;
  }

  /** A line of text that stays, above whatever is drawn next. */
  note(text: string): void {
    this.#shownLines = 0;
    this.#terminal.print(`  ${text}`);
  }

  sample(sample: DrillSample): void {
    const nowMs = this.#terminal.clock.monotonicMs();
    const everyMs = this.#terminal.isInteractive ? redrawEveryMs : plainEveryMs;
    if (nowMs - this.#lastShownMs < everyMs) return;
    this.#lastShownMs = nowMs;
    if (this.#terminal.isInteractive) this.#redraw(sample);
    else this.#line(sample);
  }

  #redraw(sample: DrillSample): void {
    const lines = [...liveTable(sample.users, this.#terminal.width - 2), this.#hint === "" ? "" : this.#terminal.paint.dim(this.#hint)].map((line) => `  ${line}`);
    const up = this.#shownLines > 0 ? `\u001b[${this.#shownLines}A` : "";
    this.#terminal.raw(up + lines.map((line) => `\u001b[2K${line}\n`).join(""));
    this.#shownLines = lines.length;
  }

  #line(sample: DrillSample): void {
    const home = sample.users.find((row) => row.region === this.#homeRegion);
    if (home === undefined) return;
    const others = sample.users.filter((row) => row !== home);
    const othersFailed = others.reduce((sum, row) => sum + row.sum.failed, 0);
    const othersOk = others.reduce((sum, row) => sum + row.sum.okTotal, 0);
    const own = `${home.sum.okTotal}/s from ${shares(home.sum.ok, home.sum.okTotal)}, ${home.sum.failed} failed, p50 ${ms(home.sum.p50Ms)}`;
    this.#terminal.print(`  ${`+${seconds(sample.stepMs)}`.padStart(8)}  ${this.#homeRegion}'s users: ${own}; others ${othersOk}/s, ${othersFailed} failed`);
  }
}

/** Who is served from where and how fast. */
export function liveTable(users: readonly LiveRow[], width: number): readonly string[] {
  return renderTable(liveColumns, users, width);
}

const phaseTitles = { before: "before", during: "during", after: "after" } as const;

const matrixColumns: readonly Column<MatrixRow>[] = [
  { title: "USERS IN", value: (row) => row.users },
  { title: "PHASE", value: (row) => phaseTitles[row.phase] },
  { title: "REQUESTS", value: (row) => String(row.requests), align: "right" },
  { title: "FAILED", value: (row) => String(row.failed), align: "right" },
  { title: "P50", value: (row) => ms(row.p50Ms), align: "right" },
  { title: "P99", value: (row) => ms(row.p99Ms), align: "right" },
  { title: "SERVED BY", value: (row) => shares(row.servedBy, row.ok) },
];

/** The drill's report as text: the matrix, then the score. */
export function renderReport(report: DrillReport, region: string, width: number): readonly string[] {
  const { drill } = report;
  const nonIdempotent = drill.failed - drill.failedIdempotent;
  const facts: readonly (readonly [string, string])[] = [
    ["requests", `${drill.requests}, of which ${drill.failed} failed (${drill.failedIdempotent} idempotent, ${nonIdempotent} not safe to repeat)`],
    ["safe to repeat, yet failed", `${drill.failedIdempotentOutsideShift} outside the shift, ${drill.failedIdempotent - drill.failedIdempotentOutsideShift} during it`],
    ["killed", `${plural(report.killed.length, "process", "processes")} of ${region}, with ${drill.inFlightAtKill} requests in flight into it`],
    ["first answer from elsewhere", drill.detectMs === null ? "never seen" : `${drill.detectMs} ms after the kill`],
    ["shift (≥99 % served)", drill.shiftMs === null ? "not reached" : `${drill.shiftMs} ms after the kill`],
    ["back home (≥99 %)", drill.recoverMs === null ? "not reached" : `${seconds(drill.recoverMs)} after the return began`],
    ["longest stall of this host", `${drill.hostStallMsMax} ms${drill.hostStallMsMax > 200 ? ": the times above are the host's as much as the federation's" : ""}`],
  ];
  const shown = [...groupFailures(report)];
  return [
    ...renderTable(matrixColumns, report.matrix, width),
    "",
    ...renderTable([{ title: "DRILL", value: ([key]) => key }, { title: `LOSS OF ${region.toUpperCase()}`, value: ([, value]) => value }], facts, width),
    ...(shown.length === 0 ? [] : ["", "What failed, as the users saw it:", ...shown.map((line) => `  ${line}`)]),
  ];
}

function groupFailures(report: DrillReport): readonly string[] {
  const counts = new Map<string, number>();
  for (const failure of report.failures) {
    const key = `${failure.request}: ${failure.reason}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a).slice(0, 8).map(([key, count]) => `${count} × ${key}`);
}

/** `eu-west 98 %, us-east 2 %`, the largest first. */
export function shares(counts: Readonly<Record<string, number>>, total: number): string {
  if (total === 0) return "nobody";
  return Object.entries(counts)
    .sort(([, a], [, b]) => b - a)
    .map(([region, count]) => `${region} ${percent(count / total)}`)
    .join(", ");
}

function percent(ratio: number): string {
  // 99.96 % must not read as 100 %: what is rare is what one looks for.
  const value = ratio * 100;
  const text = value > 99 && value < 100 ? (Math.floor(value * 10) / 10).toFixed(1) : value < 1 ? value.toFixed(1) : value.toFixed(0);
  return `${text} %`;
}

function ms(value: number | null): string {
  return value === null ? "-" : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

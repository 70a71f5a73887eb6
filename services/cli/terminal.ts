import type { Clock } from "#federation/runtime/clock.ts";

/** Where output goes and what it can do there. */
export interface Terminal {
  readonly clock: Clock;
  /** Standard output is a terminal: lines may be rewritten. */
  readonly isInteractive: boolean;
  readonly width: number;
  /** Colour for meaning, when there is one: never the only bearer of it. */
  readonly paint: Paint;
  /** A line of the command's result, to standard output. */
  readonly print: (line: string) => void;
  /** A line about the work, to standard error. */
  readonly note: (line: string) => void;
  /** Text as it is, to standard output: cursor movements of a live view. */
  raw(text: string): void;
  /** Standard error is a terminal: progress may be one line that changes. */
  readonly isErrorInteractive: boolean;
  rawError(text: string): void;
}

export interface Paint {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly warn: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly bold: (text: string) => string;
}

const widthWithoutTerminal = 100;
const narrowestWidth = 60;

/** A terminal on this process's streams. `wantsColor` already includes NO_COLOR and --no-color. */
export function createTerminal(options: { readonly clock: Clock; readonly wantsColor: boolean; readonly stdout: NodeJS.WriteStream; readonly stderr: NodeJS.WriteStream }): Terminal {
  const { clock, stdout, stderr } = options;
  const isInteractive = stdout.isTTY;
  return {
    clock,
    isInteractive,
    isErrorInteractive: stderr.isTTY,
    get width() {
      return isInteractive ? Math.max(narrowestWidth, stdout.columns) : widthWithoutTerminal;
    },
    paint: createPaint(options.wantsColor && isInteractive),
    print: (line) => void stdout.write(`${line}\n`),
    note: (line) => void stderr.write(`${line}\n`),
    raw: (text) => void stdout.write(text),
    rawError: (text) => void stderr.write(text),
  };
}

/** Colours of the 16-colour set, which terminals let their users choose. */
export function createPaint(isOn: boolean): Paint {
  const style = (open: number, close: number) => (text: string) => (isOn ? `\u001b[${open}m${text}\u001b[${close}m` : text);
  return { good: style(32, 39), bad: style(31, 39), warn: style(33, 39), dim: style(2, 22), bold: style(1, 22) };
}

/** Progress of work that takes a while: nothing for what is done within a second. */
export interface Progress {
  /** What is being done now. */
  step(text: string): void;
  /** Ends it; with a text that stays. */
  done(text?: string): void;
}

const quietMs = 1_000;

/** On a terminal one line that changes, else a plain line per step; both to standard error. */
export function startProgress(terminal: Terminal): Progress {
  const startMs = terminal.clock.monotonicMs();
  let current = "";
  let isShown = false;
  const show = (): void => {
    isShown = true;
    if (terminal.isErrorInteractive) terminal.rawError(`\r\u001b[2K${current.slice(0, terminal.width - 1)}`);
    else terminal.note(current);
  };
  const timer = terminal.clock.schedule(quietMs, show);
  return {
    step(text) {
      current = text;
      if (terminal.clock.monotonicMs() - startMs >= quietMs) show();
    },
    done(text) {
      timer[Symbol.dispose]();
      if (isShown && terminal.isErrorInteractive) terminal.rawError("\r\u001b[2K");
      if (text !== undefined) terminal.note(text);
    },
  };
}

/** Keeps the process alive while it only waits for timers, which by themselves do not (see Clock.schedule). */
export function keepAlive(): Disposable {
  const channel = new MessageChannel();
  channel.port1.ref();
  channel.port1.on("message", () => {});
  return { [Symbol.dispose]: () => channel.port1.close() };
}

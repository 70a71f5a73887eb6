import type { ReadStream } from "node:tty";
import type { Keyboard } from "./context.ts";

/** Raw mode gives Ctrl-C to us as a byte instead of as a signal. */
const controlC = "\u0003";

/** Single keys from a terminal; Ctrl-C calls `onInterrupt`, as the signal would. Undefined when there is no terminal. */
export function openKeyboard(input: ReadStream | NodeJS.ReadStream, onInterrupt: () => void): Keyboard | undefined {
  if (!input.isTTY) return undefined;
  return {
    onKey(listener) {
      const onData = (data: Buffer): void => {
        for (const key of data.toString("utf8")) {
          if (key === controlC) onInterrupt();
          else listener(key);
        }
      };
      input.setRawMode(true);
      input.on("data", onData);
      input.resume();
      return {
        [Symbol.dispose]() {
          input.off("data", onData);
          input.setRawMode(false);
          input.pause();
        },
      };
    },
  };
}

import { connect } from "node:net";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { isAbort } from "#federation/runtime/lifecycle.ts";
import { jittered, type Random } from "#federation/runtime/random.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";

/** What is asked of the application behind this sidecar. */
export interface AppProbeOptions {
  /** Where the application listens; every port has to answer. */
  readonly address: string;
  readonly ports: readonly number[];
  /** Present: a GET of it must answer 2xx or 3xx. Absent: a TCP connection must open. */
  readonly path?: string;
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly random: Random;
}

/** A probe may take this long, and never longer than its interval. */
const probeTimeoutMs = 1_000;
/** One lost probe of a busy application is no outage; the data path sees real failures sooner anyway. */
const failuresToUnready = 2;
/** A status line is shorter than this. */
const answerBytesMax = 1_024;

/** Probes the application until `signal` aborts. Ready at the first good answer, unready after two bad ones in a row. */
export async function probeApp(options: AppProbeOptions, ready: WatchedValue<boolean>, signal: AbortSignal): Promise<void> {
  let failures = 0;
  try {
    for (;;) {
      const good = await isAnswering(options);
      failures = good ? 0 : failures + 1;
      if (good) ready.set(true);
      else if (failures >= failuresToUnready) ready.set(false);
      // Until it is ready, an application is asked more often, so that a start is noticed at once.
      const pauseMs = ready.current ? options.intervalMs : Math.min(options.intervalMs, 250);
      await sleep(options.clock, jittered(options.random, pauseMs, 0.1), signal);
    }
  } catch (error) {
    if (!isAbort(error)) throw error;
  }
}

async function isAnswering(options: AppProbeOptions): Promise<boolean> {
  const answers = await Promise.all(options.ports.map((port) => probePort(options, port)));
  return answers.every(Boolean);
}

function probePort(options: AppProbeOptions, port: number): Promise<boolean> {
  const { address, path, clock } = options;
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, autoSelectFamily: false });
    const settle = (good: boolean): void => {
      timer[Symbol.dispose]();
      socket.destroy();
      resolve(good);
    };
    const timer = clock.schedule(Math.min(probeTimeoutMs, options.intervalMs), () => settle(false));
    let answer = "";
    socket.on("error", () => settle(false));
    socket.on("end", () => settle(false));
    socket.once("connect", () => {
      if (path === undefined) settle(true);
      else socket.write(`GET ${path} HTTP/1.1\r\nhost: ${address}:${port}\r\nuser-agent: atoll-probe\r\nconnection: close\r\n\r\n`);
    });
    socket.on("data", (chunk: Buffer) => {
      answer += chunk.toString("latin1");
      if (answer.includes("\r\n") || answer.length > answerBytesMax) settle(/^HTTP\/1\.[01] [23]\d\d /.test(answer));
    });
  });
}

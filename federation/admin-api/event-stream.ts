import type { ServerResponse } from "node:http";
import type { Clock } from "#federation/runtime/clock.ts";

/** A comment is sent this often on a quiet stream, so that both sides notice a dead one. */
export const heartbeatMs = 15_000;

/** A client that takes nothing for so long is disconnected; it watches anew and gets everything again. */
export const stallMs = 30_000;

/**
 * Sends `events` as Server-Sent Events until they end, the client leaves, or it stops reading for `stallMs`.
 * One event waits at a time, so a slow reader slows the source instead of filling memory.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export async function sendEvents(response: ServerResponse, events: AsyncIterable<{ readonly type: string }>, clock: Clock): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store", "x-accel-buffering": "no" });
  response.flushHeaders();
  let heartbeat = clock.schedule(heartbeatMs, beat);
  function beat(): void {
    if (!response.writableNeedDrain) response.write(": still here\n\n");
    heartbeat = clock.schedule(heartbeatMs, beat);
  }
  try {
    for await (const event of events) {
      if (response.destroyed) return;
      const isTaken = response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
      if (!isTaken && !(await drained(response, clock))) return;
    }
  } finally {
    heartbeat[Symbol.dispose]();
    // After a stall the rest would wait for a reader that does not read.
    if (response.writableNeedDrain) response.destroy();
    else response.end();
  }
}

async function drained(response: ServerResponse, clock: Clock): Promise<boolean> {
  return await new Promise((resolve) => {
    const finish = (isDrained: boolean): void => {
      timer[Symbol.dispose]();
      response.off("drain", onDrain);
      response.off("close", onClose);
      resolve(isDrained);
    };
    const onDrain = (): void => finish(true);
    const onClose = (): void => finish(false);
    const timer = clock.schedule(stallMs, onClose);
    response.on("drain", onDrain);
    response.on("close", onClose);
  });
}

/** One event longer than this ends the reading: no resource is nearly as large. */
const eventCharactersMax = 4 * 1024 * 1024;

/** The data of each event of a stream, as JSON values; comments and other fields are skipped. Throws when an event is too long or not JSON. */
export async function* readEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<unknown, void, undefined> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of chunks) {
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    if (text.length > eventCharactersMax) throw new RangeError(`an event of more than ${eventCharactersMax} characters`);
    for (const block of blocks) {
      const data = block
        .split("\n")
        .filter((line) => line.startsWith("data: "))
        .map((line) => line.slice("data: ".length));
      if (data.length > 0) yield JSON.parse(data.join("\n")) as unknown;
    }
  }
}

import type { Socket } from "node:net";
import type { LoadReport } from "../admission/load-report.ts";
import type { HopLimits } from "./frames.ts";
import { HopLink } from "./hop-link.ts";
import type { HopFault, LinkUser } from "./hop-link.ts";
import { StreamFlow } from "./stream-flow.ts";
import type { FlowOwner } from "./stream-flow.ts";

/** A socket without a network: what is written stays in `sent` until the test delivers it. */
export class FakeSocket {
  writable = true;
  writableLength = 0;
  destroyed = false;
  sent: Buffer[] = [];
  #ended: (() => void)[] = [];

  write(bytes: Buffer, done: () => void): boolean {
    // As a socket does, it looks at the bytes until `done` is called.
    this.sent.push(bytes);
    this.writableLength += bytes.length;
    this.#ended.push(done);
    return true;
  }

  /** What was written since the last call, as the wire has it; its writes have then ended. */
  take(): Buffer {
    const bytes = Buffer.concat(this.sent);
    this.sent = [];
    this.writableLength = 0;
    for (const done of this.#ended.splice(0)) done();
    return bytes;
  }

  destroySoon(): void {
    this.writable = false;
    this.destroyed = true;
  }
}

/** One stream of a side: what it has received, and whether it may write. */
export class FakeStream implements FlowOwner {
  readonly flow = new StreamFlow(this);
  readonly received: Buffer[] = [];
  writableCalls = 0;
  ended = false;
  peerEnded = false;

  onFlowWritable(): void {
    this.writableCalls++;
  }

  onFlowEnd(): void {
    this.ended = true;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.received);
  }
}

const noReport: LoadReport = { queueDelayMs: 0, utilizationRatio: 0, headroom: 0 };

/** One side of a link whose streams are the test's to open. */
export class FakeSide implements LinkUser {
  readonly socket = new FakeSocket();
  readonly link: HopLink;
  readonly open = new Map<number, FakeStream>();
  readonly faults: HopFault[] = [];
  readonly frames: { readonly kind: number; readonly stream: number }[] = [];
  nowMs = 0;

  constructor(limits: HopLimits) {
    this.link = new HopLink(this.socket as unknown as Socket, this, { limits, nowMs: () => this.nowMs });
  }

  /** Never alone, so that frames gather as they do under load. */
  get streams(): number {
    return 2;
  }

  stream(id: number): FakeStream {
    const stream = new FakeStream();
    stream.flow.open(this.link, id);
    this.open.set(id, stream);
    return stream;
  }

  flowOf(id: number): StreamFlow | undefined {
    return this.open.get(id)?.flow;
  }

  onStreamFrame(kind: number, _end: boolean, stream: number): void {
    this.frames.push({ kind, stream });
  }

  onStreamData(id: number, buffer: Buffer, from: number, to: number, end: boolean): void {
    const stream = this.open.get(id);
    stream?.received.push(Buffer.from(buffer.subarray(from, to)));
    if (end && stream !== undefined) stream.peerEnded = true;
  }

  onSettings(): void {}
  onPong(): void {}
  onGoaway(): void {}
  onReadEnd(): void {}

  report(): LoadReport {
    return noReport;
  }

  onFault(fault: HopFault): void {
    this.faults.push(fault);
  }
}

/** Delivers what either side has written to the other, until both are quiet. */
export function exchangeBytes(left: FakeSide, right: FakeSide, pieceBytes = 65_536): void {
  for (;;) {
    left.link.output.flush();
    right.link.output.flush();
    const toRight = left.socket.take();
    const toLeft = right.socket.take();
    if (toRight.length === 0 && toLeft.length === 0) return;
    deliver(right, toRight, pieceBytes);
    deliver(left, toLeft, pieceBytes);
  }
}

function deliver(side: FakeSide, bytes: Buffer, pieceBytes: number): void {
  for (let at = 0; at < bytes.length; at += pieceBytes) side.link.read(bytes, at, Math.min(bytes.length, at + pieceBytes));
}

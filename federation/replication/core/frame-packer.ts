import { frameBytesMax, frameEntriesMax } from "#federation/model/replication-messages.ts";
import { signedObjectBytes, type SignedObject } from "#federation/model/replicated-object.ts";

/** Room in a frame for its names and tags, in bytes. */
const frameHeadBytes = 16 * 1024;

/** What goes into one frame, or one part of an answer. */
export interface Packet {
  readonly entries: SignedObject[];
  readonly withdrawn: string[];
  bytes: number;
}

/** Fills packets one after the other, none larger than a frame. */
export class FramePacker {
  readonly packets: Packet[] = [];

  entry(signed: SignedObject): void {
    this.#room(signedObjectBytes(signed) + 5).entries.push(signed);
  }

  withdrawal(id: string): void {
    this.#room(Buffer.byteLength(id) + 5).withdrawn.push(id);
  }

  #room(bytes: number): Packet {
    const last = this.packets.at(-1);
    const count = last === undefined ? 0 : last.entries.length + last.withdrawn.length;
    if (last !== undefined && count < frameEntriesMax && last.bytes + bytes <= frameBytesMax - frameHeadBytes) {
      last.bytes += bytes;
      return last;
    }
    const packet: Packet = { entries: [], withdrawn: [], bytes };
    this.packets.push(packet);
    return packet;
  }
}

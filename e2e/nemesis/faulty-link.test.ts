import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.ts";
import { FaultyLink } from "./faulty-link.ts";

describe("a link with faults", () => {
  const server = createServer((socket) => {
    socket.on("data", (bytes: Buffer) => void heard.push(`bus ${bytes.toString()}`));
    socket.on("error", () => undefined);
    farSockets.push(socket);
  });
  const farSockets: Socket[] = [];
  const heard: string[] = [];
  let link: FaultyLink;
  let near: Socket;

  beforeEach(async () => {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    link = await FaultyLink.open({ host: "127.0.0.1", port: (server.address() as AddressInfo).port }, 0);
    near = connect(link.port, "127.0.0.1");
    near.on("data", (bytes: Buffer) => void heard.push(`plane ${bytes.toString()}`));
    near.on("error", () => undefined);
    await eventually("the link reaches the bus", () => farSockets.length === 1);
  });

  afterEach(async () => {
    near.destroy();
    await link[Symbol.asyncDispose]();
    await new Promise<void>((resolve) => server.close(() => resolve()));
    heard.length = farSockets.length = 0;
  });

  it("holds one direction alone, and passes on what was held when it is open again", async () => {
    link.become("held-out");
    near.write("out");
    farSockets[0]?.write("in");
    await eventually("the plane hears the bus", () => heard.includes("plane in"));
    expect(heard).toEqual(["plane in"]);
    link.become("open");
    await eventually("the bus hears the plane", () => heard.includes("bus out"));
  });

  it("holds the other direction alone", async () => {
    link.become("held-in");
    farSockets[0]?.write("in");
    near.write("out");
    await eventually("the bus hears the plane", () => heard.includes("bus out"));
    expect(heard).toEqual(["bus out"]);
    link.become("open");
    await eventually("the plane hears the bus", () => heard.includes("plane in"));
  });

  it("holds one of those who come by it alone, also where it is known later who that is", async () => {
    const target = { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
    const names = new Map<number | undefined, string>();
    await using shared = await FaultyLink.open(target, 0, ({ remotePort }) => names.get(remotePort));
    const [one, other] = [connect(shared.port, "127.0.0.1"), connect(shared.port, "127.0.0.1")];
    for (const socket of [one, other]) socket.on("error", () => undefined);
    await eventually("both reach the bus", () => farSockets.length === 3);
    names.set(one.localPort, "one");
    shared.becomeFor("one", "held");
    one.write("one");
    other.write("other");
    await eventually("the bus hears the other", () => heard.includes("bus other"));
    expect(heard).toEqual(["bus other"]);
    shared.become("open");
    await eventually("the bus hears both", () => heard.includes("bus one"));
    one.destroy();
    other.destroy();
  });

  it("that is cut ends connections and refuses others until it is open", async () => {
    link.become("cut");
    await once(near, "close");
    const refused = connect(link.port, "127.0.0.1");
    refused.on("error", () => undefined);
    await once(refused, "close");
    link.become("open");
    near = connect(link.port, "127.0.0.1");
    near.on("error", () => undefined);
    near.write("again");
    await eventually("the bus hears the plane", () => heard.includes("bus again"));
  });
});

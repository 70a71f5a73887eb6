import type { ContainerRuntimeClient } from "testcontainers";

/** A network of one region, or the one between regions; containers have fixed addresses in it. */
export interface TestNetwork extends AsyncDisposable {
  readonly name: string;
  /** The address of the host with this number, 2 to 254. */
  address(host: number): string;
  /** Pulls the cable: the container loses its interface in this network. */
  disconnect(containerId: string): Promise<void>;
  /** Puts it back, at the same address. */
  connect(containerId: string, address: string): Promise<void>;
}

const triesMax = 40;

/**
 * Makes an internal bridge: nothing leads out of it, and different ones do not see each other. Which block of
 * addresses is free is the engine's to say, so blocks are tried one after the other.
 */
export async function openTestNetwork(client: ContainerRuntimeClient, name: string): Promise<TestNetwork> {
  const { dockerode } = client.container;
  for (let tries = 0; ; tries++) {
    const prefix = `10.213.${(process.pid + tries * 7) % 256}`;
    try {
      const network = await dockerode.createNetwork({ Name: name, Driver: "bridge", Internal: true, CheckDuplicate: true, IPAM: { Driver: "default", Config: [{ Subnet: `${prefix}.0/24` }] } });
      return {
        name,
        address: (host) => `${prefix}.${host}`,
        disconnect: (containerId) => network.disconnect({ Container: containerId, Force: true }),
        connect: (containerId, address) => network.connect({ Container: containerId, EndpointConfig: { IPAMConfig: { IPv4Address: address } } }),
        [Symbol.asyncDispose]: () => network.remove(),
      };
    } catch (error) {
      if (tries === triesMax || !/overlaps/i.test(String(error))) throw error;
    }
  }
}

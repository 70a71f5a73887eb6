import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { parseFederation } from "#federation/model/parse/parse-federation.ts";
import { composeText } from "./compose-file.ts";
import { layOutMachines } from "./machine-layout.ts";

interface Service {
  readonly [field: string]: unknown;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly networks?: object;
  readonly volumes?: readonly string[];
}

const hosts = "{ name: e, address: 10.1.0.10, region: eu }, { name: u, address: 10.2.0.10, region: us }";
const spec = (some = hosts): string => `  regions: [{ name: eu }, { name: us }]\n  hosts: [${some}]\n  services: [{ name: hello, clusters: [us] }]\n`;

function composed(text = spec()): { readonly networks: object; readonly volumes: object; readonly services: Readonly<Record<string, Service>> } {
  const outcome = parseFederation(`apiVersion: atoll.dev/v1alpha1\nkind: Federation\nmetadata: { name: shop }\nspec:\n${text}`, "f.yaml");
  if (outcome.kind === "faults") throw new Error(JSON.stringify(outcome.faults));
  return parse(composeText(layOutMachines(outcome.value, "/opt/atoll"))) as ReturnType<typeof composed>;
}

describe("a federation in containers of one engine", () => {
  it("has a network for each region, in which its machines have their addresses and others visit", () => {
    const { networks, services } = composed();
    expect(networks).toEqual({
      eu: { driver: "bridge", internal: true, ipam: { config: [{ subnet: "10.1.0.0/24", ip_range: "10.1.0.128/25" }] } },
      us: { driver: "bridge", internal: true, ipam: { config: [{ subnet: "10.2.0.0/24", ip_range: "10.2.0.128/25" }] } },
    });
    expect(services["e"]?.networks).toEqual({ eu: { ipv4_address: "10.1.0.10" }, us: {} });
  });

  it("gives programs the network of their machine, a root that they cannot write to, no capability, and a check", () => {
    const { services } = composed();
    const programs = Object.entries(services).filter(([name]) => name.includes("."));
    expect(programs.map(([name]) => name)).toEqual(["e.etcd", "e.nats", "e.global", "e.eu-plane", "e.eu-gateway", "u.etcd", "u.nats", "u.us-plane", "u.us-gateway", "u.us-hello-proxy"]);
    for (const [name, service] of programs) expect(service, name).toMatchObject({ network_mode: `service:${name.split(".")[0]}`, read_only: true, cap_drop: ["ALL"], security_opt: ["no-new-privileges:true"] });
    expect(services["u.us-gateway"]).toMatchObject({ command: ["proxy", "--config", "/etc/atoll/us-gateway.json"], environment: { ATOLL_HEALTH: "15010/ready" } });
    expect(services["e.global"]).toMatchObject({ command: ["global", "run", "--config", "/etc/atoll/global.json"], environment: { ATOLL_HEALTH: "7402/metrics" } });
  });

  it("declares every volume that it mounts, and deals each machine its own files", () => {
    const { services, volumes } = composed();
    const mounted = Object.values(services).flatMap((service) => service.volumes ?? []).map((one) => one.split(":")[0] ?? "").filter((name) => !name.startsWith("."));
    expect([...new Set(mounted)].sort()).toEqual(Object.keys(volumes).sort());
    const script = services["files"]?.entrypoint?.[2] ?? "";
    expect(script.match(/\/keys\//g)).toHaveLength(1);
    expect(script).toContain("cp /hosts/e/keys/* /machines/e/global/");
    expect(services["files"]).toMatchObject({ network_mode: "none", cap_drop: ["ALL"], profiles: ["files"] });
  });

  it("is refused with the reason where networks cannot have the addresses of the file", () => {
    const refused = (some: string): unknown => {
      try {
        return composed(spec(some));
      } catch (error) {
        return error;
      }
    };
    const expected = (words: string): object => expect.objectContaining({ code: "ATOLL_USAGE", message: expect.stringContaining(words) as string }) as object;
    expect(refused("{ name: e, address: 10.1.0.10, region: eu }, { name: u, address: 10.1.0.20, region: us }")).toEqual(expected("a network for each region"));
    expect(refused(`${hosts}, { name: f, address: 10.3.0.20, region: us }`)).toEqual(expected("10.2.0.0/24 and in 10.3.0.0/24"));
    expect(refused('{ name: e, address: "2001:db8::1", region: eu }, { name: u, address: 10.1.0.20, region: us }')).toEqual(expected("e has the address 2001:db8::1"));
    expect(refused("{ name: e, address: 10.1.0.200, region: eu }, { name: u, address: 10.2.0.20, region: us }")).toEqual(expected("end in 2 to 127"));
    expect(refused("{ name: e, address: 10.1.0.10, region: eu, root: /srv }, { name: u, address: 10.2.0.20, region: us }")).toEqual(expected("roots of their own"));
  });
});

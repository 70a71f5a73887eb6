import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { parseFederation } from "#federation/model/parse/parse-federation.ts";
import { planOf } from "../up/described-plan.ts";
import { composeText, type ComposeSource } from "./compose-file.ts";
import { composeParts } from "./compose-parts.ts";
import { composeScript } from "./compose-script.ts";
import { layOutMachines } from "./machine-layout.ts";

interface Service {
  readonly [field: string]: unknown;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly networks?: object;
  readonly volumes?: readonly (string | { readonly source: string; readonly target: string; readonly read_only: boolean })[];
}

const hosts = "{ name: e, address: 10.1.0.10, region: eu }, { name: u, address: 10.2.0.10, region: us }";
const spec = (some = hosts): string => `  regions: [{ name: eu }, { name: us }]\n  hosts: [${some}]\n  services: [{ name: hello, clusters: [us] }]\n`;

function sourceOf(text: string): ComposeSource {
  const outcome = parseFederation(`apiVersion: atoll.dev/v1alpha1\nkind: Federation\nmetadata: { name: shop }\nspec:\n${text}`, "f.yaml");
  if (outcome.kind === "faults") throw new Error(JSON.stringify(outcome.faults));
  return { layout: layOutMachines(outcome.value, "/opt/atoll"), plan: planOf(outcome.value, "/"), baseDir: "/srv/shop" };
}

function composed(text = spec()): { readonly networks: object; readonly volumes: object; readonly services: Readonly<Record<string, Service>> } {
  return parse(composeText(sourceOf(text))) as ReturnType<typeof composed>;
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
    const mounted = Object.values(services).flatMap((service) => service.volumes ?? []).flatMap((one) => (typeof one === "string" ? (one.split(":")[0] ?? "") : [])).filter((name) => !name.startsWith("."));
    expect([...new Set(mounted)].sort()).toEqual(Object.keys(volumes).sort());
    expect(services["files"]?.environment).toEqual({ MACHINES: "e u" });
    expect(services["files"]).toMatchObject({ network_mode: "none", cap_drop: ["ALL"], profiles: ["files"] });
  });

  it("has an application beside its sidecar where the file has a command, told what `atoll up` tells it, in which compose replaces nothing", () => {
    const { services } = composed(spec().replace("clusters: [us] }", 'clusters: [us], appPort: 8081, directory: apps, command: [node, "a$b.mjs", "{port}"], env: { WHO: "$me" } }'));
    expect(services["u.us-hello-app"]).toMatchObject({
      image: "${APP_IMAGE:-atoll:0.1.0}",
      entrypoint: ["node", "a$$b.mjs", "8081"],
      network_mode: "service:u",
      read_only: true,
      environment: { PORT: "8081", ATOLL_OUTBOUND: "http://127.0.0.1:15001", ATOLL_REGION: "us", ATOLL_CLUSTER: "us", WHO: "$$me" },
      volumes: [{ type: "bind", source: "/srv/shop/apps", target: "/app", read_only: true }],
    });
  });

  it("makes another container of a program whose configuration has become another, and of no other", () => {
    const labels = (text: string): readonly (readonly [string, unknown])[] => Object.entries(composed(text).services).map(([name, { labels: its }]) => [name, its] as const);
    const before = labels(spec());
    const changed = labels(spec().replace("clusters: [us] }", "clusters: [us], readiness: { path: /ready } }")).filter(([, its], index) => JSON.stringify(its) !== JSON.stringify(before[index]?.[1]));
    expect(changed.map(([name]) => name)).toEqual(["u.us-hello-proxy"]);
  });

  it("is made of parts that come and go by themselves: the global plane with what it stands on, and the regions", () => {
    const parts = composeParts(sourceOf(spec()));
    expect(parts).toEqual([
      { name: "@global", machines: ["e"], services: ["e", "e.etcd", "e.nats", "e.global"], volumes: ["e.etc", "e.etcd", "e.global"], etcds: ["eu"] },
      { name: "eu", machines: ["e"], services: ["e.eu-plane", "e.eu-gateway"], volumes: ["e.eu-plane", "e.eu-gateway"], etcds: ["eu"] },
      { name: "us", machines: ["u"], services: ["u", "u.etcd", "u.nats", "u.us-plane", "u.us-gateway", "u.us-hello-proxy"], volumes: ["u.etc", "u.etcd", "u.us-plane", "u.us-gateway", "u.us-hello-proxy"], etcds: ["us"] },
    ]);
    const { services, volumes } = composed();
    expect(parts.flatMap((part) => part.services).sort()).toEqual(Object.keys(services).filter((name) => !["files", "secure-engines"].includes(name)).sort());
    expect(parts.flatMap((part) => part.volumes).sort()).toEqual(Object.keys(volumes).sort());
  });

  it("has a script that names a part which is not there", () => {
    const script = composeScript(sourceOf(spec()), { places: [], services: [] });
    expect(spawnSync("sh", ["-c", script, "compose.sh", "up", "mars"], { encoding: "utf8" })).toMatchObject({ status: 2, stderr: "there is no part mars; there are @global, eu, us\n" });
    expect(spawnSync("sh", ["-c", script, "compose.sh", "run"], { encoding: "utf8" })).toMatchObject({ status: 2, stderr: "there are up, down, status and renew, not run\n" });
  });

  it("shows etcd's administrator's certificate to nothing but what runs until etcd is told, on a network of each region", () => {
    const { services } = composed();
    expect(services["secure-engines"]).toMatchObject({ profiles: ["secure-engines"], read_only: true, cap_drop: ["ALL"], security_opt: ["no-new-privileges:true"], networks: ["eu", "us"] });
    expect(services["secure-engines"]?.volumes?.map((one) => typeof one === "object" && [one.source, one.target, one.read_only])).toEqual(
      ["federation.yaml", "keys/engines/etcd-administrator.pem", "keys/engines/etcd-administrator.key", "keys/engines/ca.pem"].map((path) => [`./${path}`, `/${path}`, true]),
    );
    for (const [name, service] of Object.entries(services)) if (name !== "secure-engines") expect(JSON.stringify(service), name).not.toContain("etcd-administrator");
  });

  it("has each part tell the etcds that stand in it, and those that its planes' stores are in", () => {
    const etcds = (text: string): object => Object.fromEntries(composeParts(sourceOf(text)).map((part) => [part.name, part.etcds]));
    expect(etcds(spec())).toEqual({ "@global": ["eu"], eu: ["eu"], us: ["us"] });
    const clusters = "  clusters: [{ name: eu, region: eu }, { name: us, region: us }]\n  global: { host: a }\n";
    expect(etcds(`${spec(`${hosts}, { name: a, address: 10.3.0.10, region: ap }`).replace("{ name: us }]", "{ name: us }, { name: ap }]")}${clusters}`)).toEqual({ "@global": ["eu"], eu: ["eu"], us: ["us"], ap: [] });
  });

  describe("whose script is run", () => {
    const place = mkdtempSync(join(tmpdir(), "atoll-compose-script-"));
    afterAll(() => rmSync(place, { recursive: true }));

    /** What it has done by compose, by programs that write it down and do nothing; the first `failures` of telling etcds fail. */
    function composedBy(words: readonly string[], failures = 0): { readonly status: number | null; readonly done: readonly string[] } {
      writeFileSync(join(place, "compose.sh"), composeScript(sourceOf(spec()), { places: [], services: [] }));
      writeFileSync(join(place, "log"), "");
      writeFileSync(join(place, "fake"), `echo "$*" >>log\ncase "$*" in *secure-engines*) [ "$(grep -c secure-engines log)" -gt ${failures} ] ;; esac\n`);
      const { status } = spawnSync("sh", [join(place, "compose.sh"), ...words], { env: { ...process.env, COMPOSE: "sh fake", DOCKER: "true", ATOLL: "true" } });
      return { status, done: readFileSync(join(place, "log"), "utf8").trim().split("\n").map((line) => line.replace("-p shop -f compose.yaml ", "")) };
    }

    it("does nothing without etcd's administrator's certificate", () => {
      mkdirSync(join(place, "keys/engines"), { recursive: true });
      expect(composedBy(["up"])).toEqual({ status: 1, done: [""] });
      writeFileSync(join(place, "keys/engines/etcd-administrator.pem"), "");
    });

    it("tells etcds their planes when they run, and before a plane does", () => {
      const { status, done } = composedBy(["up"]);
      expect(status).toBe(0);
      const told = done.indexOf("run --rm secure-engines --region eu --region us");
      expect(done[told - 1]).toBe("up -d e.etcd e.nats u.etcd u.nats");
      expect(done[told + 1]).toBe("up -d e.global");
      expect(done.findIndex((line) => line.includes("-plane"))).toBeGreaterThan(told);
    });

    it("tells those of its part alone, once more where they were not ready, and starts no plane over one that could not be told", () => {
      const tells = (done: readonly string[]): readonly string[] => done.filter((line) => line.includes("secure-engines"));
      expect(tells(composedBy(["up", "us"]).done)).toEqual(["run --rm secure-engines --region us"]);
      expect(composedBy(["up", "@global"], 1)).toMatchObject({ status: 0, done: expect.arrayContaining(["up -d e.global"]) as string[] });
      const { status, done } = composedBy(["up", "@global"], 2);
      expect([status, tells(done).length, done.at(-1)]).toEqual([1, 2, "run --rm secure-engines --region eu"]);
    });
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
    const gateways = "  clusters: [{ name: eu, region: eu, gateways: { address: gateways.eu.example } }, { name: us, region: us }]\n";
    expect(() => composed(`${spec()}${gateways}`)).toThrow(/the gateways of eu are dialled by gateways\.eu\.example/);
    expect(refused("{ name: files, address: 10.1.0.10, region: eu }, { name: u, address: 10.2.0.20, region: us }")).toEqual(expected("files is a service of its own there"));
    expect(refused("{ name: e, address: 10.1.0.10, region: eu, root: /srv }, { name: u, address: 10.2.0.20, region: us }")).toEqual(expected("roots of their own"));
  });
});

#!/usr/bin/env node
// The launcher: finds a Node that is new enough, and hands over to the command line in TypeScript.
"use strict";
const { spawn, spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const nodeMajorMin = 24;
const root = path.join(fs.realpathSync(__dirname), "..");

function findNode() {
  if (Number(process.versions.node.split(".")[0]) >= nodeMajorMin) return process.execPath;
  const pinned = path.join(root, "node_modules", "node", "bin", "node");
  return fs.existsSync(pinned) && spawnSync(pinned, ["--version"]).status === 0 ? pinned : undefined;
}

const node = findNode();
if (node === undefined || !fs.existsSync(path.join(root, "node_modules", "commander"))) {
  const why = node === undefined ? `Atoll needs Node ${nodeMajorMin} or later; this is ${process.version}, and there is no pinned one` : "Atoll's dependencies are not installed";
  process.stderr.write(`${why}.\nWhat to do: run \`npm ci\` in ${root} (it brings its own Node ${nodeMajorMin}).\n`);
  process.exit(1);
}

const cache = process.env.NODE_COMPILE_CACHE || path.join(root, "node_modules", ".cache", "atoll-compile");
// The client of etcd names an address as the TLS server, of which Node would warn whoever reads a command's output.
const child = spawn(node, ["--disable-warning=DEP0123", path.join(root, "services", "cli", "main.ts"), ...process.argv.slice(2)], {
  stdio: "inherit",
  env: { ...process.env, NODE_COMPILE_CACHE: cache },
});
// A terminal sends SIGINT to both of us, so the command line may get it twice at once; it counts that as one.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  process.stderr.write(`${node} could not be started: ${error.message}\n`);
  process.exit(1);
});
child.on("exit", (code, signal) => process.exit(signal === null ? code : 128 + (os.constants.signals[signal] || 0)));

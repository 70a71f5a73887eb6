// Runs on whatever Node the system has (18 or later), before anything of ours is loaded: installs the
// dependencies when they are missing or older than the lock file, and checks that the pinned Node is there.
"use strict";
const { execFileSync, spawnSync } = require("node:child_process");
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");

const nodeMajorMin = 24;

/** SHA-256 of the lock file: an installation is current when its stamp says the same. */
function lockDigest(root) {
  return createHash("sha256").update(fs.readFileSync(path.join(root, "package-lock.json"))).digest("hex");
}

function stampPath(root) {
  return path.join(root, "node_modules", ".atoll-installed");
}

/** Why an installation is needed, or undefined when it is current. */
function staleReason(root) {
  if (!fs.existsSync(path.join(root, "node_modules"))) return "node_modules is missing";
  let stamp = "";
  try {
    stamp = fs.readFileSync(stampPath(root), "utf8");
  } catch {
    // No stamp yet: npm's own record decides.
  }
  if (stamp === lockDigest(root)) return undefined;
  // Somebody may have run `npm ci` or `npm install` by hand, which write their record about when they write the lock file.
  const record = path.join(root, "node_modules", ".package-lock.json");
  const toleranceMs = 5_000;
  const isNewer = fs.existsSync(record) && fs.statSync(record).mtimeMs + toleranceMs >= fs.statSync(path.join(root, "package-lock.json")).mtimeMs;
  return isNewer ? undefined : "package-lock.json is newer than node_modules";
}

/** The pinned Node's major version, or undefined when it cannot be run. */
function pinnedNodeMajor(root) {
  const result = spawnSync(path.join(root, "node_modules", "node", "bin", "node"), ["--version"], { encoding: "utf8" });
  const match = /^v(\d+)\./.exec(result.stdout || "");
  return match === null ? undefined : Number(match[1]);
}

/** Installs when needed. `install` is replaceable for tests; returns what was done, in words. */
function ensureInstalled(root, install = npmCi) {
  const reason = staleReason(root);
  if (reason !== undefined) {
    process.stderr.write(`Installing dependencies (${reason}); this takes a minute the first time.\n`);
    install(root);
  }
  const major = pinnedNodeMajor(root);
  if (major === undefined || major < nodeMajorMin) {
    throw new Error(
      `The pinned Node ${nodeMajorMin} is not in node_modules (found ${major === undefined ? "none" : `Node ${major}`}).\n` +
        "Its install script must be allowed to run: `npm rebuild node`, or remove node_modules and run `npm ci` without --ignore-scripts.",
    );
  }
  fs.writeFileSync(stampPath(root), lockDigest(root));
  return reason === undefined ? "current" : "installed";
}

function npmCi(root) {
  // Inside `npm start` npm tells where it is itself; a shell is needed for npm.cmd only.
  const npm = process.env.npm_execpath;
  const [command, args] = npm !== undefined && npm.endsWith(".js") ? [process.execPath, [npm, "ci"]] : ["npm", ["ci"]];
  // CI=1 in the environment or an omitted dev part would leave out the pinned Node, which is a dev dependency.
  execFileSync(command, [...args, "--include=dev"], { cwd: root, stdio: ["ignore", 2, 2] });
}

module.exports = { ensureInstalled, staleReason };

if (require.main === module) {
  try {
    ensureInstalled(path.join(__dirname, ".."));
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

// Writes an unpacked `docker save` anew so that the same content gives the same bytes: builders put the time of day into
// directories that they make, into the configuration and into names. What comes out is what `docker load` takes.
// usage: SOURCE_DATE_EPOCH=N node steady-image.cjs SAVED TARGET        (as root, since layers hold owners)
"use strict";
const { execFileSync } = require("node:child_process");
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");

const [saved, target] = process.argv.slice(2);
const epoch = process.env.SOURCE_DATE_EPOCH;
if (saved === undefined || target === undefined || !/^\d+$/.test(epoch ?? "")) throw new Error("usage: SOURCE_DATE_EPOCH=N node steady-image.cjs SAVED TARGET");
const created = new Date(Number(epoch) * 1_000).toISOString();

function sha256(file) {
  const hash = createHash("sha256");
  const descriptor = fs.openSync(file, "r");
  const buffer = Buffer.alloc(1 << 20);
  for (let size = fs.readSync(descriptor, buffer); size > 0; size = fs.readSync(descriptor, buffer)) hash.update(buffer.subarray(0, size));
  fs.closeSync(descriptor);
  return hash.digest("hex");
}

/** Packs a layer again, sorted and with one time for all; returns its digest, which is its name from then on. */
function steadyLayer(file) {
  const tree = fs.mkdtempSync(path.join(target, "layer-"));
  execFileSync("tar", ["-x", "--numeric-owner", "--same-permissions", "-f", file, "-C", tree]);
  const packed = `${tree}.tar`;
  // Names without a leading "./", so that they read as a builder writes them.
  const names = fs.readdirSync(tree).sort();
  execFileSync("tar", ["--sort=name", `--mtime=@${epoch}`, "--numeric-owner", "--format=gnu", "-c", "-f", packed, "-C", tree, "--", ...names]);
  fs.rmSync(tree, { recursive: true, force: true });
  const digest = sha256(packed);
  fs.renameSync(packed, path.join(target, `${digest}.tar`));
  return digest;
}

fs.mkdirSync(target, { recursive: true });
const [image] = JSON.parse(fs.readFileSync(path.join(saved, "manifest.json"), "utf8"));
const digests = image.Layers.map((layer) => steadyLayer(path.join(saved, layer)));
const config = JSON.parse(fs.readFileSync(path.join(saved, image.Config), "utf8"));
// Of the container in which a builder made the last layer.
delete config.container;
delete config.container_config;
config.created = created;
// Names of images made on the way are this machine's own.
if (config.config) delete config.config.Image;
config.history = (config.history ?? []).map((step) => ({ ...step, created, ...(step.comment === undefined ? {} : { comment: "" }) }));
config.rootfs = { type: "layers", diff_ids: digests.map((digest) => `sha256:${digest}`) };
const text = JSON.stringify(config);
const name = `${createHash("sha256").update(text).digest("hex")}.json`;
fs.writeFileSync(path.join(target, name), text);
fs.writeFileSync(path.join(target, "manifest.json"), JSON.stringify([{ Config: name, RepoTags: image.RepoTags, Layers: digests.map((digest) => `${digest}.tar`) }]));

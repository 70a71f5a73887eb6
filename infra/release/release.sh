#!/usr/bin/env bash
# Makes a release of a git revision below DIRECTORY: the programs as an archive, the image as `docker load` takes it, what
# they are made of (CycloneDX), and checksums. The same revision on the same Debian packages gives the same bytes.
# usage: release.sh DIRECTORY [REVISION]
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: release.sh DIRECTORY [REVISION]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
mkdir -p "$1"
target=$(cd "$1" && pwd)
revision=$(git -C "$root" rev-parse "${2:-HEAD}")
SOURCE_DATE_EPOCH=$(git -C "$root" show -s --format=%ct "$revision")
export SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Order, owners and times of an archive are ours, not those of whoever makes it.
pack() { tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -c "$@"; }

"$root/infra/images/stage.sh" sources "$work/app" "$revision"
"$root/infra/images/stage.sh" runtime "$work/runtime" "$revision"
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "$work/app/sources/package.json")
name=atoll-$version

# Programs: the source, its dependencies and the Node that runs them, laid out as in the image.
mkdir "$work/$name"
cp -a "$work/app/sources/." "$work/$name/"
cp -a "$work/runtime/node_modules" "$work/$name/node_modules"
mkdir -p "$work/$name/node_modules/.bin"
cp "$work/runtime/node" "$work/$name/node_modules/.bin/node"
pack -C "$work" "$name" | gzip -n >"$target/$name-linux-$(uname -m).tar.gz"

# What it is made of. npm puts the time and a random number in; the rest is the lock file's.
mkdir "$work/lock"
git -C "$root" archive "$revision" package.json package-lock.json | tar -x -C "$work/lock"
(cd "$work/lock" && npm sbom --omit=dev --package-lock-only --sbom-format=cyclonedx) >"$work/sbom.json"
node=$root/node_modules/node/bin/node
"$node" "$here/steady-sbom.cjs" <"$work/sbom.json" >"$target/$name.cdx.json"

"$root/infra/images/build.sh" "atoll:$version" "$revision" >&2
mkdir "$work/saved"
docker save "atoll:$version" | tar -x -C "$work/saved"
"$node" "$here/steady-image.cjs" "$work/saved" "$work/image"
pack -C "$work/image" . | gzip -n >"$target/$name-image.tar.gz"

cd "$target"
sha256sum "$name"* >SHA256SUMS
cat SHA256SUMS

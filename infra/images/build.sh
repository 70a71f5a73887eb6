#!/usr/bin/env bash
# Builds Atoll's image from the working tree, or from a git revision, and the image of its runtime when that is not there.
# usage: build.sh IMAGE [REVISION]      for example: build.sh atoll:0.1.0
# BASE names the Debian image below; by default one is made by base.sh, without a registry, when it is not there yet.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: build.sh IMAGE [REVISION]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
image=$1
revision=${2:-}
offline_base=atoll-base:bookworm
base=${BASE:-$offline_base}
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

# The classic builder asks no registry when the image below is here, and works on the engines that Debian has.
build() { DOCKER_BUILDKIT=0 docker build --quiet --network none "$@" 2> >(grep -v -e DEPRECATED -e BuildKit -e 'environment-variable' -e '^$' >&2) >/dev/null; }

"$here/stage.sh" sources "$context/app" "$revision"
lock=$(sha256sum "$context/app/sources/package-lock.json" | cut -c1-16)
runtime=atoll-runtime:$lock
[ "$base" = "$offline_base" ] || runtime=atoll-runtime:$lock-$(printf '%s' "$base" | sha256sum | cut -c1-8)
if ! docker image inspect "$runtime" >/dev/null 2>&1; then
  if [ "$base" = "$offline_base" ] && ! docker image inspect "$base" >/dev/null 2>&1; then "$here/base.sh" "$base" >&2; fi
  "$here/stage.sh" runtime "$context/runtime" "$revision"
  build --build-arg BASE="$base" --tag "$runtime" "$context/runtime"
fi
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "$context/app/sources/package.json")
# A tree that no commit has says so.
commit=$(git -C "$here" rev-parse "${revision:-HEAD}")
if [ -z "$revision" ] && [ -n "$(git -C "$here/../.." status --porcelain -- federation services proxy bin package.json package-lock.json infra/images)" ]; then commit=$commit-modified; fi
build --build-arg RUNTIME="$runtime" --build-arg VERSION="$version" --build-arg REVISION="$commit" --tag "$image" "$context/app"
echo "$image"

#!/usr/bin/env bash
# Lays out a build context below DIRECTORY, of the working tree or of a git revision. Every file gets the time
# SOURCE_DATE_EPOCH, so two runs give the same tree.
# usage: stage.sh sources|runtime DIRECTORY [REVISION]
#   sources   program files, and the lock file that says which runtime they need
#   runtime   the pinned Node, and the dependencies that run
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: stage.sh sources|runtime DIRECTORY [REVISION]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
part=$1
target=$2
revision=${3:-}
epoch=${SOURCE_DATE_EPOCH:-1735689600}
kept=(federation services proxy bin package.json package-lock.json LICENSE)
cd "$root"

stage_sources() {
  mkdir -p "$target/sources/infra/images"
  if [ -n "$revision" ]; then
    git archive "$revision" "${kept[@]}" | tar -x -C "$target/sources"
  else
    # What git knows, with the changes of the working tree, whether committed or not.
    git ls-files -z --cached --others --exclude-standard -- "${kept[@]}" |
      while IFS= read -r -d '' file; do if [ -e "$file" ]; then printf '%s\0' "$file"; fi; done |
      tar -c --null -T - | tar -x -C "$target/sources"
  fi
  # Tests and what only they use stay at home.
  find "$target/sources" -type f \( -name '*.test.ts' -o -name '*.fuzz.ts' -o -name '*-fixture.ts' \) -delete
  cp "$here/entrypoint" "$here/health" "$target/sources/infra/images/"
  cp "$here/Dockerfile" "$target/Dockerfile"
}

stage_runtime() {
  mkdir -p "$target/empty" "$target/lock"
  if [ -n "$revision" ]; then git archive "$revision" package.json package-lock.json | tar -x -C "$target/lock"; else cp package.json package-lock.json "$target/lock/"; fi
  # One installation for each lock file, kept between builds.
  local digest cache work
  digest=$(sha256sum "$target/lock/package-lock.json" | cut -d' ' -f1)
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/atoll/images/modules-$digest
  if [ ! -d "$cache" ]; then
    mkdir -p "$(dirname "$cache")"
    work=$(mktemp -d "$cache.XXXXXX")
    cp "$target/lock/"* "$work/"
    (cd "$work" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund --prefer-offline --loglevel=error >&2)
    # Node loads the CommonJS builds; maps, types and builds for bundlers are two thirds of the weight.
    find "$work/node_modules" -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -iname '*.md' \) -delete
    find "$work/node_modules/@opentelemetry" -type d \( -path '*/build/esm' -o -path '*/build/esnext' \) -prune -exec rm -rf {} +
    # npm's own record holds nothing that runs.
    rm -f "$work/node_modules/.package-lock.json"
    find "$work/node_modules" -type d -empty -delete
    # Another build may have been faster; its installation is as good.
    mv -T "$work" "$cache" 2>/dev/null || rm -rf "$work"
  fi
  rm -rf "$target/lock"
  cp -a "$cache/node_modules" "$target/node_modules"
  [ -x node_modules/node/bin/node ] || { echo "stage.sh: the pinned Node is not in node_modules: npm ci" >&2; exit 1; }
  cp node_modules/node/bin/node "$target/node"
  cp "$here/runtime.Dockerfile" "$target/Dockerfile"
}

case $part in
  sources) stage_sources ;;
  runtime) stage_runtime ;;
  *) echo "stage.sh: there are sources and runtime, not $part" >&2; exit 2 ;;
esac
chmod -R u=rwX,go=rX "$target"
find "$target" -depth -print0 | xargs -0 touch --no-dereference --date="@$epoch"

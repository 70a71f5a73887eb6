#!/usr/bin/env bash
# Makes a Debian image without any registry of images: mmdebstrap fetches packages, `docker import` takes the tree.
# usage: base.sh IMAGE [PACKAGE...]      for example: base.sh atoll-base:bookworm
# The same packages give the same bytes, since SOURCE_DATE_EPOCH stands in for the time of day.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: base.sh IMAGE [PACKAGE...]" >&2; exit 2; }
image=$1
shift
for tool in mmdebstrap docker; do
  command -v "$tool" >/dev/null || { echo "base.sh needs $tool: apt-get install -y mmdebstrap docker.io" >&2; exit 1; }
done
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1735689600}
# The Node program links against the C++ library; certificates are for OTLP endpoints over https.
packages=$(IFS=,; echo "ca-certificates,libstdc++6${*:+,$*}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Documentation, translations and apt's own lists are no use to a program that serves; licences stay.
mmdebstrap --quiet --variant=minbase --include="$packages" \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
  --customize-hook='rm -rf "$1"/var/log/*.log "$1"/var/log/apt "$1"/var/cache/ldconfig/aux-cache' \
  bookworm "$work/root.tar"
docker import "$work/root.tar" "$image" >/dev/null
echo "$image"

#!/bin/sh
# Renews the certificates of etcd and nats-server of the federation fed.example, of those that have lived for half of their
# 30 days, and has every machine take up what it does not have, and the global plane's what they were issued by (`atoll renew-issuing`).
# Run it where keys/ is, every week or two; ATOLL names the program.
set -eu
umask 077
cd "$(dirname -- "$0")"
${ATOLL:-npx atoll} renew-engines federation.yaml --out .
failed=
tar -C hosts/eu-1 -cf - tls keys/federation-issuing.pem | ssh root@10.1.0.10 'mkdir -p -m 0700 atoll-eu-1 && tar -C atoll-eu-1 -xf - && sh atoll-eu-1/install.sh certificates' || failed="$failed eu-1"
tar -C hosts/us-1 -cf - tls | ssh root@10.2.0.10 'mkdir -p -m 0700 atoll-us-1 && tar -C atoll-us-1 -xf - && sh atoll-us-1/install.sh certificates' || failed="$failed us-1"
[ -z "$failed" ] || { echo "not brought to$failed: run this again" >&2; exit 1; }

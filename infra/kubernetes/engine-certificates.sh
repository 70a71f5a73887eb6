#!/bin/sh
# Makes certificates for a region's etcd and NATS (30 days), puts them into its Secrets, and has them taken up: etcd reads its files at each
# handshake, and the nats-servers, whose Secret reaches their pods only after a while, are started again one after the other. The first time
# and again every three weeks, at any time, from where the federation's keys are; engines' keys stay as they are.
# usage: sh engine-certificates.sh KEYS REGION    KUBECTL names the program, with the context of that region's cluster; NODE the other one.
set -eu
umask 077
[ $# = 2 ] || { echo "usage: sh engine-certificates.sh KEYS REGION" >&2; exit 2; }
keys=$1
region=$2
home=$(CDPATH="" cd -- "$(dirname -- "$0")/../.." && pwd)
kubectl() { ${KUBECTL:-kubectl} -n atoll-system "$@"; }

for engine in etcd nats; do
  directory=$keys/$region-$engine
  set --
  for n in 0 1 2; do
    names=$engine-$n.$engine.atoll-system.svc
    [ $engine = etcd ] || names=$names,nats.$region.mesh.example
    set -- "$@" --engine "$region/$engine-$n:$names"
  done
  ${NODE:-node} "$home/services/global/main.ts" init --data "$keys" --engines-dir "$directory" "$@"
  kubectl create secret generic "$engine-tls" --from-file="$directory" --dry-run=client -o yaml | kubectl apply -f -
done
if kubectl get statefulset nats >/dev/null 2>&1; then kubectl rollout restart statefulset nats; fi

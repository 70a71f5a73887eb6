#!/bin/sh
# Tells a region's etcd which planes may use it, each its own keys alone; until then every certificate of the federation may do everything in it.
# Once its members run, and again after the global plane was put there or its volumes were lost; at any time, from where the federation's keys
# are. etcd's administrator gets a certificate for it, which is in the cluster, as the Secret etcd-administrator, only while this lasts.
# usage: sh secure-etcd.sh KEYS    KUBECTL names the program, with the context of that region's cluster; NODE the other one.
set -eu
umask 077
[ $# = 1 ] || { echo "usage: sh secure-etcd.sh KEYS" >&2; exit 2; }
engines=$1/engines
home=$(CDPATH="" cd -- "$(dirname -- "$0")/../.." && pwd)
kubectl() { ${KUBECTL:-kubectl} -n atoll-system "$@"; }
leave() {
  kubectl delete secret etcd-administrator --ignore-not-found >/dev/null
  kubectl delete job secure-etcd --ignore-not-found --cascade=foreground >/dev/null
}

# It names planes for etcds that are one plane's alone, which these are not.
${NODE:-node} "$home/services/global/main.ts" init --data "$1" --etcd-administrator global
leave
trap leave EXIT
trap 'exit 1' HUP INT TERM
kubectl create secret generic etcd-administrator --from-file="$engines/ca.pem" --from-file="$engines/etcd-administrator.pem" --from-file="$engines/etcd-administrator.key" >/dev/null
kubectl create job secure-etcd --from=cronjob/secure-etcd >/dev/null
outcome=0
kubectl wait --for=condition=complete --timeout=250s job/secure-etcd >/dev/null || outcome=1
kubectl logs job/secure-etcd || outcome=1
exit $outcome

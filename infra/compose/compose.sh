#!/bin/sh
# Brings the federation fed.example up in containers, from the keys to its proxies; what has joined stays joined.
# COMPOSE and ATOLL name the programs; ATOLL_IMAGE, ETCD_IMAGE and NATS_IMAGE the images. "sh compose.sh down" removes all of it.
set -eu
umask 077
cd "$(dirname -- "$0")"
compose() { ${COMPOSE:-docker compose} -p isles -f compose.yaml "$@"; }
atoll() { ${ATOLL:-npx atoll} --context context.json "$@"; }
again() {
  tries=0
  until "$@"; do
    tries=$((tries + 1))
    [ "$tries" -lt 180 ] || { echo "given up: $*" >&2; exit 1; }
    sleep 1
  done
}
token() { # MACHINE PROGRAM FILE PURPOSE...
  program=$2
  tokens=hosts/$1/tokens
  file=$3
  shift 3
  if compose exec -T "$program" true 2>/dev/null; then return; fi
  mkdir -p "$tokens" && atoll token create "$@" >"$tokens.new" && mv "$tokens.new" "$tokens/$file"
}
if [ "${1:-up}" = down ]; then
  compose down --volumes --remove-orphans
  rm -rf admin-context.json hosts/*/tokens
  exit
fi
[ -d keys ] || { echo "there are no keys here: atoll bootstrap --init makes them" >&2; exit 1; }

compose run --rm files
compose up -d eu-1 eu-2 eu-3 us-1 us-2 ap-1
compose up -d eu-1.etcd eu-1.nats eu-2.etcd eu-2.nats eu-3.etcd eu-3.nats us-1.etcd us-1.nats ap-1.etcd ap-1.nats eu-1.global
context() { compose exec -T eu-1.global cat /var/lib/atoll/global/admin-context.json >admin-context.json; }
again context
again atoll apply -f resources/10-regions.yaml
again atoll apply -f resources/20-clusters.yaml
again token eu-1 eu-1.shop-eu-plane shop-eu-plane.join cluster:shop-eu
compose run --rm files
compose up -d eu-1.shop-eu-plane
again token us-1 us-1.shop-us-plane shop-us-plane.join cluster:shop-us
again token us-1 us-1.shop-us-plane shop-us-plane.signer enrolment:shop-us --cluster shop-eu
again token ap-1 ap-1.shop-ap-plane shop-ap-plane.join cluster:shop-ap
again token ap-1 ap-1.shop-ap-plane shop-ap-plane.signer enrolment:shop-ap --cluster shop-eu
compose run --rm files
compose up -d us-1.shop-us-plane ap-1.shop-ap-plane
again atoll apply -f resources/35-services-shop-eu.yaml --cluster shop-eu
again atoll apply -f resources/35-services-shop-us.yaml --cluster shop-us
again atoll apply -f resources/35-services-shop-ap.yaml --cluster shop-ap
again token eu-1 eu-1.shop-eu-gateway shop-eu-gateway gateway --cluster shop-eu
again token eu-2 eu-2.shop-eu-front-proxy shop-eu-front-proxy workload:web/front --cluster shop-eu
again token us-1 us-1.shop-us-gateway shop-us-gateway gateway --cluster shop-us
again token us-2 us-2.shop-us-catalog-proxy shop-us-catalog-proxy workload:web/catalog --cluster shop-us
again token ap-1 ap-1.shop-ap-gateway shop-ap-gateway gateway --cluster shop-ap
again token ap-1 ap-1.shop-ap-catalog-proxy shop-ap-catalog-proxy workload:web/catalog --cluster shop-ap
compose run --rm files
compose up -d eu-1.shop-eu-gateway eu-2.shop-eu-front-proxy us-1.shop-us-gateway us-2.shop-us-catalog-proxy ap-1.shop-ap-gateway ap-1.shop-ap-catalog-proxy
atoll status || true

#!/bin/sh
# Brings the federation fed.example up in containers, from the keys to its proxies; what has joined stays joined.
# usage: sh compose.sh [up|down|status|renew [PART]]    status ends with 3 when something does not run; down removes volumes, too.
# renew: another certificate for each engine that has lived for half of its 30 days, which nothing here does by itself. Nothing is restarted.
# PART is a region, or @global for the global plane and what it stands on, which is up before any region; without it, all.
# COMPOSE, DOCKER and ATOLL name the programs; ATOLL_IMAGE, ETCD_IMAGE, NATS_IMAGE and APP_IMAGE the images.
set -eu
umask 077
cd "$(dirname -- "$0")"
APP_IMAGE=${APP_IMAGE:-${ATOLL_IMAGE:-atoll:0.1.0}}
export APP_IMAGE
part=${2:-all}
case $part in
  all) machines="eu-1 eu-2 eu-3 us-1 us-2 ap-1" services="eu-1 eu-1.etcd eu-1.nats eu-1.global eu-2 eu-2.etcd eu-2.nats eu-3 eu-3.etcd eu-3.nats eu-1.shop-eu-plane eu-1.shop-eu-gateway eu-2.shop-eu-front-proxy us-1 us-1.etcd us-1.nats us-1.shop-us-plane us-1.shop-us-gateway us-2 us-2.shop-us-catalog-proxy ap-1 ap-1.etcd ap-1.nats ap-1.shop-ap-plane ap-1.shop-ap-gateway ap-1.shop-ap-catalog-proxy" volumes="eu-1.etc eu-1.etcd eu-1.global eu-2.etc eu-2.etcd eu-3.etc eu-3.etcd eu-1.shop-eu-plane eu-1.shop-eu-gateway eu-2.shop-eu-front-proxy us-1.etc us-1.etcd us-1.shop-us-plane us-1.shop-us-gateway us-2.etc us-2.shop-us-catalog-proxy ap-1.etc ap-1.etcd ap-1.shop-ap-plane ap-1.shop-ap-gateway ap-1.shop-ap-catalog-proxy" etcds="eu-west us-east ap-south" ;;
  @global) machines="eu-1 eu-2 eu-3" services="eu-1 eu-1.etcd eu-1.nats eu-1.global eu-2 eu-2.etcd eu-2.nats eu-3 eu-3.etcd eu-3.nats" volumes="eu-1.etc eu-1.etcd eu-1.global eu-2.etc eu-2.etcd eu-3.etc eu-3.etcd" etcds="eu-west" ;;
  eu-west) machines="eu-1 eu-2 eu-3" services="eu-1.shop-eu-plane eu-1.shop-eu-gateway eu-2.shop-eu-front-proxy" volumes="eu-1.shop-eu-plane eu-1.shop-eu-gateway eu-2.shop-eu-front-proxy" etcds="eu-west" ;;
  us-east) machines="us-1 us-2" services="us-1 us-1.etcd us-1.nats us-1.shop-us-plane us-1.shop-us-gateway us-2 us-2.shop-us-catalog-proxy" volumes="us-1.etc us-1.etcd us-1.shop-us-plane us-1.shop-us-gateway us-2.etc us-2.shop-us-catalog-proxy" etcds="us-east" ;;
  ap-south) machines="ap-1" services="ap-1 ap-1.etcd ap-1.nats ap-1.shop-ap-plane ap-1.shop-ap-gateway ap-1.shop-ap-catalog-proxy" volumes="ap-1.etc ap-1.etcd ap-1.shop-ap-plane ap-1.shop-ap-gateway ap-1.shop-ap-catalog-proxy" etcds="ap-south" ;;
  *) echo "there is no part $part; there are @global, eu-west, us-east, ap-south" >&2; exit 2 ;;
esac
compose() { ${COMPOSE:-docker compose} -p isles -f compose.yaml "$@"; }
docker() { command ${DOCKER:-docker} "$@"; }
atoll() { ${ATOLL:-npx atoll} --context context.json "$@"; }
running() { docker ps --filter label=com.docker.compose.project=isles --format '{{.Label "com.docker.compose.service"}}'; }
runs() { running | grep -qxF -- "$1"; }
wanted() { case " $services " in *" $1 "*) ;; *) return 1 ;; esac; }
again() {
  tries=0
  until "$@"; do
    tries=$((tries + 1))
    [ "$tries" -lt 180 ] || { echo "given up: $*" >&2; exit 1; }
    sleep 1
  done
}
deal() { compose run --rm -e "MACHINES=$machines" files; }
start() { # SERVICE...: those of them that are wanted
  list=
  for service in "$@"; do if wanted "$service"; then list="$list $service"; fi; done
  [ -z "$list" ] || compose up -d $list || compose up -d $list
}
secure() { # has the etcds of the part know all planes whose stores are in them, also those that are not up
  options=
  for region in $etcds; do options="$options --region $region"; done
  [ -z "$options" ] || compose run --rm secure-engines $options || compose run --rm secure-engines $options
}
join() { # SERVICE...: the same, with the tokens that were made for them
  for service in "$@"; do if wanted "$service"; then deal; start "$@"; return; fi; done
}
whole() { # MACHINE PROGRAM...: programs whose machine has gone are in a network that has gone with it
  if ! wanted "$1" || runs "$1"; then return 0; fi
  shift
  remove "$@"
}
token() { # MACHINE PROGRAM FILE PURPOSE...
  program=$2
  tokens=hosts/$1/tokens
  file=$3
  shift 3
  if ! wanted "$program" || runs "$program"; then return 0; fi
  mkdir -p "$tokens" && atoll token create "$@" >"$tokens.new" && mv "$tokens.new" "$tokens/$file"
}
apply() { # FILE CLUSTER:PLANE...: at those of the planes that are wanted
  resources=$1
  shift
  options=
  for one in "$@"; do if wanted "${one#*:}"; then options="$options --cluster ${one%%:*}"; fi; done
  [ -z "$options" ] || again atoll apply -f "$resources" $options
}
ids() { # SERVICE...: of their containers, whether or not they run
  docker ps --all --filter label=com.docker.compose.project=isles --format '{{.ID}} {{.Label "com.docker.compose.service"}}' | while read -r id service; do case " $* " in *" $service "*) echo "$id" ;; esac; done
}
remove() { # SERVICE...
  gone=$(ids "$@")
  [ -z "$gone" ] || { docker stop -t 40 $gone && docker rm --force --volumes $gone; } >/dev/null
}
healthy() { docker exec "$(ids "$1")" /opt/atoll/infra/images/health; }
well() { for service in "$@"; do if wanted "$service"; then again healthy "$service"; fi; done; }
case ${1:-up} in
  up) ;;
  status)
    now=$(running)
    for service in $services; do printf "%s\n" "$now" | grep -qxF -- "$service" || exit 3; done
    exit
    ;;
  down)
    if [ "$part" = all ]; then
      compose down --volumes --remove-orphans
      rm -rf admin-context.json
    else
      remove $services
      for volume in $volumes; do docker volume rm --force "isles_$volume" >/dev/null; done
    fi
    for machine in $machines; do rm -rf "hosts/$machine/tokens"; done
    exit
    ;;
  renew)
    ${ATOLL:-npx atoll} renew-engines federation.yaml --out .
    deal
    for service in $services; do case $service in *.nats) if runs "$service"; then docker kill --signal HUP "$(ids "$service")" >/dev/null; fi ;; esac; done
    exit
    ;;
  *) echo "there are up, down, status and renew, not $1" >&2; exit 2 ;;
esac
[ -d keys ] || { echo "there are no keys here: atoll bootstrap --init makes them" >&2; exit 1; }
[ -f keys/engines/etcd-administrator.pem ] || { echo "keys/engines holds no certificate of etcd's administrator: atoll bootstrap --init makes it" >&2; exit 1; }

deal
whole eu-1 eu-1.etcd eu-1.nats eu-1.global eu-1.shop-eu-plane eu-1.shop-eu-gateway
whole eu-2 eu-2.etcd eu-2.nats eu-2.shop-eu-front-proxy
whole eu-3 eu-3.etcd eu-3.nats
whole us-1 us-1.etcd us-1.nats us-1.shop-us-plane us-1.shop-us-gateway
whole us-2 us-2.shop-us-catalog-proxy
whole ap-1 ap-1.etcd ap-1.nats ap-1.shop-ap-plane ap-1.shop-ap-gateway ap-1.shop-ap-catalog-proxy
start eu-1 eu-2 eu-3 us-1 us-2 ap-1
start eu-1.etcd eu-1.nats eu-2.etcd eu-2.nats eu-3.etcd eu-3.nats us-1.etcd us-1.nats ap-1.etcd ap-1.nats
secure
start eu-1.global
context() { compose exec -T eu-1.global cat /var/lib/atoll/global/admin-context.json >admin-context.json; }
if wanted eu-1.global; then
  again context
  again atoll apply -f resources/10-regions.yaml
  again atoll apply -f resources/20-clusters.yaml
fi
again token eu-1 eu-1.shop-eu-plane shop-eu-plane.join cluster:shop-eu
join eu-1.shop-eu-plane
again token us-1 us-1.shop-us-plane shop-us-plane.join cluster:shop-us
again token us-1 us-1.shop-us-plane shop-us-plane.signer enrolment:shop-us --cluster shop-eu
again token ap-1 ap-1.shop-ap-plane shop-ap-plane.join cluster:shop-ap
again token ap-1 ap-1.shop-ap-plane shop-ap-plane.signer enrolment:shop-ap --cluster shop-eu
join us-1.shop-us-plane ap-1.shop-ap-plane
apply resources/35-services-shop-eu.yaml shop-eu:eu-1.shop-eu-plane
apply resources/35-services-shop-us.yaml shop-us:us-1.shop-us-plane
apply resources/35-services-shop-ap.yaml shop-ap:ap-1.shop-ap-plane
again token eu-1 eu-1.shop-eu-gateway shop-eu-gateway gateway --cluster shop-eu
again token eu-2 eu-2.shop-eu-front-proxy shop-eu-front-proxy workload:web/front --cluster shop-eu
again token us-1 us-1.shop-us-gateway shop-us-gateway gateway --cluster shop-us
again token us-2 us-2.shop-us-catalog-proxy shop-us-catalog-proxy workload:web/catalog --cluster shop-us
again token ap-1 ap-1.shop-ap-gateway shop-ap-gateway gateway --cluster shop-ap
again token ap-1 ap-1.shop-ap-catalog-proxy shop-ap-catalog-proxy workload:web/catalog --cluster shop-ap
join eu-1.shop-eu-gateway eu-2.shop-eu-front-proxy us-1.shop-us-gateway us-2.shop-us-catalog-proxy ap-1.shop-ap-gateway ap-1.shop-ap-catalog-proxy
well eu-1.global eu-1.shop-eu-plane eu-1.shop-eu-gateway us-1.shop-us-plane us-1.shop-us-gateway ap-1.shop-ap-plane ap-1.shop-ap-gateway
if [ "$part" = all ]; then atoll status || true; fi

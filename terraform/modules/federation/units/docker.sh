#!/bin/sh
# A part of the federation as containers of this machine's engine: the global plane with what it stands on ($PART @global), or a region. It
# is what `atoll bootstrap --compose` writes, brought up by its own script.
. "$(dirname "$0")/common.sh"

ATOLL="$ATOLL_HOME/node_modules/.bin/node $ATOLL_HOME/bin/atoll.cjs"
if [ -z "${COMPOSE:-}" ]; then
  if docker compose version >/dev/null 2>&1; then COMPOSE="docker compose"; else COMPOSE=docker-compose; fi
fi
export ATOLL COMPOSE
repairing=$repairing.$PART
# Lies there since it was up for the first time.
known=$DIRECTORY/.known.$PART

is_global() { [ "$PART" = @global ]; }
is_written() { [ -f "$DIRECTORY/compose.sh" ]; }
script() { sh "$DIRECTORY/compose.sh" "$@" >/dev/null; }
# Without an engine nothing can be said of what runs.
engine() { docker version --format '{{.Server.Version}}' >/dev/null; }

case $1 in
  start)
    engine
    if [ -f "$known" ]; then begin_repair; fi
    if is_global; then
      mkdir -p "$DIRECTORY"
      printf '%s' "$FEDERATION" >"$DIRECTORY/federation.yaml"
      atoll bootstrap "$DIRECTORY/federation.yaml" --out "$DIRECTORY" --init --compose >/dev/null
    fi
    script up "$PART"
    touch "$known"
    end_repair
    ;;
  status)
    engine
    is_written || exit $not_running
    if is_global; then printf '%s' "$FEDERATION" | cmp -s - "$DIRECTORY/federation.yaml" || exit $not_running; fi
    script status "$PART"
    ;;
  stop)
    if is_failed_repair; then end_repair; exit; fi
    is_written || exit 0
    rm -f "$known" "$repairing"
    if ! is_global; then script down "$PART"; exit; fi
    script down
    # What bootstrap wrote, and no more: the directory may be one that somebody keeps other things in.
    for name in README.md admin-context.json clients compose.sh compose.yaml context.json federation.yaml hosts keys renew-engines.sh resources; do rm -rf "${DIRECTORY:?}/$name"; done
    rmdir "$DIRECTORY" 2>/dev/null || true
    ;;
esac

#!/bin/sh
# The whole federation as processes of this machine: `atoll up` with its file.
. "$(dirname "$0")/common.sh"

here() { atoll --name "$FEDERATION_NAME" --data "$DIRECTORY/data" "$@"; }
is_well() { here check >/dev/null; }
is_supervised() {
  report=$(here --output json status 2>/dev/null) || [ -n "$report" ] || return 1
  printf '%s' "$report" | grep -q '"supervised": *true'
}
# The supervisor starts again what has ended by itself; what somebody has ended, or ended with it, is for `atoll up` to start.
is_complete() {
  is_supervised && ! printf '%s' "$report" | grep -q '"state": *"\(killed\|stopped\)"'
}

case $1 in
  start)
    mkdir -p "$DIRECTORY"
    printf '%s' "$FEDERATION" >"$DIRECTORY/federation.yaml"
    if [ -d "$DIRECTORY/data" ]; then begin_repair; fi
    # Processes whose supervisor is gone are nobody's: they end first. Where it lives, what was killed starts beside those that go on serving.
    if [ -d "$DIRECTORY/data" ] && ! is_supervised; then here down >/dev/null; fi
    here up "$DIRECTORY/federation.yaml" >/dev/null
    eventually is_well
    end_repair
    ;;
  status)
    [ -f "$DIRECTORY/federation.yaml" ] && printf "%s" "$FEDERATION" | cmp -s - "$DIRECTORY/federation.yaml" || exit $not_running
    is_complete || exit $not_running
    ;;
  stop)
    if is_failed_repair; then end_repair; exit; fi
    if [ -d "$DIRECTORY/data" ]; then here down >/dev/null; fi
    rm -rf "${DIRECTORY:?}/data" "$DIRECTORY/federation.yaml" "$repairing"
    if [ -d "$DIRECTORY" ]; then rmdir "$DIRECTORY" 2>/dev/null || true; fi
    ;;
esac

# What the programs of the units share; read by them. Each is told by variables what it is about, and by its last argument what to do:
# start (no fault where it runs), status (0: it runs, 3: it does not), stop (no fault where there is nothing).
set -eu
umask 077

not_running=3

# A start that fails is followed by a stop, since no state says that anything is there. What was there before the start is not to end with it,
# nor its keys: the program that asks for both is the same then, and another one when somebody destroys it.
repairing=$DIRECTORY/.repair
begin_repair() { echo "$PPID" >"$repairing"; }
end_repair() { rm -f "$repairing"; }
is_failed_repair() { [ "$(cat "$repairing" 2>/dev/null)" = "$PPID" ]; }

fail() { printf '%s\n' "$*" >&2; exit 1; }

atoll() { "$ATOLL_HOME/node_modules/.bin/node" "$ATOLL_HOME/bin/atoll.cjs" "$@"; }

# Runs a command again and again until it succeeds; after $WITHIN seconds it is given up, and what it said last is told.
eventually() {
  said=$(mktemp)
  end=$(($(date +%s) + ${WITHIN:-240}))
  until "$@" 2>"$said"; do
    if [ "$(date +%s)" -ge "$end" ]; then
      cat "$said" >&2
      rm -f "$said"
      fail "given up after ${WITHIN:-240} s: $*"
    fi
    sleep 0.3
  done
  rm -f "$said"
}

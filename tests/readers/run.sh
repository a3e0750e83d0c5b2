#!/usr/bin/env bash
# The code of those who read vCenter judges what the agent reports; README.md says who and how.
#
#   SEEN=folder   what the simulated host shows of each layout (`make readers` fills it)
#
# A line for each judge; all that was said where one fails.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v go >/dev/null; then
    echo 'readers: Go 1.26 or newer is needed' >&2
    exit 1
fi
if [[ -z $(compgen -G "${SEEN:?names the folder with what was seen}/*.json") ]]; then
    echo "readers: there is nothing in $SEEN" >&2
    exit 1
fi
# The versions are pinned: no workspace, nothing newer.
export GOWORK=off GOTOOLCHAIN=${GOTOOLCHAIN:-local}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Hardly anything of what is compiled runs for long, so that optimising it costs more than it saves.
if ! go test -count=1 -v -gcflags='all=-N -l' . >"$log" 2>&1; then
    grep -vE '^ *(=== |--- (PASS|SKIP))' "$log"
    echo 'readers: FAILED' >&2
    exit 1
fi
grep '^ok    ' "$log"
echo 'readers: everybody finds what is wanted, and notices what is spoilt'

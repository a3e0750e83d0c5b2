#!/usr/bin/env bash
# Talos' own code judges what we ship; README.md says what and how.
#
#   TALOS_VMTOOLSD=path   our binary                           (not set: not judged; an error if CI=true)
#   VMX=path              the simulator, target/debug/vmx  (likewise)
#   EXTENSION_IMAGE=dir   the extension image as an OCI layout (not set: a stand-in; an error if CI=true)
#   RUNTIME_IMAGE=dir     the runtime image as an OCI layout   (not set: not judged; an error if CI=true)
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v go >/dev/null; then
    echo 'conformance: Go 1.26.5 or newer is needed' >&2
    exit 1
fi
# The versions are pinned: no workspace, nothing newer, no vendored copies; the folder of a container may have
# another owner.
export GOWORK=off GOTOOLCHAIN=${GOTOOLCHAIN:-local}
for name in TALOS_VMTOOLSD VMX EXTENSION_IMAGE RUNTIME_IMAGE; do
    if [[ -n ${!name:-} && ! -e ${!name} ]]; then
        echo "conformance: $name: there is no ${!name}" >&2
        exit 1
    fi
done

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0

# judge TITLE PACKAGE...: one line for each check; all that was said where one fails.
judge() {
    local title=$1
    shift
    if go test -count=1 -v "$@" >"$log" 2>&1; then
        awk -v title="$title" '
            match($0, /^ *--- (PASS|SKIP): /) {
                sub(/^ *--- /, ""); sub(/ \([0-9.]+s\)$/, "")
                state = substr($0, 1, 4); name = substr($0, 7)
                # A test with parts is said by its parts.
                while (pending != "" && index(name, pending "/") == 1) { pending = ""; said = "" }
                if (said != "") print said
                said = sprintf("%s  %-11s %s", state == "PASS" ? "ok  " : "SKIP", title, name); pending = name
                skipped += state == "SKIP"
            }
            END { if (said != "") print said; if (skipped) print "****  " title ": " skipped " checks were SKIPPED" }
        ' "$log"
    else
        cat "$log"
        echo "FAIL  $title"
        failed=1
    fi
}

for mod in $(ls talos/*.mod | sort -V); do
    version=$(basename "$mod" .mod)
    tags=
    [[ $version == v1.[456] ]] && tags=-tags=before_block
    GOFLAGS="${GOFLAGS:-} -modfile=$PWD/$mod $tags" judge "Talos $version" ./protos ./services $(grep -q blang/semver "$mod" && echo ./extension)
done
judge "Talos $(go list -m -f '{{.Version}}' github.com/siderolabs/talos)" ./...

if ((failed)); then
    echo 'conformance: FAILED' >&2
    exit 1
fi
echo 'conformance: Talos takes all that was judged'

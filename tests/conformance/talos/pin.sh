#!/usr/bin/env bash
# pin.sh VERSION...: write talos/vX.Y.mod and .sum, which build the packages protos and services with the
# Talos of that version instead of the newest.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
for version in "$@"; do
    work=$(mktemp -d)
    packages=(protos services repo)
    # Talos publishes the validator of extensions in this form since 1.10.
    if [[ $(printf "%s\n" v1.10 "$version" | sort -V | head -1) == v1.10 ]]; then
        packages+=(extension oci)
    fi
    (cd "$here" && cp -r "${packages[@]}" "$work")
    cat >"$work/go.mod" <<END
module talos-vmtoolsd/conformance

go 1.26.5

require (
	github.com/bufbuild/protocompile v0.14.1
	github.com/siderolabs/talos/pkg/machinery $version
	go.yaml.in/yaml/v4 v4.0.0-rc.6
	golang.org/x/mod v0.38.0
)
END
    (cd "$work" && go mod tidy)
    cp "$work/go.mod" "$here/talos/${version%.*}.mod"
    cp "$work/go.sum" "$here/talos/${version%.*}.sum"
    rm -r "$work"
done

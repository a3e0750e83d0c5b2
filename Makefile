# The only entry: `make help` lists what there is. Needs Rust and what Rust needs to link (a C compiler).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

CARGO ?= cargo
TARGET ?= x86_64-unknown-linux-gnu

# The processor as container platforms spell it.
arch := $(patsubst aarch64,arm64,$(patsubst x86_64,amd64,$(firstword $(subst -, ,$(TARGET)))))
binary := $(CURDIR)/_out/linux-$(arch)/talos-vmtoolsd
built := $(or $(CARGO_TARGET_DIR),target)/$(TARGET)/release/talos-vmtoolsd
max_bytes := 5242880

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# --target keeps the static flags away from build scripts and macros, and these objects in a folder of their
# own, so that `make build` and `cargo test` do not undo each other's work.
.PHONY: build
build: ## Build the static binary, _out/linux-amd64/talos-vmtoolsd (TARGET=… for another)
	if command -v rustup >/dev/null && ! rustup target list --installed | grep -qx '$(TARGET)'; then \
	    rustup target add '$(TARGET)'; \
	fi
	RUSTFLAGS="$${RUSTFLAGS:-} -C target-feature=+crt-static" \
	    $(CARGO) build --locked --release --package talos-vmtoolsd --bin talos-vmtoolsd --target '$(TARGET)'
	install -D '$(built)' '$(binary)'
	@if readelf --dynamic '$(binary)' | grep NEEDED; then \
	    echo 'make build: the binary is not static' >&2; exit 1; \
	fi
	@size=$$(stat --format=%s '$(binary)'); \
	echo "$(binary): $$size bytes, static"; \
	if (( size > $(max_bytes) )); then \
	    echo 'make build: larger than $(max_bytes) bytes' >&2; exit 1; \
	fi

.PHONY: demo
demo: build ## Show a node from start to shutdown, as its host and Talos see it
	@TALOS_VMTOOLSD='$(binary)' $(CARGO) run --locked --quiet --example demo

.PHONY: test
test: build open-vm-tools ## Run all tests, the release binary and open-vm-tools' programs included
	TALOS_VMTOOLSD='$(binary)' $(CARGO) test --locked --workspace
	@if $(have_open_vm_tools); then \
	    echo 'make test: all tests passed, open-vm-tools included'; \
	else \
	    echo 'make test: tests passed, but those with open-vm-tools were SKIPPED (not installed)'; \
	fi

.PHONY: bench
bench: build open-vm-tools ## Measure memory, start, idle cost and latencies beside Debian's vmtoolsd
	@TALOS_VMTOOLSD='$(binary)' $(CARGO) run --locked --quiet --example bench

.PHONY: lint
lint: rust-components ## Check format, clippy and documentation; warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --locked --workspace --no-deps --document-private-items

.PHONY: clean
clean: ## Remove everything that was built
	$(CARGO) clean
	rm -rf _out

.PHONY: rust-components
rust-components:
	@$(CARGO) fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	@$(CARGO) clippy --version >/dev/null 2>&1 || rustup component add clippy

have_open_vm_tools := command -v vmtoolsd >/dev/null && command -v vmware-rpctool >/dev/null \
    && command -v vmware-checkvm >/dev/null

# Debian's programs hold the simulated VMX honest. Where they cannot be installed the tests with them are
# skipped, but never in CI.
.PHONY: open-vm-tools
open-vm-tools:
	@if $(have_open_vm_tools); then exit 0; fi; \
	if [[ $$(id -u) == 0 ]] && command -v apt-get >/dev/null; then \
	    export DEBIAN_FRONTEND=noninteractive; \
	    install='apt-get install --yes --quiet --no-install-recommends open-vm-tools'; \
	    $$install || { apt-get update --quiet && $$install; } || true; \
	fi; \
	if $(have_open_vm_tools); then exit 0; fi; \
	echo '*****************************************************************************' >&2; \
	echo '* open-vm-tools is not installed and cannot be installed here (root, apt).  *' >&2; \
	echo '* Tests and measurements with its programs are SKIPPED.                     *' >&2; \
	echo '*****************************************************************************' >&2; \
	if [[ $${CI:-} == true ]]; then \
	    echo 'make: in CI nothing may be skipped' >&2; exit 1; \
	fi

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
target_dir := $(abspath $(or $(CARGO_TARGET_DIR),target))
built := $(target_dir)/$(TARGET)/release/talos-vmtoolsd
max_bytes := 5242880

# Programs in pinned versions that only building and checking need.
TOOLS ?= $(CURDIR)/_out/tools
export PATH := $(TOOLS)/bin:$(PATH)

# A build is the same wherever it is made: the places of sources and crates are not in it. The time of what is
# packed is the commit's, so that packing it again tomorrow changes nothing.
cargo_home := $(or $(CARGO_HOME),$(HOME)/.cargo)
places := --remap-path-prefix=$(CURDIR)=. --remap-path-prefix=$(target_dir)=target --remap-path-prefix=$(cargo_home)=/cargo
ifndef SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH := $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
endif
export SOURCE_DATE_EPOCH

# No tables for unwinding: a panic aborts. 300 KiB less, which would be paged in beside what is needed.
no_unwinding := -C force-unwind-tables=no

# Relative relocations in packed form: 200 KiB that are neither stored nor paged in at every start.
# And the functions of the C library that run lie side by side (names of what `qemu-x86_64 -d in_asm` sees run):
# the kernel maps 16 pages at a time, so that scattered ones hold 260 KiB of others in memory.
ifeq ($(arch),amd64)
packed := -C link-arg=-Wl,-z,pack-relative-relocs \
    -C link-arg=-Wl,--symbol-ordering-file=extension/hot-functions -C link-arg=-Wl,--no-warn-symbol-ordering
endif

# On another processor the C parts are compiled and everything is linked by the cross compiler.
ifneq ($(firstword $(subst -, ,$(TARGET))),$(shell uname -m))
cross_prefix := $(firstword $(subst -, ,$(TARGET)))-linux-gnu
cross_env := CARGO_TARGET_$(shell tr a-z- A-Z_ <<<'$(TARGET)')_LINKER=$(cross_prefix)-gcc
endif

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# --target keeps the static flags away from build scripts and macros, and these objects in a folder of their
# own, so that `make build` and `cargo test` do not undo each other's work.
.PHONY: build
build: cargo-auditable cross-compiler ## Build the static binary, _out/linux-amd64/talos-vmtoolsd (TARGET=… for another)
	if command -v rustup >/dev/null && ! rustup target list --installed | grep -qx '$(TARGET)'; then \
	    rustup target add '$(TARGET)'; \
	fi
	$(cross_env) RUSTFLAGS="$${RUSTFLAGS:-} -C target-feature=+crt-static $(no_unwinding) $(packed) $(places)" \
	    CARGO='$(CARGO)' extension/auditable build --locked --release --package talos-vmtoolsd --bin talos-vmtoolsd --target '$(TARGET)'
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

container_specs := $(CURDIR)/_out/container

# The container that machined lets containerd make of our service file: Talos 1.14's, and 1.13's.
.PHONY: container
container: build crun ## Run the binary inside the container that Talos makes of its service (needs root, crun, Go)
	@if ! $(have_crun); then exit 0; fi; \
	mkdir -p '$(container_specs)'; \
	cd tests/container/spec; \
	export GOWORK=off GOTOOLCHAIN="$${GOTOOLCHAIN:-local}"; \
	go run . ../../../extension/talos-vmtoolsd.yaml >'$(container_specs)/v1.14.json'; \
	go run -modfile=v1.13.mod . ../../../extension/talos-vmtoolsd.yaml >'$(container_specs)/v1.13.json'; \
	cd ../../..; \
	TALOS_VMTOOLSD='$(binary)' CONTAINER_SPECS='$(container_specs)' \
	    $(CARGO) test --locked --workspace --test agent container:: -- --ignored --nocapture

FUZZ_SECONDS ?= 10

# Inputs that are new go to fuzz/found, so that the corpus stays as small as it was committed.
.PHONY: fuzz
fuzz: cargo-fuzz ## Fuzz each target for FUZZ_SECONDS=10 and print the executions (fuzz/README.md)
	@$(CARGO) fuzz build --sanitizer none
	@total=0; \
	for corpus in fuzz/corpus/*; do \
	    target=$${corpus##*/}; mkdir -p fuzz/found/$$target; \
	    $(CARGO) fuzz run --sanitizer none $$target fuzz/found/$$target $$corpus -- \
	        -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -print_final_stats=1 2>fuzz/found/$$target.log \
	        || { tail -n 40 fuzz/found/$$target.log >&2; exit 1; }; \
	    count=$$(awk '/number_of_executed_units/ { print $$2 }' fuzz/found/$$target.log); \
	    printf '%-20s %12d executions\n' $$target $$count; total=$$((total + count)); \
	done; \
	printf '%-20s %12d executions\n' 'in all' $$total

# Not in CI: it takes an hour or two. PARTS="rpc text" tries only these (tests/mutants/run).
.PHONY: mutants
mutants: cargo-mutants ## Try small mistakes in codecs, channel and power operations on their tests (docs/mutants.md)
	@tests/mutants/run '$(CURDIR)/_out/mutants' $(PARTS)

.PHONY: bench
bench: build open-vm-tools ## Measure memory, start, idle cost and latencies beside Debian's vmtoolsd
	@TALOS_VMTOOLSD='$(binary)' $(CARGO) run --locked --quiet --example bench

SOAK_SECONDS ?= 600

.PHONY: soak
soak: build ## Run the daemon through everything for SOAK_SECONDS=600: it must not grow, end or tell anything wrong
	@TALOS_VMTOOLSD='$(binary)' SOAK_SECONDS='$(SOAK_SECONDS)' $(CARGO) run --locked --quiet --example soak

.PHONY: lint
lint: rust-components ## Check format, clippy and documentation; warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --locked --workspace --no-deps --document-private-items

# Images

# Where the images go, and what for: PUSH=registry/repository[:tag] sends the runtime image there and the extension to
# registry/repository-extension[:tag].
IMAGES ?= $(CURDIR)/_out/images
PUSH ?=
revision = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)$(shell test -z "$$(git status --porcelain 2>/dev/null)" || echo -dirty)

.PHONY: images
images: both-binaries ## Pack the extension and runtime images, _out/images (PUSH=registry/repository[:tag] sends them)
	@$(CARGO) run --locked --quiet --package images -- '$(IMAGES)' '$(revision)' "$$SOURCE_DATE_EPOCH" \
	    amd64='$(CURDIR)/_out/linux-amd64/talos-vmtoolsd' arm64='$(CURDIR)/_out/linux-arm64/talos-vmtoolsd'
ifneq ($(PUSH),)
	@$(MAKE) --no-print-directory skopeo
	@extension/push '$(IMAGES)' '$(PUSH)'
endif

.PHONY: both-binaries
both-binaries:
	$(MAKE) --no-print-directory build TARGET=x86_64-unknown-linux-gnu
	$(MAKE) --no-print-directory build TARGET=aarch64-unknown-linux-gnu

.PHONY: images-check
images-check: images skopeo umoci crane spdx-tools ## Check the images, their SBOMs and pushing them to a registry
	@TOOLS='$(TOOLS)' tests/images/check '$(IMAGES)'

.PHONY: smoke-arm64
smoke-arm64: qemu-user ## Run the arm64 binary under qemu's user emulation
	$(MAKE) --no-print-directory build TARGET=aarch64-unknown-linux-gnu
	@tests/images/smoke '$(CURDIR)/_out/linux-arm64/talos-vmtoolsd' qemu-aarch64-static

.PHONY: reproduce
reproduce: cargo-auditable ## Build the last commit's images twice, elsewhere and later, and compare
	@TOOLS='$(TOOLS)' tests/images/reproduce

.PHONY: conformance
conformance: images ## Let Talos' own code judge protos, manifests, images and the running binary (needs Go)
	$(CARGO) build --locked --quiet --package vmx
	TALOS_VMTOOLSD='$(CURDIR)/_out/linux-amd64/talos-vmtoolsd' VMX='$(target_dir)/debug/vmx' \
	    EXTENSION_IMAGE='$(CURDIR)/_out/images/extension' RUNTIME_IMAGE='$(CURDIR)/_out/images/runtime' \
	    tests/conformance/run.sh

.PHONY: deny
deny: cargo-deny ## Check licences, sources and known vulnerabilities of the crates
	@tests/images/deny

.PHONY: audit
audit: build cargo-audit ## Check Cargo.lock and the crates in the built binary for known vulnerabilities
	@tests/images/audit '$(binary)'

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

have_crun := command -v crun >/dev/null && [[ $$(id -u) == 0 ]]

# Where there is no crun the container is not made, but never in CI.
.PHONY: crun
crun:
	@if $(have_crun); then exit 0; fi; \
	if [[ $$(id -u) == 0 ]] && command -v apt-get >/dev/null; then \
	    export DEBIAN_FRONTEND=noninteractive; \
	    install='apt-get install --yes --quiet --no-install-recommends crun'; \
	    $$install || { apt-get update --quiet && $$install; } || true; \
	fi; \
	if $(have_crun); then exit 0; fi; \
	echo '*****************************************************************************' >&2; \
	echo '* crun is not installed and cannot be installed here (root, apt), or this   *' >&2; \
	echo '* is not root. Tests in the container that Talos makes are SKIPPED.         *' >&2; \
	echo '*****************************************************************************' >&2; \
	if [[ $${CI:-} == true ]]; then \
	    echo 'make: in CI nothing may be skipped' >&2; exit 1; \
	fi

# Compiled in a hurry: they run for seconds.
.PHONY: cargo-audit cargo-auditable cargo-deny cargo-fuzz cargo-mutants
cargo-audit cargo-auditable cargo-deny cargo-fuzz cargo-mutants: export CARGO_PROFILE_RELEASE_LTO := off
cargo-audit cargo-auditable cargo-deny cargo-fuzz cargo-mutants: export CARGO_PROFILE_RELEASE_OPT_LEVEL := 1
cargo-audit cargo-auditable cargo-deny cargo-fuzz cargo-mutants: export CARGO_PROFILE_RELEASE_CODEGEN_UNITS := 16
cargo-audit: tool := cargo-audit@0.22.2
cargo-auditable: tool := cargo-auditable@0.7.7
cargo-deny: tool := cargo-deny@0.20.2
cargo-fuzz: tool := cargo-fuzz@0.13.2
cargo-mutants: tool := cargo-mutants@27.1.0
cargo-audit cargo-auditable cargo-deny cargo-fuzz cargo-mutants:
	@test -e '$(TOOLS)/$(tool)' || { \
	    env -u CARGO_BUILD_TARGET -u CARGO_TARGET_DIR $(CARGO) install --locked --quiet --force --root '$(TOOLS)' '$(tool)' \
	        && touch '$(TOOLS)/$(tool)'; \
	}

.PHONY: crane
crane: version := v0.20.6
crane:
	@test -e '$(TOOLS)/crane@$(version)' || { \
	    GOBIN='$(TOOLS)/bin' go install 'github.com/google/go-containerregistry/cmd/crane@$(version)' \
	        && touch '$(TOOLS)/crane@$(version)'; \
	}

.PHONY: spdx-tools
spdx-tools: version := 0.8.3
spdx-tools:
	@test -e '$(TOOLS)/spdx-tools@$(version)' || { \
	    python3 -m venv '$(TOOLS)/python' \
	        && '$(TOOLS)/python/bin/pip' install --quiet 'spdx-tools==$(version)' \
	        && touch '$(TOOLS)/spdx-tools@$(version)'; \
	}

.PHONY: skopeo umoci qemu-user cross-compiler
skopeo umoci: command = $@
skopeo umoci: packages = $@
qemu-user: command := qemu-aarch64-static
qemu-user: packages := qemu-user-static
cross-compiler: command := $(and $(cross_prefix),$(cross_prefix)-gcc)
cross-compiler: packages := gcc-$(subst _,-,$(cross_prefix)) libc6-dev-$(if $(filter aarch64%,$(cross_prefix)),arm64,amd64)-cross
skopeo umoci qemu-user cross-compiler:
	@if [[ -z '$(command)' ]] || command -v '$(command)' >/dev/null; then exit 0; fi; \
	export DEBIAN_FRONTEND=noninteractive; \
	install='apt-get install --yes --quiet --quiet --no-install-recommends $(packages)'; \
	$$install || { apt-get update --quiet --quiet && $$install; } || { \
	    echo "make: '$(command)' is missing; install Debian's $(packages), or what has it elsewhere" >&2; exit 1; \
	}

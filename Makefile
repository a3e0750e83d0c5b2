# The only entry: `make help` lists what there is. Needs Rust and what Rust needs to link (a C compiler).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# Where this is published: the images as $(REGISTRY)/talos-vmtoolsd and $(REGISTRY)/talos-vmtoolsd-extension. Hosts
# in .invalid never exist, so nothing is pulled by accident until a publisher sets both. This is the one place:
# `make names` carries new ones into manifests and documents, and tests/documents.rs finds any other.
REGISTRY = image-is-not-set.invalid
SOURCE = https://source-is-not-set.invalid/talos-vmtoolsd

CARGO ?= cargo
TARGET ?= x86_64-unknown-linux-gnu

# The processor as container platforms spell it.
arch := $(patsubst aarch64,arm64,$(patsubst x86_64,amd64,$(firstword $(subst -, ,$(TARGET)))))
binary := $(CURDIR)/_out/linux-$(arch)/talos-vmtoolsd
target_dir := $(abspath $(or $(CARGO_TARGET_DIR),target))
built := $(target_dir)/$(TARGET)/release/talos-vmtoolsd
max_bytes := 5242880

# What only building and checking need: a prerequisite `with-crane` installs crane where it is missing.
TOOLS ?= $(CURDIR)/_out/tools
export PATH := $(TOOLS)/bin:$(PATH)
provision := TOOLS='$(TOOLS)' CARGO='$(CARGO)' .ci/provision

with-%:
	@$(provision) '$*'

# A build is the same wherever it is made: the places of sources and crates are not in it. The time of what is
# packed is the commit's, so that packing it again tomorrow changes nothing.
cargo_home := $(or $(CARGO_HOME),$(HOME)/.cargo)
places := --remap-path-prefix=$(CURDIR)=. --remap-path-prefix=$(target_dir)=target --remap-path-prefix=$(cargo_home)=/cargo
ifndef SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH := $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
endif
export SOURCE_DATE_EPOCH

# What `--version` names: the commit and its day.
revision = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)$(shell test -z "$$(git status --porcelain 2>/dev/null)" || echo -dirty)
commit = $(shell printf 'commit %.12s%s %s' $(revision) '$(findstring -dirty,$(revision))' "$$(git log -1 --format=%cs 2>/dev/null)")

# How the linker lays the program out. Without tables for unwinding, as a panic aborts; the compiler makes them even if it
# is asked not to, as the standard library has them. And the functions that run lie side by side: a page fault maps 16
# pages, so scattered ones hold 1.4 MiB of others in memory. extension/hot-functions names them, with a * the sections
# of Rust's functions, without it the symbols of C's.
layout := _out/linux-$(arch)/layout.ld
laid_out := -C link-arg=-Wl,-T,$(layout)

# Relative relocations in packed form: 200 KiB that are neither stored nor paged in at every start.
ifeq ($(arch),amd64)
unwinding := *(.eh_frame)
laid_out += -C link-arg=-Wl,--no-eh-frame-hdr -C link-arg=-Wl,-z,pack-relative-relocs \
    -C link-arg=-Wl,--symbol-ordering-file=extension/hot-functions -C link-arg=-Wl,--no-warn-symbol-ordering
else
# GNU's linker and the start files of gcc want those of C to stay.
unwinding := *.rcgu.o(.eh_frame)
endif

# On another processor the C parts are compiled and everything is linked by the cross compiler.
ifneq ($(firstword $(subst -, ,$(TARGET))),$(shell uname -m))
cross_prefix := $(firstword $(subst -, ,$(TARGET)))-linux-gnu
cross_compiler := with-$(cross_prefix)-gcc
cross_env := CARGO_TARGET_$(shell tr a-z- A-Z_ <<<'$(TARGET)')_LINKER=$(cross_prefix)-gcc
endif

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# --target keeps the static flags away from build scripts and macros, and these objects in a folder of their
# own, so that `make build` and `cargo test` do not undo each other's work.
$(layout): extension/hot-functions Makefile
	@mkdir -p '$(@D)'
	@{ echo 'SECTIONS {'; \
	    echo '    /DISCARD/ : { $(unwinding) }'; \
	    echo '    .text.hot : {'; \
	    sed -n '/[*]/s/.*/        *(.text*.&)/p' $<; \
	    echo '    }'; \
	    echo '} INSERT BEFORE .text'; } >'$@'

.PHONY: build
build: $(layout) with-cargo-auditable with-$(TARGET) $(cross_compiler) ## Build the static binary, _out/linux-amd64/talos-vmtoolsd (TARGET=… for another)
	$(cross_env) RUSTFLAGS="$${RUSTFLAGS:-} -C target-feature=+crt-static $(laid_out) $(places)" \
	    TALOS_VMTOOLSD_COMMIT='$(commit)' CARGO='$(CARGO)' extension/auditable build --locked --release --package talos-vmtoolsd --bin talos-vmtoolsd --target '$(TARGET)'
	install -D '$(built)' '$(binary)'
	install -D --mode=644 --target-directory='$(dir $(binary))share' docs/talos-vmtoolsd.1 docs/completions/*
	@if readelf --dynamic '$(binary)' | grep NEEDED; then \
	    echo 'make build: the binary is not static' >&2; exit 1; \
	fi
	@size=$$(stat --format=%s '$(binary)'); \
	echo "$(binary): $$size bytes, static"; \
	if (( size > $(max_bytes) )); then \
	    echo 'make build: larger than $(max_bytes) bytes' >&2; exit 1; \
	fi

# The names are only in a binary of its own; the list counts at the next build.
.PHONY: hot-functions
hot-functions: export CARGO_PROFILE_RELEASE_STRIP = none
hot-functions: binary := $(CURDIR)/_out/with-names/talos-vmtoolsd
hot-functions: max_bytes := 16777216
hot-functions: build ## See which functions run in an idle agent, for the order in which they lie: extension/hot-functions
	TALOS_VMTOOLSD='$(binary)' $(CARGO) run --locked --quiet --example bench functions >'$(binary).functions'
	mv '$(binary).functions' extension/hot-functions

# What a QEMU guest is made of (tests/qemu): our agent, a kernel, a program for the way to Talos.
guest := TALOS_VMTOOLSD='$(binary)' GUEST_KERNEL='$(TOOLS)/guest-kernel' GUEST_RELAY='$(target_dir)/debug/relay'

.PHONY: guest-relay
guest-relay:
	@$(CARGO) build --locked --quiet --package qemu --bin relay

.PHONY: demo
demo: build with-qemu with-guest-kernel with-xfsprogs guest-relay ## Show a node from start to shutdown, as its hosts and Talos see it
	@$(guest) $(CARGO) run --locked --quiet --example demo

.PHONY: picture
picture: export PICTURE = $(CURDIR)/docs/panel.svg
picture: demo ## Run the demo and draw what its hosts show for the README, docs/panel.svg

.PHONY: test
test: build with-open-vm-tools with-qemu with-guest-kernel with-xfsprogs ## Run all tests, the release binary, open-vm-tools' programs and a QEMU guest included
	$(guest) $(CARGO) test --locked --workspace
	@if $(provision) --has open-vm-tools qemu guest-kernel xfsprogs; then \
	    echo 'make test: all tests passed, open-vm-tools, QEMU and file systems included'; \
	else \
	    echo 'make test: tests passed, but those with open-vm-tools, QEMU or XFS were SKIPPED (not installed)'; \
	fi

container_specs := $(CURDIR)/_out/container

# The container that machined lets containerd make of our service file, and of the one that runs qemu-ga: Talos 1.14's,
# and 1.13's.
.PHONY: container
container: build with-crun with-xfsprogs container-specs ## Run the binary inside the container that Talos makes of its service (needs root, crun, Go)
	@if ! $(provision) --has crun; then exit 0; fi; \
	TALOS_VMTOOLSD='$(binary)' CONTAINER_SPECS='$(container_specs)' \
	    $(CARGO) test --locked --workspace --test agent container:: -- --ignored --nocapture

.PHONY: container-specs
container-specs:
	@mkdir -p '$(container_specs)'; \
	cd tests/container/spec; \
	export GOWORK=off GOTOOLCHAIN="$${GOTOOLCHAIN:-local}"; \
	go run . ../../../extension/talos-vmtoolsd.yaml >'$(container_specs)/v1.14.json'; \
	go run -modfile=v1.13.mod . ../../../extension/talos-vmtoolsd.yaml >'$(container_specs)/v1.13.json'; \
	go run . ../qemu-guest-agent.yaml >'$(container_specs)/qemu-ga-v1.14.json'; \
	go run -modfile=v1.13.mod . ../qemu-guest-agent.yaml >'$(container_specs)/qemu-ga-v1.13.json'

kubevirt := $(CURDIR)/_out/kubevirt

# KubeVirt's code opens libvirt's library as it starts: its headers are not needed.
.PHONY: kubevirt
kubevirt:
	@cd tests/kubevirt; \
	GOWORK=off GOTOOLCHAIN="$${GOTOOLCHAIN:-local}" CGO_ENABLED=1 \
	    go build -buildvcs=false -tags libvirt_dlopen -gcflags='all=-N -l' -o '$(kubevirt)' .

.PHONY: qemu
qemu: build with-qemu with-guest-kernel with-libvirt with-xfsprogs container-specs kubevirt ## Run the agent, and Debian's qemu-ga, in real QEMU guests, libvirt's included (needs root, Go)
	@if ! $(provision) --has qemu guest-kernel libvirt xfsprogs; then exit 0; fi; \
	$(guest) CONTAINER_SPECS='$(container_specs)' KUBEVIRT='$(kubevirt)' \
	    $(CARGO) test --locked --package qemu -- --include-ignored --nocapture --test-threads 2

FUZZ_SECONDS ?= 10

# Inputs that are new go to fuzz/found, so that the corpus stays as small as it was committed.
.PHONY: fuzz
fuzz: with-cargo-fuzz ## Fuzz each target for FUZZ_SECONDS=10 and print the executions (fuzz/README.md)
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

# Not in CI: it takes an hour or two. PARTS="rpc text" tries only these (tests/mutants/run), and not the daemon.
.PHONY: mutants
mutants: with-cargo-mutants ## Try small mistakes in codecs, channel and power operations on their tests (docs/mutants.md)
	@tests/mutants/run '$(CURDIR)/_out/mutants' $(PARTS)
	@test -n '$(PARTS)' || tests/mutants/daemon '$(CURDIR)/_out/mutants'

.PHONY: bench
bench: build with-open-vm-tools with-qemu with-guest-kernel with-xfsprogs guest-relay ## Measure memory, start, idle cost and latencies beside Debian's vmtoolsd and qemu-ga
	@$(guest) $(CARGO) run --locked --quiet --example bench

SOAK_SECONDS ?= 600

.PHONY: soak
soak: build ## Run the daemon through everything for SOAK_SECONDS=600: it must not grow, end or report anything wrong
	@TALOS_VMTOOLSD='$(binary)' SOAK_SECONDS='$(SOAK_SECONDS)' $(CARGO) run --locked --quiet --example soak

# The inner loop: no release binary, nothing black box, nothing to install.
.PHONY: check
check: with-rustfmt with-clippy ## Check format, clippy and the library's tests; under a minute once compiled
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings
	$(CARGO) test --locked --quiet --lib

# Neither asks anything of the network.
.PHONY: lint-workflows
lint-workflows: with-actionlint with-zizmor ## Check the workflows: their form and expressions, and what they expose
	actionlint -shellcheck= -pyflakes=
	'$(TOOLS)/python/bin/zizmor' --offline --no-progress --quiet --persona=pedantic .github

.PHONY: lint
lint: with-rustfmt with-clippy lint-workflows ## Check format, clippy, dead code, documentation and workflows; warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --locked --workspace --no-deps --document-private-items
	tests/dead-code

# Images

# Where the images go, and what for: PUSH=registry/repository[:tag] sends the runtime image there and the extension to
# registry/repository-extension[:tag].
IMAGES ?= $(CURDIR)/_out/images
PUSH ?=

.PHONY: images
images: both-binaries ## Pack the extension and runtime images, _out/images (PUSH=registry/repository[:tag] sends them)
	@$(CARGO) run --locked --quiet --package images -- '$(IMAGES)' '$(revision)' "$$SOURCE_DATE_EPOCH" \
	    amd64='$(CURDIR)/_out/linux-amd64/talos-vmtoolsd' arm64='$(CURDIR)/_out/linux-arm64/talos-vmtoolsd'
ifneq ($(PUSH),)
	@$(provision) skopeo
	@extension/push '$(IMAGES)' '$(PUSH)'
endif

.PHONY: publish
publish: images with-skopeo ## Send both images to REGISTRY, with the version as their tag
	@case '$(REGISTRY)' in *.invalid) \
	    echo 'make publish: REGISTRY is not set, see docs/releasing.md' >&2; exit 1 ;; \
	esac
	@extension/push '$(IMAGES)' '$(REGISTRY)/talos-vmtoolsd'

.PHONY: names
names: ## Carry another REGISTRY=… and SOURCE=…, and the version of Cargo.toml, into manifests and documents
	@extension/names '$(REGISTRY)' '$(SOURCE)'

# The archives of the images are OCI layouts; the SBOMs are those in the extension.
.PHONY: release
release: images ## Collect the files of a release, _out/release: binaries, images, SBOMs, notes, checksums
	@.ci/release-files '$(IMAGES)' '$(CURDIR)/_out'

talos_judge := $(CURDIR)/_out/talos-judge

.PHONY: release-check
release-check: release with-docker-registry with-cosign with-crane with-skopeo with-jq with-spdx-tools ## Rehearse a release: sign, push, verify by the README's commands, let Talos pull it, spoil it (needs Go)
	@cd tests/release/talos; \
	GOWORK=off GOTOOLCHAIN="$${GOTOOLCHAIN:-local}" go test -c -vet=off -buildvcs=false -o '$(talos_judge)' .
	@TOOLS='$(TOOLS)' TALOS_JUDGE='$(talos_judge)' tests/release/check '$(IMAGES)'

.PHONY: both-binaries
both-binaries:
	$(MAKE) --no-print-directory build TARGET=x86_64-unknown-linux-gnu
	$(MAKE) --no-print-directory build TARGET=aarch64-unknown-linux-gnu

.PHONY: images-check
images-check: images with-skopeo with-umoci with-crane with-spdx-tools ## Check the images, their SBOMs and pushing them to a registry
	@TOOLS='$(TOOLS)' tests/images/check '$(IMAGES)'

.PHONY: smoke-arm64
smoke-arm64: with-qemu-aarch64-static ## Run the arm64 binary under qemu's user emulation
	$(MAKE) --no-print-directory build TARGET=aarch64-unknown-linux-gnu
	@tests/images/smoke '$(CURDIR)/_out/linux-arm64/talos-vmtoolsd' qemu-aarch64-static

.PHONY: reproduce
reproduce: with-cargo-auditable ## Build the last commit's images twice, elsewhere and later, and compare
	@TOOLS='$(TOOLS)' tests/images/reproduce

.PHONY: conformance
conformance: images ## Let Talos' own code judge protos, manifests, images and the running binary (needs Go)
	$(CARGO) build --locked --quiet --package vmx
	TALOS_VMTOOLSD='$(CURDIR)/_out/linux-amd64/talos-vmtoolsd' VMX='$(target_dir)/debug/vmx' \
	    EXTENSION_IMAGE='$(CURDIR)/_out/images/extension' RUNTIME_IMAGE='$(CURDIR)/_out/images/runtime' \
	    tests/conformance/run.sh

go_test := GOWORK=off GOTOOLCHAIN="$${GOTOOLCHAIN:-local}" go test -count=1

# Not in CI: Kubernetes compiles for ten minutes on two cores, once. Its packages are not vetted, which takes as long.
.PHONY: apiserver
apiserver: ## Apply deploy/ to a real kube-apiserver by the commands of deploy/README.md (needs Go, ten minutes at first)
	@cd tests/apiserver; $(go_test) -vet=off .

MEASURE ?=

etcd_members := $(CURDIR)/_out/etcd-members

# The freeze twice: with the etcd of Talos 1.14, and that of 1.13. MEASURE=1 freezes for every time that docs/snapshots.md
# names. Then three members are the etcd of three nodes with agents.
.PHONY: etcd
etcd: build ## Let a real etcd judge: file systems that are frozen below it, nodes that go, leaders that hand over (needs root, Go)
	@cd tests/etcd; \
	$(go_test) -v $(if $(MEASURE),,-short) . && $(go_test) -v $(if $(MEASURE),,-short) -modfile=v1.13.mod . && \
	GOWORK=off GOTOOLCHAIN="$${GOTOOLCHAIN:-local}" go build -buildvcs=false -o '$(etcd_members)' ./members
	TALOS_VMTOOLSD='$(binary)' ETCD_MEMBERS='$(etcd_members)' \
	    $(CARGO) test --locked --workspace --test agent interruptions::real:: -- --ignored --test-threads 1

.PHONY: vcenter
vcenter: with-jq ## Run the commands and scripts of the documents against a simulated vCenter (needs Go)
	@cd tests/vcenter; $(go_test) .

# What the host shows of each layout, at each moment.
seen := $(CURDIR)/_out/seen

.PHONY: readers
readers: build ## Let the code of those who read vCenter judge what the binary reports of each layout (needs Go)
	@rm -rf '$(seen)'
	TALOS_VMTOOLSD='$(binary)' SEEN='$(seen)' \
	    $(CARGO) test --locked --quiet --test agent layouts:: -- --skip layouts::crowds
	SEEN='$(seen)' tests/readers/run.sh

.PHONY: guest-operations
guest-operations: build with-open-vm-tools with-ip ## Let govmomi's encoders, govc and Talos' client operate a guest through a simulated vCenter (needs root, Go)
	@$(CARGO) build --locked --quiet --package guest-operations-bridge
	@cd tests/guest-operations; \
	TALOS_VMTOOLSD='$(binary)' BRIDGE='$(target_dir)/debug/guest-operations-bridge' $(go_test) ./...

.PHONY: deny
deny: with-cargo-deny ## Check licences, sources and known vulnerabilities of the crates
	@tests/images/deny

.PHONY: audit
audit: build with-cargo-audit ## Check Cargo.lock and the crates in the built binary for known vulnerabilities
	@tests/images/audit '$(binary)'

.PHONY: clean
clean: ## Remove everything that was built
	$(CARGO) clean
	rm -rf _out

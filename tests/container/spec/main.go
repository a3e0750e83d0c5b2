// Prints the OCI runtime spec with which machined lets containerd start an extension service, by containerd's own
// packages and for the Talos version that go.mod (or -modfile) names.
//
//	go run . SERVICE.yaml >config.json
//
// What is not published is done after Talos' source, option for option:
// internal/app/machined/pkg/system/services/extension.go (getOCIOptions) and
// internal/app/machined/pkg/system/runner/containerd/containerd.go (newOCISpecOpts).
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/cap"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/extensions/services"
	"go.yaml.in/yaml/v4"
	"golang.org/x/mod/semver"
)

const machinery = "github.com/siderolabs/talos/pkg/machinery"

// What the runner of extension services passes, besides the service's own spec.
const (
	oomScoreAdj = -600
	cgroup      = "system/extensions"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "spec:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("one argument is needed, the spec of the service")
	}

	service, err := load(args[0])
	if err != nil {
		return err
	}

	talos, err := version()
	if err != nil {
		return err
	}

	spec, err := generate(service, talos)
	if err != nil {
		return err
	}

	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")

	return out.Encode(spec)
}

// load reads the service's spec as machined does. A key that Talos does not know is an error here.
func load(name string) (*services.Spec, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}

	var service services.Spec

	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)

	if err = decoder.Decode(&service); err != nil {
		return nil, err
	}

	return &service, service.Validate()
}

// version is the Talos version that this program was built with.
func version() (string, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", fmt.Errorf("built without modules")
	}

	for _, module := range info.Deps {
		if module.Path == machinery {
			return module.Version, nil
		}
	}

	return "", fmt.Errorf("built without %s", machinery)
}

func generate(service *services.Spec, talos string) (*oci.Spec, error) {
	capabilities, err := grantable()
	if err != nil {
		return nil, err
	}

	container := service.Container
	security := container.Security

	options := []oci.SpecOpts{
		// newOCISpecOpts: any service in a container.
		oci.WithProcessArgs(append([]string{container.Entrypoint}, container.Args...)...),
		oci.WithHostHostsFile,
		oci.WithHostResolvconf,
		oci.WithNoNewPrivileges,
		change(func(spec *oci.Spec) {
			score := oomScoreAdj
			spec.Process.OOMScoreAdj = &score
		}),
		oci.WithCgroup("/" + path.Join(cgroup, service.Name)),
		// getOCIOptions: an extension service.
		oci.WithRootFSPath(path.Join(constants.ExtensionServiceRootfsPath, service.Name)),
		change(func(spec *oci.Spec) { spec.Linux.RootfsPropagation = security.RootfsPropagation }),
		oci.WithMounts(container.Mounts),
		oci.WithHostNamespace(specs.NetworkNamespace),
	}

	if semver.Compare(talos, "v1.14.0-0") >= 0 {
		options = append(options, oci.WithHostNamespace(specs.IPCNamespace))
	}

	options = append(options,
		oci.WithSelinuxLabel(""),
		oci.WithApparmorProfile(""),
		oci.WithCapabilities(capabilities),
		oci.WithAllDevicesAllowed,
		oci.WithEnv(container.Environment),
		change(func(spec *oci.Spec) { spec.Process.Rlimits = nil }),
	)

	if !security.WriteableRootfs {
		options = append(options, oci.WithRootFSReadonly())
	}

	if security.WriteableSysfs {
		options = append(options, oci.WithWriteableSysfs)
	}

	if security.MaskedPaths != nil {
		options = append(options, oci.WithMaskedPaths(security.MaskedPaths))
	}

	if security.ReadonlyPaths != nil {
		options = append(options, oci.WithReadonlyPaths(security.ReadonlyPaths))
	}

	// The last one: it looks at the capabilities.
	options = append(options, seccomp.WithDefaultProfile())

	ctx := namespaces.WithNamespace(context.Background(), constants.SystemContainerdNamespace)

	return oci.GenerateSpec(ctx, nil, &containers.Container{ID: "ext-" + service.Name}, options...)
}

func change(with func(*oci.Spec)) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, spec *oci.Spec) error {
		with(spec)

		return nil
	}
}

// grantable are the capabilities that machined may grant: those of the bounding set but a few.
func grantable() ([]string, error) {
	status, err := os.Open("/proc/self/status")
	if err != nil {
		return nil, err
	}

	defer status.Close() //nolint:errcheck

	sets, err := cap.ParseProcPIDStatus(status)
	if err != nil {
		return nil, err
	}

	granted, _ := cap.FromBitmap(sets[cap.Bounding])

	return slices.DeleteFunc(granted, func(name string) bool {
		_, dropped := constants.DefaultDroppedCapabilities[strings.ToLower(name)]

		return dropped
	}), nil
}

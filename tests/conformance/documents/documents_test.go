package documents_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/siderolabs/talos/pkg/imager/profile"
	"sigs.k8s.io/yaml"

	"talos-vmtoolsd/conformance/documents"
	"talos-vmtoolsd/conformance/repo"
)

var installing = []string{"extension/README.md", "deploy/README.md", "docs/snapshots.md", "docs/verify.md"}

func TestEveryBlockOfYamlIsTaken(t *testing.T) {
	counts := map[string]int{}

	for _, document := range installing {
		for _, block := range documents.Blocks(string(repo.Read(t, document))) {
			kind, err := documents.Kind(block)
			if err == nil {
				err = judge(t, kind, block)
			}

			if err != nil {
				t.Errorf("%s: %v\n%s", document, err, block)
			}

			counts[kind]++
		}
	}

	for kind, least := range map[string]int{"profile": 7, "machine config": 4, "kustomization": 1, "schematic": 1} {
		if counts[kind] < least {
			t.Errorf("%d blocks are a %s, want %d: %v", counts[kind], kind, least, counts)
		}
	}
}

func judge(t *testing.T, kind, block string) error {
	t.Helper()

	switch kind {
	case "profile":
		whole, err := documents.Profile(block)
		if err != nil {
			return err
		}

		// The imager's own idea of an installer is `metal`, where a node does without the name and network that its VM
		// gives it; the ISO alone is for every platform.
		platforms := []string{"vmware", "nocloud"}
		if whole.Output.Kind == profile.OutKindISO {
			platforms = []string{"metal"}
		}

		if !slices.Contains(platforms, whole.Platform) {
			t.Errorf("platform %s, want one of %v", whole.Platform, platforms)
		}

		if version := repo.Version(t, "github.com/siderolabs/talos"); whole.Version != version {
			t.Errorf("version %s, judged by %s", whole.Version, version)
		}

		if len(whole.Input.SystemExtensions) != 1 {
			t.Errorf("%d extensions", len(whole.Input.SystemExtensions))
		}

		t.Logf("%s on %s: %s", whole.Output.Kind, whole.Platform, whole.OutputPath())
	case "machine config":
		return documents.MachineConfig(block)
	case "schematic":
		if name := manifest(t).Name; !strings.Contains(block, "- siderolabs/"+name+"\n") {
			t.Errorf("the schematic does not name %s", name)
		}
	}

	return nil
}

// The images that the text names are those of this release.
func TestTheImagesOfTheTextAreOfThisRelease(t *testing.T) {
	image := regexp.MustCompile(`talos-vmtoolsd(?:-extension)?:(v[0-9.]+[0-9])`)
	count := 0

	for _, document := range append(installing, "README.md") {
		for _, found := range image.FindAllSubmatch(repo.Read(t, document), -1) {
			if want := manifest(t).Version; string(found[1]) != want {
				t.Errorf("%s: %s, but manifest.yaml says %s", document, found[0], want)
			}

			count++
		}
	}

	if count < 8 {
		t.Errorf("%d images", count)
	}
}

// What the imager writes is what the text says it writes.
func TestTheFilesThatTheTextNamesAreWritten(t *testing.T) {
	text := string(repo.Read(t, "extension/README.md"))

	for _, block := range documents.Blocks(text) {
		if kind, _ := documents.Kind(block); kind == "profile" {
			whole, err := documents.Profile(block)
			if err != nil {
				t.Fatal(err)
			}

			if file := whole.OutputPath(); !strings.Contains(text, file) {
				t.Errorf("nothing is said of %s", file)
			}
		}
	}
}

// The way without network: EXTENSION_IMAGE's neighbour is what the profile's ociPath mounts.
func TestTheImagerFindsOurImageInAFolder(t *testing.T) {
	layout := os.Getenv("EXTENSION_IMAGE")
	if layout == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("EXTENSION_IMAGE is not set")
		}

		t.Skip("EXTENSION_IMAGE is not set: NOT JUDGED with the image")
	}

	asset := profile.ContainerAsset{OCIPath: filepath.Join(filepath.Dir(layout), "extension-imager")}

	for _, arch := range []string{"amd64", "arm64"} {
		folder := t.TempDir()
		if err := asset.Extract(context.Background(), folder, arch, t.Logf, map[string]string{}); err != nil {
			t.Errorf("%s: %v", arch, err)
		}

		if _, err := os.Stat(filepath.Join(folder, "manifest.yaml")); err != nil {
			t.Errorf("%s: %v", arch, err)
		}
	}
}

func TestABadBlockIsNoticed(t *testing.T) {
	const good = "arch: amd64\nplatform: vmware\nversion: v1.14.1\nsecureboot: false\ninput:\n  systemExtensions:\n    - imageRef: r/e:v1\noutput:\n  kind: installer\n  outFormat: raw\n"

	if _, err := documents.Profile(good); err != nil {
		t.Fatal(err)
	}

	for _, mutation := range []struct{ from, to, want string }{
		{"amd64", "x86", "invalid arch"},
		{"platform: vmware\n", "", "platform is required"},
		{"kind: installer", "kind: instaler", "instaler"},
		{"kind: installer", "kind: unknown", "unknown output kind"},
		{"imageRef", "image", "image"},
		{"arch:", "baseProfileName: secureboot-instaler\narch:", "no built-in profile"},
		{"v1.14.1\nsecureboot: false", "v1.4.0\nsecureboot: true", "secureboot is not supported"},
	} {
		if _, err := documents.Profile(strings.Replace(good, mutation.from, mutation.to, 1)); err == nil || !strings.Contains(err.Error(), mutation.want) {
			t.Errorf("%q: want %q, got %v", mutation.to, mutation.want, err)
		}
	}

	for block, want := range map[string]string{
		"machine:\n  features:\n    kubernetesTalosApiAccess:\n      enabled: true\n":                 "kubernetesTalosApiAccess",
		"apiVersion: v1alpha1\nkind: KubeTalosApiAccessConfig\n":                                      "KubeTalosApiAccessConfig",
		"apiVersion: v1alpha1\nkind: KubeTalosAPIAccessConfig\nallowedRoles: [operator]\n":            "invalid role",
		"apiVersion: v1alpha1\nkind: ExtensionServiceConfig\nname: x\nenvironments: [A=b]\n":          "environments",
		"apiVersion: v1alpha1\nkind: KernelModuleConfig\nmodule: vmw_vsock_vmci_transport\nname: x\n": "module",
	} {
		if err := documents.MachineConfig(block); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}

	if _, err := documents.Kind("input: {}\n"); err == nil {
		t.Error("a block of no kind is taken")
	}
}

type metadata struct{ Name, Version string }

// manifest is what our manifest says of the extension.
func manifest(t *testing.T) metadata {
	t.Helper()

	var manifest struct{ Metadata metadata }
	if err := yaml.Unmarshal(repo.Read(t, "manifest.yaml"), &manifest); err != nil {
		t.Fatal(err)
	}

	return manifest.Metadata
}

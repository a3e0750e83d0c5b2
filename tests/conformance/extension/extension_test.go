// Package extension_test judges the folder that becomes the extension image by the code with which the imager
// and the extensions' validator judge it.
package extension_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/blang/semver/v4"
	"github.com/siderolabs/talos/pkg/machinery/extensions"

	"talos-vmtoolsd/conformance/oci"
	"talos-vmtoolsd/conformance/repo"
	"talos-vmtoolsd/conformance/services"
)

const (
	specs      = "rootfs/usr/local/etc/containers"
	containers = "rootfs/usr/local/lib/containers"
)

// official are the agents that siderolabs/extensions has for our hypervisors.
var official = []string{"vmtoolsd-guest-agent", "qemu-guest-agent"}

// staged gives the folders to judge by the platforms they are for: the contents of the image in the OCI layout
// that EXTENSION_IMAGE names, or one made of the sources and of a stand-in for the binary.
func staged(t *testing.T) map[string]string {
	t.Helper()

	layout := os.Getenv("EXTENSION_IMAGE")
	if layout == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("EXTENSION_IMAGE is not set")
		}

		t.Log("EXTENSION_IMAGE is not set: a stand-in is judged")

		return map[string]string{"stand-in": standIn(t)}
	}

	images, err := oci.Images(layout)
	if err != nil {
		t.Fatal(err)
	}

	if len(images) != 2 {
		t.Errorf("%d platforms, want 2", len(images))
	}

	folders := map[string]string{}

	for _, image := range images {
		folder := t.TempDir()
		if err = image.Unpack(folder); err != nil {
			t.Fatal(err)
		}

		folders[image.Config.OS+"/"+image.Config.Architecture] = folder
	}

	return folders
}

func TestTheExtensionIsValidForEveryTalos(t *testing.T) {
	for platform, folder := range staged(t) {
		t.Run(platform, func(t *testing.T) { valid(t, folder) })
	}
}

func valid(t *testing.T, folder string) {
	t.Helper()

	extension, err := extensions.Load(folder)
	if err != nil {
		t.Fatal(err)
	}

	newest := repo.Version(t, repo.Machinery)

	for _, version := range []string{"v1.4.0", "v1.8.3", "v1.13.0", "v1.14.0-beta.1", newest} {
		if err := judge(extension, version); err != nil {
			t.Errorf("Talos %s: %v", version, err)
		}
	}

	if err := judge(extension, "v1.3.7"); err == nil {
		t.Error("claims to work with Talos 1.3, where os:operator may not shut a node down")
	}

	// Whoever asks an image factory for ours by name must not be given another agent without a word.
	if name := extension.Manifest.Metadata.Name; slices.Contains(official, name) {
		t.Errorf("named %q, as an official extension", name)
	}

	t.Logf("Talos %s takes the extension %s %s", newest, extension.Manifest.Metadata.Name, extension.Manifest.Metadata.Version)
}

// Whatever spec lies in the image has its program in the image.
func TestTheExtensionHasTheProgramsOfItsServices(t *testing.T) {
	for platform, folder := range staged(t) {
		t.Run(platform, func(t *testing.T) { complete(t, folder) })
	}
}

func complete(t *testing.T, folder string) {
	t.Helper()

	files, err := filepath.Glob(filepath.Join(folder, specs, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no service in %s: %v", folder, err)
	}

	for _, file := range files {
		if filepath.Ext(file) != ".yaml" {
			t.Errorf("%s: Talos reads .yaml alone", file)
		}

		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}

		spec, err := services.Judge(text)
		if err != nil {
			t.Errorf("%s: %v", file, err)

			continue
		}

		program := filepath.Join(folder, containers, spec.Name, spec.Container.Entrypoint)
		if info, err := os.Stat(program); err != nil || info.Mode()&0o111 == 0 || info.Mode()&os.ModeSetuid != 0 {
			t.Errorf("%s: %v", program, err)
		}
	}
}

func TestABadExtensionIsNoticed(t *testing.T) {
	for _, mutation := range []struct {
		name, want string
		mutate     func(t *testing.T, folder string)
	}{
		{"constraint that is none", "error parsing Talos version constraint", replace("manifest.yaml", ">= v1.4.0", ">= soon")},
		{"constraint that excludes Talos", "can't be satisfied", replace("manifest.yaml", ">= v1.4.0", ">= v99.0.0")},
		{"version of the manifest", "unsupported manifest version", replace("manifest.yaml", "v1alpha1", "v1beta7")},
		{"manifest that is no YAML", "yaml", replace("manifest.yaml", "metadata:", "metadata: [")},
		{"file beside the rootfs", `unexpected file "README.md"`, write("README.md")},
		{"file outside the allowed folders", `path "/usr/bin/talos-vmtoolsd" is not allowed`, write("rootfs/usr/bin/talos-vmtoolsd")},
		{"no manifest", "manifest is missing", remove("manifest.yaml")},
		{"no rootfs", "rootfs is missing", remove("rootfs")},
		{"special file", "special files are not allowed", func(t *testing.T, folder string) { pipe(t, filepath.Join(folder, "rootfs/usr/local/x")) }},
	} {
		t.Run(mutation.name, func(t *testing.T) {
			folder := standIn(t)
			mutation.mutate(t, folder)

			extension, err := extensions.Load(folder)
			if err == nil {
				err = judge(extension, "v1.13.0")
			}

			if err == nil || !strings.Contains(err.Error(), mutation.want) {
				t.Errorf("want %q, got %v", mutation.want, err)
			}
		})
	}
}

func judge(extension *extensions.Extension, talos string) error {
	version, err := semver.ParseTolerant(talos)
	if err != nil {
		return err
	}

	return extension.Validate(extensions.WithValidateConstraints(), extensions.WithValidateContents(), extensions.WithTalosVersion(&version))
}

func standIn(t *testing.T) string {
	t.Helper()

	folder := t.TempDir()
	for name, data := range map[string][]byte{
		"manifest.yaml":                                                    repo.Read(t, "manifest.yaml"),
		specs + "/talos-vmtoolsd.yaml":                                     repo.Read(t, "extension/talos-vmtoolsd.yaml"),
		containers + "/talos-vmtoolsd/talos-vmtoolsd":                      nil,
		"rootfs/usr/local/share/spdx/talos-vmtoolsd-guest-agent.spdx.json": []byte("{}"),
	} {
		put(t, filepath.Join(folder, name), data)
	}

	return folder
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()

	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}

	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

func replace(name, from, to string) func(*testing.T, string) {
	return func(t *testing.T, folder string) {
		path := filepath.Join(folder, name)

		data, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(data), from) {
			t.Fatalf("%s has no %q to change: %v", name, from, err)
		}

		put(t, path, []byte(strings.ReplaceAll(string(data), from, to)))
	}
}

func write(name string) func(*testing.T, string) {
	return func(t *testing.T, folder string) { put(t, filepath.Join(folder, name), nil) }
}

func remove(name string) func(*testing.T, string) {
	return func(t *testing.T, folder string) {
		if err := os.RemoveAll(filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func pipe(t *testing.T, path string) {
	t.Helper()

	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

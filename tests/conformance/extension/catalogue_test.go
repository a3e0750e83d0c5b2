package extension_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"github.com/blang/semver/v4"
	"github.com/siderolabs/talos/pkg/machinery/extensions"
	"go.yaml.in/yaml/v4"

	"talos-vmtoolsd/conformance/repo"
	"talos-vmtoolsd/conformance/services"
)

// The packages for siderolabs/extensions, or a copy of it.
const (
	catalogue = "contrib/siderolabs-extensions/guest-agents"
	ours      = catalogue + "/talos-vmtoolsd-guest-agent"
	ofQemu    = catalogue + "/qemu-guest-agent"
	sboms     = "rootfs/usr/local/share/spdx"
)

type variables map[string]string

// fill fills in a template of the repository, and fails for a variable that is not set.
func fill(t *testing.T, path string, known variables) []byte {
	t.Helper()

	parsed, err := template.New(path).Option("missingkey=error").Parse(string(repo.Read(t, path)))
	if err != nil {
		t.Fatal(err)
	}

	var text bytes.Buffer
	if err = parsed.Execute(&text, known); err != nil {
		t.Fatal(err)
	}

	return text.Bytes()
}

// known gives the variables of files that build on each other.
func known(t *testing.T, files ...string) variables {
	t.Helper()

	all := variables{}
	for _, file := range files {
		if err := yaml.Unmarshal(fill(t, file, all), &all); err != nil {
			t.Fatal(err)
		}
	}

	return all
}

type recipe struct {
	Name         string
	Dependencies []struct{ Stage, Image, From, To string }
	Steps        []struct{ Install []string }
}

// made runs the steps of a recipe: upstream is what the image has that it is made of, pkg the files beside it.
func made(t *testing.T, text []byte, upstream string, pkg map[string][]byte) (recipe, string) {
	t.Helper()

	var recipe recipe
	if err := yaml.Unmarshal(text, &recipe); err != nil {
		t.Fatal(err)
	}

	folder := t.TempDir()
	for name, data := range pkg {
		put(t, filepath.Join(folder, "pkg", name), data)
	}

	image := recipe.Dependencies[1]
	if err := os.Symlink(filepath.Join(upstream, image.From), filepath.Join(folder, image.To)); err != nil {
		t.Fatal(err)
	}

	for _, step := range recipe.Steps {
		for _, script := range step.Install {
			for _, top := range []string{"upstream", "pkg", "rootfs"} {
				script = strings.ReplaceAll(script, " /"+top+"/", " "+filepath.Join(folder, top)+"/")
			}

			if out, err := exec.Command("bash", "-euc", script).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
	}

	// What the last steps make of it.
	whole := filepath.Join(folder, "whole")
	put(t, filepath.Join(whole, "manifest.yaml"), pkg["manifest.yaml"])

	if err := os.Rename(filepath.Join(folder, "rootfs"), filepath.Join(whole, "rootfs")); err != nil {
		t.Fatal(err)
	}

	return recipe, whole
}

// validated says what extensions-validator would: Talos' own verdict, the package's name, the form of the version, and
// the service files.
func validated(folder, pkg string) error {
	extension, err := extensions.Load(folder)
	if err != nil {
		return err
	}

	metadata := extension.Manifest.Metadata
	if metadata.Name != pkg {
		return fmt.Errorf("the package is %s, the extension %s", pkg, metadata.Name)
	}

	if _, err = semver.Parse(strings.TrimPrefix(metadata.Version, "v")); err != nil {
		return fmt.Errorf("version %s: %w", metadata.Version, err)
	}

	files, err := filepath.Glob(filepath.Join(folder, specs, "*.yaml"))
	if err != nil {
		return err
	}

	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}

		if _, err = services.Judge(text); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
	}

	return extension.Validate(extensions.WithValidateConstraints(), extensions.WithValidateContents())
}

func ourPackage(t *testing.T) (variables, map[string][]byte) {
	t.Helper()

	values := known(t, catalogue+"/vars.yaml", ours+"/vars.yaml")

	return values, map[string][]byte{
		"manifest.yaml":       fill(t, ours+"/manifest.yaml.tmpl", values),
		"talos-vmtoolsd.yaml": repo.Read(t, ours+"/talos-vmtoolsd.yaml"),
	}
}

func TestThePackageOfTheCatalogueMakesWhatOurImageHas(t *testing.T) {
	values, files := ourPackage(t)

	for platform, folder := range staged(t) {
		t.Run(platform, func(t *testing.T) {
			recipe, whole := made(t, fill(t, ours+"/pkg.yaml", values), folder, files)
			if err := validated(whole, recipe.Name); err != nil {
				t.Error(err)
			}

			complete(t, whole)
			alike(t, filepath.Join(folder, "rootfs"), filepath.Join(whole, "rootfs"))
		})
	}
}

// alike compares all files below two folders.
func alike(t *testing.T, want, got string) {
	t.Helper()

	out, err := exec.Command("diff", "--recursive", want, got).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The folder is copied away from here, so it repeats what the manifest, the Makefile and the service file say.
func TestThePackageOfTheCatalogueSaysWhatWeSay(t *testing.T) {
	values, files := ourPackage(t)

	own := described(t, repo.Read(t, "manifest.yaml"))
	if theirs := described(t, files["manifest.yaml"]); theirs != own {
		t.Errorf("%v, and our manifest %v", theirs, own)
	}

	// Under another name it is still ours.
	own.Name = "qemu-guest-agent"
	if theirs := described(t, fill(t, ofQemu+"/manifest.yaml.tmpl", valuesOfQemu(t))); theirs != own {
		t.Errorf("%v, and our manifest %v", theirs, own)
	}

	if want := repo.Registry(t) + "/talos-vmtoolsd-extension"; values["TALOS_VMTOOLSD_GUEST_AGENT_IMAGE"] != want {
		t.Errorf("made of %s, want %s", values["TALOS_VMTOOLSD_GUEST_AGENT_IMAGE"], want)
	}

	if !bytes.Equal(files["talos-vmtoolsd.yaml"], repo.Read(t, "extension/talos-vmtoolsd.yaml")) {
		t.Error("another service file than extension/talos-vmtoolsd.yaml")
	}
}

// description is whose a package is.
type description struct{ Name, Version, Author string }

func described(t *testing.T, manifest []byte) description {
	t.Helper()

	var whole struct{ Metadata description }
	if err := yaml.Unmarshal(manifest, &whole); err != nil {
		t.Fatal(err)
	}

	return whole.Metadata
}

func valuesOfQemu(t *testing.T) variables {
	t.Helper()

	return known(t, catalogue+"/vars.yaml", ofQemu+"/vars.yaml")
}

// The package that has qemu-ga's name, whose service file stays.
func TestThePackageQemuGuestAgentPutsOurBinaryWhereItsServiceLooks(t *testing.T) {
	values := valuesOfQemu(t)
	text := fill(t, ofQemu+"/pkg.yaml", values)

	for platform, folder := range staged(t) {
		t.Run(platform, func(t *testing.T) {
			recipe, whole := made(t, text, folder, map[string][]byte{
				"manifest.yaml":         fill(t, ofQemu+"/manifest.yaml.tmpl", values),
				"qemu-guest-agent.yaml": repo.Read(t, "tests/container/qemu-guest-agent.yaml"),
			})
			if err := validated(whole, recipe.Name); err != nil {
				t.Error(err)
			}

			complete(t, whole)
			alike(t, filepath.Join(folder, sboms, "talos-vmtoolsd-guest-agent.spdx.json"), filepath.Join(whole, sboms, "qemu-guest-agent.spdx.json"))
		})
	}
}

func TestABadPackageIsNoticed(t *testing.T) {
	for _, mutation := range []struct {
		name, want string
		mutate     func(t *testing.T, folder string)
	}{
		{"another name than the package's", "the extension other", replace("manifest.yaml", "name: talos-vmtoolsd-guest-agent", "name: other")},
		{"version without a form", "version latest", replace("manifest.yaml", "  version: v", "  version: latest")},
		{"service without a program", "talos-vmtoolsd.yaml", replace(specs+"/talos-vmtoolsd.yaml", "entrypoint: ./talos-vmtoolsd", "entrypoint: ''")},
		{"file outside the allowed folders", "is not allowed", write("rootfs/usr/bin/talos-vmtoolsd")},
	} {
		t.Run(mutation.name, func(t *testing.T) {
			folder := standIn(t)
			mutation.mutate(t, folder)

			if err := validated(folder, "talos-vmtoolsd-guest-agent"); err == nil || !strings.Contains(err.Error(), mutation.want) {
				t.Errorf("want %q, got %v", mutation.want, err)
			}
		})
	}
}

// Package repo finds what is judged: this repository's files, and the Talos version that judges.
package repo

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Machinery is the module with Talos' API, resources and validators.
const Machinery = "github.com/siderolabs/talos/pkg/machinery"

// Root is the top folder of this repository.
func Root(t testing.TB) string {
	t.Helper()

	folder, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}

	for ; folder != "/"; folder = filepath.Dir(folder) {
		if _, err = os.Stat(filepath.Join(folder, "manifest.yaml")); err == nil {
			return folder
		}
	}

	t.Fatal("manifest.yaml is in no folder above")

	return ""
}

// Read reads a file by its path from the top folder.
func Read(t testing.TB, path string) []byte {
	t.Helper()

	data, err := os.ReadFile(filepath.Join(Root(t), path))
	if err != nil {
		t.Fatal(err)
	}

	return data
}

// Registry is where our images are published, as the Makefile has it.
func Registry(t testing.TB) string {
	t.Helper()

	for line := range strings.Lines(string(Read(t, "Makefile"))) {
		if registry, found := strings.CutPrefix(line, "REGISTRY = "); found {
			return strings.TrimSpace(registry)
		}
	}

	t.Fatal("the Makefile has no REGISTRY")

	return ""
}

// Version is the version of a module that the tests are built with, such as v1.4.0. The -modfile of the test
// run has to be in GOFLAGS for it, as run.sh does.
func Version(t testing.TB, module string) string {
	t.Helper()

	return list(t, "{{.Version}}", module)
}

// Source is the folder with a module's source.
func Source(t testing.TB, module string) string {
	t.Helper()

	return list(t, "{{.Dir}}", module)
}

func list(t testing.TB, format, module string) string {
	t.Helper()

	out, err := exec.Command("go", "list", "-m", "-f", format, module).Output()
	if err != nil {
		t.Fatalf("go list -m %s: %v", module, err)
	}

	return strings.TrimSpace(string(out))
}

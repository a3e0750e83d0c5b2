// Package release lets Talos' own code judge a release in a registry on loopback; README.md says what and how.
package release

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is what one question to the registry on loopback may take.
const patience = 2 * time.Minute

// variable gives a variable of the environment. A release that is not given cannot be judged, and that is a failure.
func variable(t *testing.T, name string) string {
	t.Helper()

	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set, see README.md", name)
	}

	return value
}

// key reads the public key that a variable names the file of.
func key(t *testing.T, name string) string {
	t.Helper()

	return read(t, variable(t, name))
}

func read(t *testing.T, path string) string {
	t.Helper()

	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	return string(data)
}

// ofRepository reads a file of this repository by its path from the top folder.
func ofRepository(t *testing.T, path string) string {
	t.Helper()

	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}

	for ; folder != "/"; folder = filepath.Dir(folder) {
		if _, err = os.Stat(filepath.Join(folder, "manifest.yaml")); err == nil {
			return read(t, filepath.Join(folder, path))
		}
	}

	t.Fatal("manifest.yaml is in no folder above: run this within the repository")

	return ""
}

// registryOfDocuments is where the documents say that our images are: the Makefile's setting.
func registryOfDocuments(t *testing.T) string {
	t.Helper()

	for line := range strings.Lines(ofRepository(t, "Makefile")) {
		if registry, found := strings.CutPrefix(line, "REGISTRY = "); found {
			return strings.TrimSpace(registry)
		}
	}

	t.Fatal("the Makefile has no REGISTRY")

	return ""
}

func deadline(t *testing.T) context.Context {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)

	return ctx
}

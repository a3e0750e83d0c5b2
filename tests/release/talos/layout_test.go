package release

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// architectures are those that a release has.
var architectures = []string{"amd64", "arm64"}

// built is an image as it was built: an index and the image of each architecture.
type built struct {
	index  v1.Hash
	images map[string]v1.Image
}

// builtImage reads one of the OCI layouts that the release was pushed from.
func builtImage(t *testing.T, name string) built {
	t.Helper()

	top, err := layout.ImageIndexFromPath(filepath.Join(variable(t, "RELEASE_LAYOUT"), name))
	if err != nil {
		t.Fatal(err)
	}

	entries := manifests(t, top)
	if len(entries) != 1 {
		t.Fatalf("the layout %s has %d entries, not one index", name, len(entries))
	}

	index, err := top.ImageIndex(entries[0].Digest)
	if err != nil {
		t.Fatal(err)
	}

	images := map[string]v1.Image{}

	for _, entry := range manifests(t, index) {
		if images[entry.Platform.Architecture], err = index.Image(entry.Digest); err != nil {
			t.Fatal(err)
		}
	}

	for _, architecture := range architectures {
		if images[architecture] == nil {
			t.Fatalf("the layout %s has no image for %s", name, architecture)
		}
	}

	return built{index: entries[0].Digest, images: images}
}

func manifests(t *testing.T, index v1.ImageIndex) []v1.Descriptor {
	t.Helper()

	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}

	return manifest.Manifests
}

func digestOf(t *testing.T, image v1.Image) v1.Hash {
	t.Helper()

	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}

	return digest
}

// checksums are those of files by their path.
type checksums map[string][sha256.Size]byte

func (c checksums) add(path string, content io.Reader) error {
	data, err := io.ReadAll(content)
	if err == nil {
		c[path] = sha256.Sum256(data)
	}

	return err
}

func filesOfImage(t *testing.T, image v1.Image) checksums {
	t.Helper()

	content := mutate.Extract(image)
	defer content.Close() //nolint:errcheck

	found := checksums{}

	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found
		}

		if err == nil && header.Typeflag == tar.TypeReg {
			err = found.add(filepath.Clean(header.Name), archive)
		}

		if err != nil {
			t.Fatal(err)
		}
	}
}

func filesOfFolder(t *testing.T, folder string) checksums {
	t.Helper()

	found := checksums{}

	err := fs.WalkDir(os.DirFS(folder), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}

		file, err := os.Open(filepath.Join(folder, path))
		if err != nil {
			return err
		}

		defer file.Close() //nolint:errcheck

		return found.add(path, file)
	})
	if err != nil {
		t.Fatal(err)
	}

	return found
}

// Package oci reads images in OCI layouts.
package oci

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is one image of a layout, for one platform.
type Image struct {
	// Config is what the image says of itself.
	Config ocispec.Image

	layout   string
	manifest ocispec.Manifest
}

// Images are all images of an OCI layout, those of nested indexes included.
func Images(layout string) ([]Image, error) {
	return images(layout, filepath.Join(layout, ocispec.ImageIndexFile))
}

func images(layout, path string) ([]Image, error) {
	var index ocispec.Index
	if err := decodeFile(path, &index); err != nil {
		return nil, err
	}

	var all []Image

	for _, descriptor := range index.Manifests {
		switch blob := blobPath(layout, descriptor); descriptor.MediaType {
		case ocispec.MediaTypeImageIndex:
			nested, err := images(layout, blob)
			if err != nil {
				return nil, err
			}

			all = append(all, nested...)
		case ocispec.MediaTypeImageManifest:
			image := Image{layout: layout}

			if err := decodeFile(blob, &image.manifest); err != nil {
				return nil, err
			}

			if err := decodeFile(blobPath(layout, image.manifest.Config), &image.Config); err != nil {
				return nil, err
			}

			all = append(all, image)
		default:
			return nil, fmt.Errorf("%s is a %s", descriptor.Digest, descriptor.MediaType)
		}
	}

	return all, nil
}

// Unpack writes the files of all layers below a folder.
func (i *Image) Unpack(folder string) error {
	for _, layer := range i.manifest.Layers {
		if err := i.unpack(layer, folder); err != nil {
			return fmt.Errorf("%s: %w", layer.Digest, err)
		}
	}

	return nil
}

func (i *Image) unpack(layer ocispec.Descriptor, folder string) error {
	file, err := os.Open(blobPath(i.layout, layer))
	if err != nil {
		return err
	}

	defer file.Close() //nolint:errcheck

	var reader io.Reader = file

	switch layer.MediaType {
	case ocispec.MediaTypeImageLayer:
	case ocispec.MediaTypeImageLayerGzip:
		if reader, err = gzip.NewReader(file); err != nil {
			return err
		}
	default:
		return fmt.Errorf("a layer of type %s", layer.MediaType)
	}

	for archive := tar.NewReader(reader); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}

		if err != nil {
			return err
		}

		name := strings.TrimPrefix(header.Name, "/")
		if name = filepath.Clean(name); name == "." {
			continue
		}

		if !filepath.IsLocal(name) {
			return fmt.Errorf("the name %q leads out", header.Name)
		}

		switch path, mode := filepath.Join(folder, name), header.FileInfo().Mode(); header.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(path, 0o755)
		case tar.TypeReg:
			err = write(path, mode, archive)
		default:
			err = fmt.Errorf("%s is neither file nor folder", name)
		}

		if err != nil {
			return err
		}
	}
}

func write(path string, mode os.FileMode, content io.Reader) error {
	data, err := io.ReadAll(content)
	if err != nil {
		return err
	}

	if err = os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}

	if err = os.WriteFile(path, data, 0o600); err != nil {
		return err
	}

	return os.Chmod(path, mode)
}

func blobPath(layout string, descriptor ocispec.Descriptor) string {
	return filepath.Join(layout, ocispec.ImageBlobsDir, string(descriptor.Digest.Algorithm()), descriptor.Digest.Encoded())
}

func decodeFile(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}

	return json.Unmarshal(data, into)
}

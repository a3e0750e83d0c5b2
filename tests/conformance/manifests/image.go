package manifests

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ImageConfigs reads the configs of all images in an OCI layout, nested indexes included.
func ImageConfigs(layout string) ([]ocispec.Image, error) {
	return configsOf(layout, filepath.Join(layout, ocispec.ImageIndexFile))
}

func configsOf(layout, path string) ([]ocispec.Image, error) {
	var index ocispec.Index
	if err := decodeFile(path, &index); err != nil {
		return nil, err
	}

	var configs []ocispec.Image

	for _, descriptor := range index.Manifests {
		switch blob := blobPath(layout, descriptor); descriptor.MediaType {
		case ocispec.MediaTypeImageIndex:
			nested, err := configsOf(layout, blob)
			if err != nil {
				return nil, err
			}

			configs = append(configs, nested...)
		case ocispec.MediaTypeImageManifest:
			var (
				manifest ocispec.Manifest
				config   ocispec.Image
			)

			if err := decodeFile(blob, &manifest); err != nil {
				return nil, err
			}

			if err := decodeFile(blobPath(layout, manifest.Config), &config); err != nil {
				return nil, err
			}

			configs = append(configs, config)
		default:
			return nil, fmt.Errorf("%s is a %s", descriptor.Digest, descriptor.MediaType)
		}
	}

	return configs, nil
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

package release

import (
	"maps"
	"strings"
	"testing"

	"github.com/siderolabs/talos/pkg/imager/profile"
	"github.com/siderolabs/talos/pkg/machinery/extensions"
)

// binary is what the extension's service file starts.
const binary = "rootfs/usr/local/lib/containers/talos-vmtoolsd/talos-vmtoolsd"

// The imager and the image factory go through these calls, with `--system-extension-image` and a schematic.
func TestTalosTakesTheExtension(t *testing.T) {
	built := builtImage(t, "extension")
	// Without certificates, because this registry is on loopback.
	asset := profile.ContainerAsset{ImageRef: variable(t, "RELEASE_EXTENSION"), ForceInsecure: true}

	for _, architecture := range architectures {
		t.Run(architecture, func(t *testing.T) {
			image, err := asset.Pull(deadline(t), architecture, t.Logf)
			if err != nil {
				t.Fatal(err)
			}

			if got, want := digestOf(t, image), digestOf(t, built.images[architecture]); got != want {
				t.Errorf("pulled %s, but %s was built", got, want)
			}

			folder := t.TempDir()
			if err = asset.Extract(deadline(t), folder, architecture, t.Logf, nil); err != nil {
				t.Fatal(err)
			}

			got, want := filesOfFolder(t, folder), filesOfImage(t, built.images[architecture])
			if _, found := got[binary]; !found {
				t.Errorf("there is no %s", binary)
			}

			if !maps.Equal(got, want) {
				t.Errorf("pulled files\n%x\nbut built ones\n%x", got, want)
			}

			extension, err := extensions.Load(folder)
			if err != nil {
				t.Fatal(err)
			}

			if err = extension.Validate(extensions.WithValidateConstraints(), extensions.WithValidateContents()); err != nil {
				t.Error(err)
			}
		})
	}
}

// The registry gives another layer below the digest that was signed.
func TestTheImagerRefusesAnExchangedLayer(t *testing.T) {
	asset := profile.ContainerAsset{ImageRef: variable(t, "RELEASE_EXTENSION"), ForceInsecure: true}

	for _, architecture := range architectures {
		err := asset.Extract(deadline(t), t.TempDir(), architecture, t.Logf, nil)
		if err == nil || !strings.Contains(err.Error(), "error verifying sha256 checksum") {
			t.Errorf("%s: %v", architecture, err)
		}
	}
}

// Package documents judges the YAML that our documents show, so that what is copied from them is taken.
package documents

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/siderolabs/talos/pkg/imager/profile"
	"github.com/siderolabs/talos/pkg/machinery/config/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/config/merge"
	"github.com/siderolabs/talos/pkg/machinery/config/validation"
	"go.yaml.in/yaml/v4"
)

// Blocks are the YAML blocks of a document, in order.
func Blocks(document string) []string {
	var blocks []string

	for _, rest := range strings.Split(document, "\n```yaml\n")[1:] {
		block, _, _ := strings.Cut(rest, "\n```")
		blocks = append(blocks, block+"\n")
	}

	return blocks
}

// Kind says what a block is for: the first key that only this kind has.
func Kind(block string) (string, error) {
	var keys map[string]any
	if err := yaml.Unmarshal([]byte(block), &keys); err != nil {
		return "", err
	}

	for _, kind := range []struct{ key, name string }{
		{"arch", "profile"},
		{"apiVersion", "machine config"},
		{"machine", "machine config"},
		{"images", "kustomization"},
		{"customization", "schematic"},
	} {
		if _, found := keys[kind.key]; found {
			return kind.name, nil
		}
	}

	return "", fmt.Errorf("a block of no known kind:\n%s", block)
}

// Profile gives the profile that the imager would work by: the built-in one below it, and the defaults. Unlike the
// imager it takes no key that means nothing.
func Profile(block string) (*profile.Profile, error) {
	var asked profile.Profile

	decoder := yaml.NewDecoder(bytes.NewReader([]byte(block)))
	decoder.KnownFields(true)

	if err := decoder.Decode(&asked); err != nil {
		return nil, err
	}

	whole := asked

	if asked.BaseProfileName != "" {
		base, found := profile.Default[asked.BaseProfileName]
		if !found {
			return nil, fmt.Errorf("no built-in profile %s", asked.BaseProfileName)
		}

		whole = base.DeepCopy()
		if err := merge.Merge(&whole, &asked); err != nil {
			return nil, err
		}
	}

	whole.Input.FillDefaults(whole.Arch, whole.Version, whole.SecureBootEnabled())
	whole.Output.FillDefaults(whole.Arch, whole.Version, whole.SecureBootEnabled())

	return &whole, whole.Validate()
}

// metal is the mode in which all that can be checked is.
type metal struct{}

func (metal) String() string        { return "metal" }
func (metal) RequiresInstall() bool { return false }
func (metal) InContainer() bool     { return false }

// MachineConfig reads a block as Talos reads a machine config or a patch of it.
func MachineConfig(block string) error {
	provider, err := configloader.NewFromBytes([]byte(block))
	if err != nil {
		return err
	}

	var errs error

	for _, document := range provider.Documents() {
		// A part of the one document of old is no whole machine config.
		if document.Kind() == "v1alpha1" || document.Kind() == "" {
			continue
		}

		if validator, can := document.(config.Validator); can {
			_, err := validator.Validate(metal{}, validation.WithLocal())
			errs = errors.Join(errs, err)
		}
	}

	return errs
}

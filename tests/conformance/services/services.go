// Package services judges the spec of an extension service as machined does when it loads it.
package services

import (
	"bytes"

	"github.com/siderolabs/talos/pkg/machinery/extensions/services"
	"go.yaml.in/yaml/v4"
)

// Judge decodes a spec and lets Talos validate it. Talos skips keys that it does not know; here they are
// errors, since a key with a slip of the pen does nothing on a node.
func Judge(text []byte) (*services.Spec, error) {
	var spec services.Spec

	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)

	if err := decoder.Decode(&spec); err != nil {
		return nil, err
	}

	return &spec, spec.Validate()
}

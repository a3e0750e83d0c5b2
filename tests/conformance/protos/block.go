//go:build !before_block

package protos

// Talos 1.7 is the first with this package; run.sh sets the tag for those before it.
import _ "github.com/siderolabs/talos/pkg/machinery/api/resource/definitions/block"

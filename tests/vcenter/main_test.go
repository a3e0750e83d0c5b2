// Package vcenter runs the commands of docs/operations.md and the scripts of docs/guest-variables.md against govmomi's simulated vCenter.
package vcenter_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/vmware/govmomi/cli"
	_ "github.com/vmware/govmomi/cli/object"
	_ "github.com/vmware/govmomi/cli/vm"
)

// The test binary is govc as well, by the name that it is called by.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "govc" {
		played := os.Getenv(playVariable)
		if before(played, os.Args[1:]) {
			os.Exit(0)
		}

		code := cli.Run(os.Args[1:])
		if code == 0 {
			after(played, os.Args[1:])
		}

		os.Exit(code)
	}

	os.Exit(m.Run())
}

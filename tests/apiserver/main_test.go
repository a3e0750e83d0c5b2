// Package apiserver applies deploy/ to a real kube-apiserver, with kubectl and kustomize as deploy/README.md says it.
package apiserver_test

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	kustomize "sigs.k8s.io/kustomize/kustomize/v5/commands"
)

// The test binary is kubectl and kustomize as well, by the name that it is called by.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "kubectl":
		if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
			util.CheckErr(err)
		}
	case "kustomize":
		if kustomize.NewDefaultCommand().Execute() != nil {
			os.Exit(1)
		}
	default:
		os.Exit(m.Run())
	}
}

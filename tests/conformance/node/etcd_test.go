package node_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/role"

	"talos-vmtoolsd/conformance/node"
	"talos-vmtoolsd/conformance/repo"
)

// Before a control plane is frozen: who votes, and which API servers there are.
func TestWhatIsAskedOfEtcdIsOpenToAnOperator(t *testing.T) {
	rules, err := node.Rules(repo.Source(t, "github.com/siderolabs/talos"))
	if err != nil {
		t.Fatal(err)
	}

	for _, method := range []string{"/machine.MachineService/EtcdMemberList", "/cosi.resource.State/Get"} {
		for _, role := range []role.Role{role.Operator, role.Reader} {
			if !rules[method].Includes(role) {
				t.Errorf("%s is not open to %s", method, role)
			}
		}
	}

	if k8s.EndpointExtension.ResourceDefinition(k8s.EndpointExtension{}).Sensitivity == meta.Sensitive {
		t.Error("the list of API servers is sensitive")
	}

	source := string(repo.Read(t, "src/talos/facts/node.rs"))
	for _, name := range []string{k8s.EndpointType, k8s.ControlPlaneNamespaceName, k8s.ControlPlaneAPIServerEndpointsID} {
		if !strings.Contains(source, strconv.Quote(name)) {
			t.Errorf("we do not ask for %q", name)
		}
	}
}

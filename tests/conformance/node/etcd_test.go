package node_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/role"

	"talos-vmtoolsd/conformance/node"
	"talos-vmtoolsd/conformance/repo"
)

// Before a control plane is frozen or stops: what it is, who votes, and which API servers there are.
func TestWhatIsAskedOfEtcdIsOpenToAnOperator(t *testing.T) {
	rules, err := node.Rules(repo.Source(t, "github.com/siderolabs/talos"))
	if err != nil {
		t.Fatal(err)
	}

	for _, method := range []string{"/machine.MachineService/EtcdStatus", "/machine.MachineService/EtcdMemberList", "/cosi.resource.State/Get"} {
		for _, role := range []role.Role{role.Operator, role.Reader} {
			if !rules[method].Includes(role) {
				t.Errorf("%s is not open to %s", method, role)
			}
		}
	}

	if k8s.EndpointExtension.ResourceDefinition(k8s.EndpointExtension{}).Sensitivity == meta.Sensitive {
		t.Error("the list of API servers is sensitive")
	}

	if k8s.NodeStatusExtension.ResourceDefinition(k8s.NodeStatusExtension{}).Sensitivity == meta.Sensitive {
		t.Error("whether a node is cordoned is sensitive")
	}

	source := string(repo.Read(t, "src/talos/facts/node.rs"))
	for _, name := range []string{k8s.EndpointType, k8s.ControlPlaneNamespaceName, k8s.ControlPlaneAPIServerEndpointsID, k8s.NodeStatusType, k8s.NamespaceName} {
		if !strings.Contains(source, strconv.Quote(name)) {
			t.Errorf("we do not ask for %q", name)
		}
	}
}

// What a drain is called in Events, and that Shutdown has one unless it is forced: no package exports it.
func TestADrainIsCalledWhatWeListenFor(t *testing.T) {
	source := repo.Source(t, "github.com/siderolabs/talos")
	sequencer := read(t, source, "v1alpha1_sequencer.go")

	_, shutdown, found := strings.Cut(sequencer, "func (*Sequencer) Shutdown(")
	if !found {
		t.Fatal("there is no sequence Shutdown")
	}

	shutdown, _, _ = strings.Cut(shutdown, "\nfunc ")
	for _, words := range []string{"!in.GetForce()", `"drain"`, "CordonAndDrainNode"} {
		if !strings.Contains(shutdown, words) {
			t.Errorf("Shutdown has no %s", words)
		}
	}

	if ours := string(repo.Read(t, "src/talos/sequence.rs")); !strings.Contains(ours, `const DRAIN: &str = "drain";`) {
		t.Error("we listen for another phase")
	}

	controller := read(t, source, "v1alpha1_controller.go")
	for _, words := range []string{"machine.PhaseEvent{", "common.Code_CANCELED", "common.Code_LOCKED"} {
		if !strings.Contains(controller, words) {
			t.Errorf("the controller publishes no %s", words)
		}
	}
}

func read(t *testing.T, source, name string) string {
	t.Helper()

	text, err := os.ReadFile(filepath.Join(source, "internal/app/machined/pkg/runtime/v1alpha1", name))
	if err != nil {
		t.Fatal(err)
	}

	return string(text)
}

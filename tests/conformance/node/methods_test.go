package node_test

import (
	"slices"
	"testing"

	"github.com/siderolabs/talos/pkg/machinery/role"

	"talos-vmtoolsd/conformance/node"
	"talos-vmtoolsd/conformance/repo"
)

// What the relay passes on is open to os:reader in machined's own table, and nothing of the table is left out but for
// a reason.
func TestRelayedMethodsAreThoseOfAReader(t *testing.T) {
	rules, err := node.Rules(repo.Source(t, "github.com/siderolabs/talos"))
	if err != nil {
		t.Fatal(err)
	}

	methods := node.Methods(string(repo.Read(t, "src/guest_operations/programs/methods.rs")))
	if len(methods) < 30 {
		t.Fatalf("only %d methods were found: %v", len(methods), methods)
	}

	for _, err := range relayed(methods, rules) {
		t.Error(err)
	}
}

// Each way to be wrong is noticed.
func TestAWrongListOfMethodsIsNoticed(t *testing.T) {
	rules := map[string]role.Set{
		"/a.A/Read":                   role.MakeSet(role.Admin, role.Reader),
		"/a.A/Write":                  role.MakeSet(role.Admin, role.Operator),
		"/time.TimeService/TimeCheck": role.MakeSet(role.Admin, role.Reader),
	}

	for _, test := range []struct {
		methods []string
		wrong   int
	}{
		{[]string{"/a.A/Read"}, 0},
		{[]string{"/a.A/Read", "/a.A/Write"}, 1},
		{[]string{"/a.A/Read", "/a.A/Gone"}, 1},
		{[]string{"/a.A/Read", "/time.TimeService/TimeCheck"}, 1},
		{nil, 1},
	} {
		if found := relayed(test.methods, rules); len(found) != test.wrong {
			t.Errorf("%v: %v", test.methods, found)
		}
	}
}

func relayed(methods []string, rules map[string]role.Set) []string {
	var wrong []string

	for _, method := range methods {
		switch roles, known := rules[method]; {
		case !known:
			wrong = append(wrong, method+" is not in machined's table")
		case !roles.Includes(role.Reader):
			wrong = append(wrong, method+" is not open to os:reader")
		case node.Unrelayed[method] != "":
			wrong = append(wrong, method+" "+node.Unrelayed[method])
		}
	}

	for method, roles := range rules {
		if roles.Includes(role.Reader) && node.Unrelayed[method] == "" && !slices.Contains(methods, method) {
			wrong = append(wrong, method+" is open to os:reader and left out")
		}
	}

	return wrong
}

package node_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/siderolabs/talos/pkg/machinery/role"
)

// The whole way from the host's button to Talos' generated stubs: an operator's certificate shuts the node down
// and reboots it, once, and a reader's does not. VMX is the simulator of tests/vmx.
func TestPowerNeedsTheOperatorsRole(t *testing.T) {
	vmx, binary := os.Getenv("VMX"), os.Getenv("TALOS_VMTOOLSD")
	if vmx == "" || binary == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("VMX or TALOS_VMTOOLSD is not set")
		}

		t.Skip("VMX or TALOS_VMTOOLSD is not set: power is NOT JUDGED with our binary")
	}

	for _, test := range []struct {
		role    role.Role
		request string
		success bool
	}{
		{role.Operator, "OS_Halt", true},
		{role.Operator, "OS_Reboot", true},
		{role.Reader, "OS_Halt", false},
		{role.Reader, "OS_Reboot", false},
		{role.EtcdBackup, "OS_Halt", false},
	} {
		t.Run(string(test.role)+" "+test.request, func(t *testing.T) {
			t.Parallel()

			judged, bundle, endpoint := overTLS(t)
			// A refusal is tried again until the deadline: machined refuses callers that it does not know yet.
			run := command(t, nil, append([]string{"vmtoolsd", "--power-deadline", "2s"}, tls(t, bundle, endpoint, test.role)...)...)
			run.Args = append([]string{vmx, "run", "--json", "--ask", test.request, "--for", "5", "--", binary}, run.Args[1:]...)
			run.Path = vmx

			out, err := run.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}

			// The view comes after the timeline.
			var view struct {
				HostName  string `json:"host_name"`
				IPAddress string `json:"ip_address"`
				Power     []struct{ Success bool }
			}

			_, text, _ := bytes.Cut(out, []byte("\n{\n"))
			if err = json.NewDecoder(bytes.NewReader(append([]byte("{"), text...))).Decode(&view); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}

			if len(view.Power) != 1 || view.Power[0].Success != test.success {
				t.Errorf("the host was told %+v\n%s", view.Power, out)
			}

			shutdowns, reboots := judged.Shutdowns.Load(), judged.Reboots.Load()
			if accepted := shutdowns + reboots; (accepted == 1) != test.success || accepted > 1 {
				t.Errorf("%d shutdowns and %d reboots", shutdowns, reboots)
			}

			if test.success && (shutdowns == 1) != (test.request == "OS_Halt") {
				t.Errorf("%s became %d shutdowns and %d reboots", test.request, shutdowns, reboots)
			}

			if readable := test.role != role.EtcdBackup; readable != (view.HostName == "cp1") || readable != (view.IPAddress == "10.5.0.11") {
				t.Errorf("the host sees %q at %q", view.HostName, view.IPAddress)
			}
		})
	}
}

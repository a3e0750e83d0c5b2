package services_test

import (
	"reflect"
	"strings"
	"testing"

	talos "github.com/siderolabs/talos/pkg/machinery/extensions/services"

	"talos-vmtoolsd/conformance/repo"
	"talos-vmtoolsd/conformance/services"
)

const machineSocket = "/system/run/machined/machine.sock"

// The form in which siderolabs/extensions runs the Go daemon; it has to run ours unchanged.
const official = `
name: talos-vmtoolsd
container:
  entrypoint: ./talos-vmtoolsd
  args: [vmtoolsd, --use-machined]
  mounts:
    - {source: /system/run/machined/machine.sock, destination: /system/run/machined/machine.sock, type: bind, options: [rshared, rbind, rw]}
depends:
  - path: /system/run/machined/machine.sock
  - network: [addresses]
restart: always
`

func ofQemuGa(t *testing.T) string {
	return string(repo.Read(t, "tests/container/qemu-guest-agent.yaml"))
}

func ours(t *testing.T) string { return string(repo.Read(t, "extension/talos-vmtoolsd.yaml")) }

func TestOurServiceSpec(t *testing.T) {
	spec, err := services.Judge([]byte(ours(t)))
	if err != nil {
		t.Fatal(err)
	}

	if spec.Name != "talos-vmtoolsd" || spec.Container.Entrypoint != "./talos-vmtoolsd" {
		t.Errorf("service %q runs %q: the image has /usr/local/lib/containers/talos-vmtoolsd/talos-vmtoolsd", spec.Name, spec.Container.Entrypoint)
	}

	// A service that waits for anything else can hold up the boot: for the network, or for a port of QEMU on VMware.
	if want := []talos.Dependency{{Path: machineSocket}}; !reflect.DeepEqual(spec.Depends, want) {
		t.Errorf("depends on %+v, want %+v", spec.Depends, want)
	}

	// Exit 0 off VMware ends it for good, a failure starts it again.
	if spec.Restart != talos.RestartUntilSuccess {
		t.Errorf("restart %s", spec.Restart)
	}

	// Not the port of QEMU: it is not there on VMware, and Talos makes a folder of a source that is missing.
	if !hasSocket(spec) || len(spec.Container.Mounts) != 1 {
		t.Errorf("mounts %+v, want %s alone", spec.Container.Mounts, machineSocket)
	}

	if spec.Container.Security.WriteableRootfs || spec.Container.Security.WriteableSysfs {
		t.Error("asks for something writeable")
	}

	t.Logf("Talos %s takes extension/talos-vmtoolsd.yaml", repo.Version(t, repo.Machinery))
}

func TestTheOfficialServiceSpecs(t *testing.T) {
	for _, text := range []string{official, ofQemuGa(t)} {
		spec, err := services.Judge([]byte(text))
		if err != nil {
			t.Fatal(err)
		}

		// Our binary needs the socket and its own name, whatever else is there.
		if !hasSocket(spec) {
			t.Errorf("%s: no mount of %s", spec.Name, machineSocket)
		}
	}
}

// By this name alone, without an argument, the binary knows that it is the agent (src/config/cli.rs).
func TestTheOfficialSpecOfQemuGuestAgentCallsOurBinaryByItsName(t *testing.T) {
	spec, err := services.Judge([]byte(ofQemuGa(t)))
	if err != nil {
		t.Fatal(err)
	}

	if spec.Container.Entrypoint != "./qemu-ga" || len(spec.Container.Args) != 0 {
		t.Errorf("runs %q with %q", spec.Container.Entrypoint, spec.Container.Args)
	}
}

func hasSocket(spec *talos.Spec) bool {
	for _, mount := range spec.Container.Mounts {
		if mount.Source == machineSocket && mount.Destination == machineSocket && mount.Type == "bind" {
			return true
		}
	}

	return false
}

func TestABadServiceSpecIsNoticed(t *testing.T) {
	for _, mutation := range []struct{ name, from, to, want string }{
		{"no restart", "restart: untilSuccess", "", "restart"},
		{"unknown restart", "restart: untilSuccess", "restart: sometimes", "sometimes"},
		{"name", "name: talos-vmtoolsd", "name: Talos.vmtoolsd", `"Talos.vmtoolsd" is invalid`},
		{"entrypoint", "entrypoint: ./talos-vmtoolsd", `entrypoint: ""`, "can't be empty"},
		{"relative path", "- path: /system", "- path: system", "path is not absolute"},
		{"dependency without a key", "- path: " + machineSocket, "- {}", "no dependency specified"},
		{"dependency with two keys", "- path: " + machineSocket, "- {path: /run, time: true}", "more than a single dependency"},
		{"unknown network state", "- path: " + machineSocket, "- network: [wifi]", "wifi"},
		{"unknown key", "restart:", "restarts:", "restarts"},
	} {
		t.Run(mutation.name, func(t *testing.T) {
			text := strings.Replace(ours(t), mutation.from, mutation.to, 1)
			if text == ours(t) {
				t.Fatalf("nothing to change: %q", mutation.from)
			}

			_, err := services.Judge([]byte(text))
			if err == nil || !strings.Contains(err.Error(), mutation.want) {
				t.Errorf("want %q, got %v", mutation.want, err)
			}
		})
	}
}

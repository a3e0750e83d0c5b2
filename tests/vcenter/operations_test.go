package vcenter_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/simulator"
)

// What the host has of each machine, as govc sets it; SET. is the simulator's way to set what a host computes.
var machines = map[string]map[string]string{
	"DC0_H0_VM0": {
		"SET.guest.toolsRunningStatus":           "guestToolsRunning",
		"SET.guestHeartbeatStatus":               "green",
		"guestinfo.vmtools.description":          "talos-vmtoolsd 2.1.0",
		"guestinfo.vmtools.talos.stage":          "running",
		"guestinfo.vmtools.talos.ready":          "true",
		"guestinfo.vmtools.talos.version":        "v1.14.1",
		"guestinfo.vmtools.talos.machineType":    "controlplane",
		"guestinfo.vmtools.talos.unrelated.list": "a,b",
	},
	"DC0_H0_VM1": {
		"SET.guest.toolsRunningStatus":            "guestToolsRunning",
		"SET.guestHeartbeatStatus":                "green",
		"guestinfo.vmtools.description":           "talos-vmtoolsd 2.0.0",
		"guestinfo.vmtools.talos.stage":           "booting",
		"guestinfo.vmtools.talos.ready":           "false",
		"guestinfo.vmtools.talos.unmetConditions": "time,network",
	},
	// The Go daemon: tools run, no variables.
	"DC0_C0_RP0_VM0": {
		"SET.guest.toolsRunningStatus": "guestToolsRunning",
		"SET.guestHeartbeatStatus":     "green",
	},
	// Nothing runs.
	"DC0_C0_RP0_VM1": {
		"SET.guest.toolsRunningStatus": "guestToolsNotRunning",
		"SET.guestHeartbeatStatus":     "gray",
		// Left by an agent that is gone.
		"guestinfo.vmtools.description": "talos-vmtoolsd 2.0.0",
	},
}

func TestTheCommandsOfTheRollOutShowWhichNodeRunsWhat(t *testing.T) {
	run := vcenter(t)
	scripts := blocks(t, "Which of the nodes runs what")

	if len(scripts) != 6 {
		t.Fatalf("%d blocks", len(scripts))
	}

	if said := run(scripts[0]); said != "" {
		t.Errorf("collecting says %q", said)
	}

	want := []string{
		"DC0_C0_RP0_VM0\tguestToolsRunning\tgreen\tanother agent\t-\t-",
		"DC0_C0_RP0_VM1\tguestToolsNotRunning\tgray\tno agent\t-\t-",
		"DC0_H0_VM0\tguestToolsRunning\tgreen\ttalos-vmtoolsd 2.1.0\trunning\ttrue",
		"DC0_H0_VM1\tguestToolsRunning\tgreen\ttalos-vmtoolsd 2.0.0\tbooting\tfalse",
	}
	if got := sorted(run(scripts[1])); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}

	want = []string{"1 another agent", "1 no agent", "1 talos-vmtoolsd 2.0.0", "1 talos-vmtoolsd 2.1.0"}
	if got := sorted(run(scripts[2])); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}

	want = []string{"DC0_C0_RP0_VM1\tno agent", "DC0_H0_VM1\tbooting, waits for time,network"}
	if got := sorted(run(scripts[3])); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}

	if got := sorted(run(strings.ReplaceAll(scripts[4], "talos-w-1", "DC0_H0_VM1"))); !slices.Equal(got, []string{"green", "guestToolsRunning"}) {
		t.Errorf("got %q", got)
	}
}

func TestAVariableThatWasLeftIsRemoved(t *testing.T) {
	run := vcenter(t)
	scripts := blocks(t, "Which of the nodes runs what")

	run(strings.ReplaceAll(scripts[5], "talos-w-1", "DC0_H0_VM1"))
	run(scripts[0])

	want := []string{"1 no agent", "1 talos-vmtoolsd 2.1.0", "2 another agent"}
	if got := sorted(run(scripts[2])); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestACommandThatGovcDoesNotKnowFails(t *testing.T) {
	run := vcenter(t)

	defer func() {
		if recover() == nil {
			t.Error("it does not")
		}
	}()

	run("govc vm.infos")
}

// start begins to serve a vCenter of this model; its address, and a folder in which this program is govc.
func start(t *testing.T, model *simulator.Model) (string, string) {
	t.Helper()
	t.Cleanup(model.Remove)

	if err := model.Create(); err != nil {
		t.Fatal(err)
	}

	model.Service.TLS = nil
	server := model.Service.NewServer()
	t.Cleanup(server.Close)

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}

	folder := t.TempDir()
	if err := os.Symlink(self, filepath.Join(folder, "govc")); err != nil {
		t.Fatal(err)
	}

	return server.URL.String(), folder
}

// vcenter starts a simulated one and gives what runs a script with govc in its path; a script that fails panics.
func vcenter(t *testing.T) func(script string) string {
	t.Helper()

	url, folder := start(t, simulator.VPX())

	run := func(script string) string {
		command := exec.Command("bash", "-euo", "pipefail", "-c", script)
		command.Dir = folder
		command.Env = append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"), "HOME="+folder, "GOVC_URL="+url)
		command.Stderr = os.Stderr

		said, err := command.Output()
		if err != nil {
			panic(script + ": " + err.Error())
		}

		return string(said)
	}

	for name, values := range machines {
		script := "govc vm.change -vm " + name
		for key, value := range values {
			script += " -e '" + key + "=" + value + "'"
		}

		run(script)
	}

	return run
}

// sorted are the lines with the blanks in front of a count taken away.
func sorted(text string) []string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], " ")
	}

	slices.Sort(lines)

	return lines
}

// blocks are the scripts of a chapter of docs/operations.md, in order.
func blocks(t *testing.T, chapter string) []string {
	t.Helper()

	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}

	_, rest, found := strings.Cut(string(text), "\n### "+chapter+"\n")
	if !found {
		t.Fatalf("docs/operations.md has no chapter %q", chapter)
	}

	rest, _, _ = strings.Cut(rest, "\n##")

	var scripts []string
	for _, block := range strings.Split(rest, "\n```bash\n")[1:] {
		script, _, _ := strings.Cut(block, "\n```")
		scripts = append(scripts, script)
	}

	return scripts
}

package vcenter_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/simulator"
)

// What a cluster does when govc has done something, in a folder of files: `journal` is what was done, `NAME.restarts`
// how often vCenter was asked since a node began to restart, `stale` means that nodes do not notice who has gone,
// `NAME.hangs` and `NAME.refuses` are nodes that do not as they are asked.
const playVariable = "PLAYED_CLUSTER"

var planes = []string{"cp-1", "cp-2", "cp-3"}

// What a node says after each question since its restart: gone, still gone, ready and cordoned, free, and all of etcd there.
var restart = []map[string]string{
	{"ready": "false", "stage": "rebooting", "etcdMembers": "2/3"},
	{},
	{"ready": "true", "stage": "running", "cordoned": "true"},
	{"cordoned": "false"},
	{"etcdMembers": "3/3"},
}

// before is whether a node keeps govc from what it is about to do.
func before(folder string, args []string) bool {
	if folder == "" || args[0] != "vm.power" {
		return false
	}

	name := args[len(args)-1]
	note(folder, args)

	if exists(folder, name+".refuses") {
		set(name, map[string]string{"power": "refused: only 2 of 3 members of etcd are there"})

		return true
	}

	return exists(folder, name+".hangs")
}

// after is what the cluster does when govc has done this.
func after(folder string, args []string) {
	if folder == "" {
		return
	}

	name := args[len(args)-1]

	switch {
	case args[0] == "vm.change":
		note(folder, args)
	case args[0] == "vm.power" && args[1] == "-s":
		os.WriteFile(filepath.Join(folder, name+".off"), nil, 0o600)

		live := 0
		for _, plane := range planes {
			if !exists(folder, plane+".off") {
				live++
			}
		}

		for _, plane := range planes {
			if plane != name && !exists(folder, plane+".off") && !exists(folder, "stale") {
				set(plane, map[string]string{"etcdMembers": fmt.Sprintf("%d/3", live)})
			}
		}
	case args[0] == "vm.power" && args[1] == "-r":
		os.WriteFile(filepath.Join(folder, name+".restarts"), nil, 0o600)
	case args[0] == "vm.info":
		restarting, _ := filepath.Glob(filepath.Join(folder, "*.restarts"))
		for _, file := range restarting {
			goOn(folder, file)
		}
	}
}

// goOn is the next step of a node that restarts.
func goOn(folder, file string) {
	name := strings.TrimSuffix(filepath.Base(file), ".restarts")
	looks, _ := os.ReadFile(file)

	for _, node := range append([]string{name}, planes...) {
		values := map[string]string{}
		for key, value := range restart[len(looks)] {
			if strings.HasPrefix(name, "cp-") && key == "etcdMembers" || node == name && key != "etcdMembers" {
				values[key] = value
			}
		}

		set(node, values)
	}

	if len(looks)+1 < len(restart) {
		os.WriteFile(file, append(looks, '.'), 0o600)

		return
	}

	os.Remove(file)
	note(folder, []string{name, "is well"})
}

func exists(folder, name string) bool {
	_, err := os.Stat(filepath.Join(folder, name))

	return err == nil
}

func note(folder string, args []string) {
	file, err := os.OpenFile(filepath.Join(folder, "journal"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer file.Close()

	fmt.Fprintln(file, strings.Join(args, " "))
}

// set writes variables of a node by a govc that is not played.
func set(name string, values map[string]string) {
	if len(values) == 0 {
		return
	}

	args := []string{"vm.change", "-vm", name}
	for key, value := range values {
		args = append(args, "-e", "guestinfo.vmtools.talos."+key+"="+value)
	}

	command := exec.Command("govc", args...)
	command.Env = append(os.Environ(), playVariable+"=")

	if said, err := command.CombinedOutput(); err != nil {
		panic(string(said) + err.Error())
	}
}

// cluster is one of three control planes, of which cp-1 leads etcd, and two workers.
type cluster struct {
	t      *testing.T
	folder string
	env    []string
}

func newCluster(t *testing.T) cluster {
	t.Helper()

	model := simulator.VPX()
	model.Cluster, model.Machine = 0, 5
	url, folder := start(t, model)

	scripts := clusterScripts(t)
	for i, name := range []string{"nodes.bash", "shutdown-cluster", "restart-cluster"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(scripts[i]), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	t.Setenv("HOME", folder)
	t.Setenv("GOVC_URL", url)

	these := cluster{t: t, folder: folder, env: append(os.Environ(), playVariable+"="+folder, "PAUSE=0.1", "PATIENCE=60")}

	for i, name := range []string{"cp-1", "cp-2", "cp-3", "w-1", "w-2"} {
		old := fmt.Sprintf("DC0_H0_VM%d", i)
		these.govc("vm.change", "-vm", old, "-name", name, "-e", "SET.guest.toolsRunningStatus=guestToolsRunning")

		values := map[string]string{"ready": "true", "stage": "running", "cordoned": "false", "power": "idle"}
		values["machineType"], values["etcd"] = "worker", "none"

		if strings.HasPrefix(name, "cp-") {
			values["machineType"], values["etcd"], values["etcdMembers"] = "controlplane", "voter", "3/3"
		}

		if name == "cp-1" {
			values["etcd"] = "leader"
		}

		set(name, values)
	}

	return these
}

func (these cluster) govc(args ...string) {
	these.t.Helper()

	if said, err := exec.Command("govc", args...).CombinedOutput(); err != nil {
		these.t.Fatalf("%q: %s %v", args, said, err)
	}
}

// mark lays a file down that says how a node behaves.
func (these cluster) mark(name string) {
	if err := os.WriteFile(filepath.Join(these.folder, name), nil, 0o600); err != nil {
		these.t.Fatal(err)
	}
}

// run is what a script says at its end, and whether all went well.
func (these cluster) run(script string, args ...string) (string, bool) {
	command := exec.Command("bash", append([]string{filepath.Join(these.folder, script)}, args...)...)
	command.Env = these.env

	said, err := command.CombinedOutput()
	these.t.Logf("%s", said)
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")

	return lines[len(lines)-1], err == nil
}

// journal is what was done, and what nodes have said of themselves.
func (these cluster) journal() []string {
	text, err := os.ReadFile(filepath.Join(these.folder, "journal"))
	if err != nil {
		return nil
	}

	lines := strings.TrimSpace(string(text))
	lines = strings.ReplaceAll(lines, "vm.change -vm ", "")

	return strings.Split(strings.ReplaceAll(lines, "-e guestinfo.talos-vmtoolsd.", ""), "\n")
}

func (these cluster) did(want ...string) {
	these.t.Helper()

	if got := these.journal(); !slices.Equal(got, want) {
		these.t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestAClusterIsShutDownWorkersFirstAndTheLeaderLast(t *testing.T) {
	these := newCluster(t)

	these.isShutDownInOrder()
}

func TestTheOrderIsTheSameWhileNodesCountThoseThatHaveJustGone(t *testing.T) {
	these := newCluster(t)
	these.mark("stale")
	these.isShutDownInOrder()
}

func (these cluster) isShutDownInOrder() {
	these.t.Helper()

	said, ok := these.run("shutdown-cluster", "cp-1", "w-1", "cp-2", "cp-3", "w-2")
	if !ok || said != "all are off" {
		these.t.Error(said)
	}

	these.did(
		"vm.power -s w-1", "vm.power -s w-2",
		"vm.power -s cp-2",
		"cp-3 shutdown=force", "vm.power -s cp-3", "cp-3 shutdown=",
		"cp-1 shutdown=force", "vm.power -s cp-1", "cp-1 shutdown=",
	)
}

func TestAShutDownGoesOnWithWhatIsStillOn(t *testing.T) {
	these := newCluster(t)
	these.mark("cp-3.hangs")
	these.env = append(these.env, "PATIENCE=1")
	all := []string{"cp-1", "cp-2", "cp-3", "w-1", "w-2"}

	said, ok := these.run("shutdown-cluster", all...)
	if ok || !strings.HasPrefix(said, "shutdown-cluster: cp-3 is not off after 1 s: stage running, ready true, power idle") {
		t.Error(said)
	}

	if did := these.journal(); did[len(did)-1] != "cp-3 shutdown=" {
		t.Errorf("what was set is taken back: %q", did)
	}

	os.Remove(filepath.Join(these.folder, "cp-3.hangs"))
	os.Remove(filepath.Join(these.folder, "journal"))

	if said, ok := these.run("shutdown-cluster", all...); !ok || said != "all are off" {
		t.Error(said)
	}

	these.did(
		"cp-3 shutdown=force", "vm.power -s cp-3", "cp-3 shutdown=",
		"cp-1 shutdown=force", "vm.power -s cp-1", "cp-1 shutdown=",
	)
}

func TestARefusalEndsTheScriptWithItsReason(t *testing.T) {
	these := newCluster(t)
	these.mark("w-1.refuses")

	said, ok := these.run("shutdown-cluster", "cp-1", "cp-2", "cp-3", "w-1")
	if ok || said != "shutdown-cluster: w-1 refused: only 2 of 3 members of etcd are there" {
		t.Error(said)
	}

	these.did("vm.power -s w-1")
}

func TestNothingIsDoneToAClusterThatIsNotNamedWhole(t *testing.T) {
	for _, node := range []struct{ names, says string }{
		{"", "name the virtual machines of the cluster"},
		{"cp-1 cp-2 w-1", "etcd has 3 voters, and only 2 control planes are named"},
		{"cp-1 cp-2 cp-3 w-9", "there is no virtual machine w-9"},
		{"cp-1 cp-2 cp-3 w-2", "w-2 does not say what it is: no agent runs there, or Talos has no config"},
	} {
		these := newCluster(t)
		these.govc("vm.change", "-vm", "w-2", "-e", "guestinfo.vmtools.talos.machineType=")

		said, ok := these.run("shutdown-cluster", strings.Fields(node.names)...)
		if ok || said != "shutdown-cluster: "+node.says {
			t.Error(said)
		}

		these.did()
	}
}

func TestAClusterIsRestartedNodeByNode(t *testing.T) {
	these := newCluster(t)

	said, ok := these.run("restart-cluster", "cp-1", "w-1", "cp-2", "cp-3", "w-2")
	if !ok || said != "all have restarted" {
		t.Error(said)
	}

	these.did(
		"vm.power -r w-1", "w-1 is well", "vm.power -r w-2", "w-2 is well",
		"vm.power -r cp-2", "cp-2 is well", "vm.power -r cp-3", "cp-3 is well", "vm.power -r cp-1", "cp-1 is well",
	)
}

func TestNoOtherNodeIsRestartedWhileOneIsNotWell(t *testing.T) {
	these := newCluster(t)
	these.env = append(these.env, "PATIENCE=1")
	set("cp-2", map[string]string{"etcdMembers": "2/3"})

	said, ok := these.run("restart-cluster", "cp-1", "cp-2", "cp-3", "w-1")
	if ok || !strings.HasPrefix(said, "restart-cluster: cp-2 is not well after 1 s: ") ||
		!strings.Contains(said, "etcdMembers 2/3") {
		t.Error(said)
	}

	these.did()

	set("cp-2", map[string]string{"etcdMembers": "3/3"})
	these.mark("w-1.hangs")

	said, ok = these.run("restart-cluster", "cp-1", "cp-2", "cp-3", "w-1")
	if ok || !strings.HasPrefix(said, "restart-cluster: w-1 is not on its way after 1 s: ") {
		t.Error(said)
	}

	these.did("vm.power -r w-1")
}

// clusterScripts are those of docs/guest-variables.md: what both share, the one that shuts down, the one that restarts.
func clusterScripts(t *testing.T) []string {
	t.Helper()

	text, err := os.ReadFile("../../docs/guest-variables.md")
	if err != nil {
		t.Fatal(err)
	}

	_, rest, _ := strings.Cut(string(text), "\n## A whole cluster\n")
	rest, _, _ = strings.Cut(rest, "\n## ")

	var scripts []string
	for _, block := range strings.Split(rest, "\n```bash\n")[1:] {
		script, _, _ := strings.Cut(block, "\n```")
		scripts = append(scripts, script+"\n")
	}

	if len(scripts) != 3 {
		t.Fatalf("%d scripts", len(scripts))
	}

	return scripts
}

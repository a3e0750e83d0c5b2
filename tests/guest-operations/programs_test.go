package guestoperations_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"talos-vmtoolsd/guest-operations/vmx"
)

// wait asks for a program until it has ended, as clients do.
func wait(t *testing.T, ops vmx.Operator, pid int64) vmx.Process {
	t.Helper()

	for end := time.Now().Add(soon); time.Now().Before(end); time.Sleep(poll) {
		processes, err := ops.Processes(pid)
		if err != nil {
			t.Fatal(err)
		}

		if len(processes) != 1 || processes[0].PID != pid {
			t.Fatalf("%d: %+v", pid, processes)
		}

		if processes[0].End != 0 {
			return processes[0]
		}
	}

	t.Fatalf("program %d does not end", pid)

	return vmx.Process{}
}

const (
	// soon is far more than anything takes here.
	soon = 30 * time.Second
	// poll is how often is asked for what a client can only ask for.
	poll = 50 * time.Millisecond
)

// outcome is what a program wrote, read as toolbox' clients do, and how it ended.
type outcome struct {
	out, err string
	code     int32
}

// run runs a program to its end.
func run(t *testing.T, ops vmx.Operator, path, arguments string) outcome {
	t.Helper()

	pid, err := ops.Start(path, arguments, "")
	if err != nil {
		t.Fatalf("%s %s: %v", path, arguments, err)
	}

	ended := wait(t, ops, pid)

	return outcome{string(output(t, ops, pid, "stdout")), string(output(t, ops, pid, "stderr")), ended.Code}
}

// output is a file of a program, asked for again while it is not there.
func output(t *testing.T, ops vmx.Operator, pid int64, name string) []byte {
	t.Helper()

	path := fmt.Sprintf("/proc/%d/%s", pid, name)

	for end := time.Now().Add(soon); ; {
		_, err := ops.FromGuest(path)
		if err == nil {
			data, err := ops.Fetch(path)
			wants(t, path, err, nil)

			return data
		}

		if !errors.Is(err, noAccessYet) || time.Now().After(end) {
			t.Fatalf("%s: %v", path, err)
		}
	}
}

func TestProgramsAreFunctionsOfTheAgent(t *testing.T) {
	ops := as(agent(t), user)

	for _, path := range []string{"talosctl", "/bin/talosctl", "/usr/bin/talosctl", "/usr/local/bin/talosctl"} {
		got := run(t, ops, path, "get hostname -o yaml")
		if got.code != 0 || got.err != "" || !strings.Contains(got.out, "talos-cp-1") {
			t.Errorf("%s: %+v", path, got)
		}
	}

	for _, arguments := range []string{
		"help", "version", "dmesg", "logs machined", "logs machined --tail 3", "services", "processes", "get hostname",
		"list /talos", "read /talos/README.txt", "get nodeaddress -o yaml",
	} {
		if got := run(t, ops, "talosctl", arguments); got.code != 0 || got.err != "" || got.out == "" {
			t.Errorf("talosctl %s: %+v", arguments, got)
		}
	}

	if got := run(t, ops, "talos-vmtoolsd", "check"); got.out == "" {
		t.Errorf("%+v", got)
	}

	for _, arguments := range []string{"reboot", "get nothing", "logs nothing", "upgrade --image x", "read /etc/shadow", "--nodes 1.2.3.4 version"} {
		if got := run(t, ops, "talosctl", arguments); got.code == 0 || got.err == "" {
			t.Errorf("talosctl %s: %+v", arguments, got)
		}
	}

	for _, path := range []string{"/usr/bin/python3", "/sbin/talosctl", "/tmp/talosctl", "cat", "/bin/rm"} {
		_, err := ops.Start(path, "", "")
		wants(t, path, err, fileNotFound)
	}
}

func TestAShellRunsOneSimpleCommand(t *testing.T) {
	ops := as(agent(t), user)

	for _, command := range []string{
		"-c 'talosctl get hostname'",
		`-c "talosctl get hostname"`,
		`-c 'talosctl get "hostname"'`,
		`-c '/usr/bin/talosctl get hostname 2>&1'`,
		"-c 'talosctl get hostname' 2> /dev/null",
	} {
		for _, shell := range []string{"/bin/sh", "/bin/bash", "bash"} {
			if got := run(t, ops, shell, command); got.code != 0 || got.err != "" || !strings.Contains(got.out, "HostnameStatus") {
				t.Errorf("%s %s: %+v", shell, command, got)
			}
		}
	}

	for _, command := range []string{
		"-c 'talosctl version; talosctl version'",
		"-c 'talosctl version && reboot'",
		"-c 'talosctl version | cat'",
		"-c 'talosctl $(hostname)'",
		"-c 'talosctl `hostname`'",
		"-c 'talosctl version &'",
		"-c 'X=1 talosctl version'",
		"-c 'talosctl version > /etc/passwd'",
		"-c 'talosctl version < /etc/passwd'",
		"-c 'talosctl version",
		"-c 'reboot'",
		"-c ''",
		"-c 'talosctl version\nreboot'",
		"talosctl version",
		"",
	} {
		if got := run(t, ops, "/bin/sh", command); got.code == 0 || got.err == "" {
			t.Errorf("sh %q: %+v", command, got)
		}
	}
}

func TestAProgramThatFollowsALogIsEnded(t *testing.T) {
	ops := as(agent(t), user)

	pid, err := ops.Start("talosctl", "dmesg -f", "")
	wants(t, "start", err, nil)

	// As long as it runs, its output is asked for again.
	_, err = ops.FromGuest(fmt.Sprintf("/proc/%d/stdout", pid))
	wants(t, "the output of a running one", err, noAccessYet)

	// Another user neither sees nor ends it.
	other := as(ops.Guest, relay)
	wants(t, "end another's", errorOf(other.Terminate(pid), permission, noSuchProcess), nil)

	_, err = other.FromGuest(fmt.Sprintf("/proc/%d/stdout", pid))
	if err == nil {
		t.Error("another user reads it")
	}

	wants(t, "end", ops.Terminate(pid), nil)

	if ended := wait(t, ops, pid); ended.Code == 0 {
		t.Errorf("%+v", ended)
	}
}

func TestTemporaryFilesAreTheirOwners(t *testing.T) {
	ops, other := as(agent(t), user), vmx.Operator{}
	other = as(ops.Guest, relay)

	path, err := ops.TemporaryFile("pre-", "-suf", "")
	wants(t, "a temporary file", err, nil)

	if !strings.HasPrefix(path, "/tmp/pre-vmware") || !strings.HasSuffix(path, "-suf") {
		t.Errorf("%q", path)
	}

	second, err := ops.TemporaryFile("pre-", "-suf", "/tmp")
	wants(t, "another", err, nil)

	if second == path {
		t.Errorf("%q twice", path)
	}

	pid, err := ops.Start("talosctl", "get hostname -o yaml 1> "+path+" 2> "+second, "")
	wants(t, "start", err, nil)
	wait(t, ops, pid)

	data, err := ops.Fetch(path)
	wants(t, "fetch", err, nil)

	if !strings.Contains(string(data), "talos-cp-1") {
		t.Errorf("%q", data)
	}

	file, err := ops.FromGuest(path)
	wants(t, "ask", err, nil)

	if file.Size != int64(len(data)) {
		t.Errorf("%+v of %d", file, len(data))
	}

	if _, err := other.FromGuest(path); err == nil {
		t.Error("another user reads it")
	}

	if err := other.DeleteFile(path); err == nil {
		t.Error("another user deletes it")
	}

	_, err = ops.TemporaryFile("a", "b", "/var")
	if err == nil {
		t.Error("it can be elsewhere")
	}

	for _, prefix := range []string{"../", "a/b", ".."} {
		made, err := ops.TemporaryFile(prefix, "", "")
		if err == nil && (strings.Count(made, "/") != 2 || !strings.HasPrefix(made, "/tmp/")) {
			t.Errorf("%q makes %q", prefix, made)
		}
	}

	wants(t, "delete", ops.DeleteFile(path), nil)
	wants(t, "delete the other", ops.DeleteFile(second), nil)
	wants(t, "delete again", errorOf(ops.DeleteFile(path), fileNotFound, disabled), nil)

	made := 0

	for ; made < 1000; made++ {
		if _, err := ops.TemporaryFile("", "", ""); err != nil {
			break
		}
	}

	if made < 16 || made > 256 {
		t.Errorf("%d temporary files", made)
	}
}

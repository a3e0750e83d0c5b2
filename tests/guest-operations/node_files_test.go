package guestoperations_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"talos-vmtoolsd/guest-operations/vmx"
)

const auditLog = "/var/log/audit/kube/kube-apiserver.log"

func TestFilesOfTheNodeAreThoseOfTheConfigurationAndWhatLeadsThere(t *testing.T) {
	guest := agentWith(t, configuration()+"  node_files: [/var/log, /proc/meminfo, /etc/hostname]\n")
	control(t, guest, "talos lets-read")

	ops := as(guest, user)

	for folder, want := range map[string][]string{
		"/var":  {"log"},
		"/etc":  {"hostname"},
		"/proc": {"meminfo"},
	} {
		list, _, err := ops.List(folder, `^[^.]`, 0, 100)
		wants(t, "list "+folder, err, nil)

		var names []string
		for _, file := range list {
			names = append(names, file.Name)
		}

		if !slices.Equal(names, want) {
			t.Errorf("%s has %q", folder, names)
		}
	}

	for _, path := range []string{auditLog, "/etc/hostname"} {
		file, err := ops.FromGuest(path)
		wants(t, "ask for "+path, err, nil)

		if data := fetched(t, ops, path); int64(len(data)) != file.Size || data == "" {
			t.Errorf("%s: %d bytes of %d", path, len(data), file.Size)
		}
	}

	// The kernel says that it is empty.
	if data := fetched(t, ops, "/proc/meminfo"); data == "" {
		t.Error("/proc/meminfo is empty")
	}

	for _, path := range []string{
		"/etc/os-release", "/etc/hostname/x", "/var/log/../../etc/os-release", "/var/log/containers/coredns.log", "/var/log/dangling", "/dev/null",
	} {
		if file, err := ops.FromGuest(path); err == nil {
			t.Errorf("%s: %+v", path, file)
		}

		if data, err := ops.Fetch(path); err == nil {
			t.Errorf("%s: %q", path, data)
		}
	}

	// A link in a folder stays one: where it leads is not looked at.
	result := operate(t, guest).run("guest.download", "/var/log/?format=tgz&prefix=log%2F", "-")

	files := archive(t, []byte(result.out))
	if _, ok := files["log/audit/kube/kube-apiserver.log"]; !ok || len(files["log/containers/coredns.log"]) != 0 {
		t.Errorf("%v %+v", slices.Sorted(maps.Keys(files)), result.err)
	}
}

func TestFilesOfTheNodeThatTalosRefusesAreRefused(t *testing.T) {
	guest := agentWith(t, configuration()+"  node_files: [/var/log]\n")

	_, err := as(guest, user).FromGuest(auditLog)
	wants(t, "ask", err, noAccessYet)

	// Another user does not even get that far.
	_, err = vmx.Operator{Guest: guest, Credential: vmx.NamePassword(narrow, password)}.FromGuest(auditLog)
	wants(t, "ask without the right", err, permission)

	if calls := control(t, guest, "calls"); strings.Count(calls, "/machine.MachineService/Read ") != 1 {
		t.Errorf("%s", calls)
	}
}

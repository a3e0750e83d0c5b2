package guestoperations_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// refused runs a command that has to fail with this fault.
func (g govc) refused(fault string, arguments ...string) {
	g.t.Helper()

	result := g.run(arguments...)
	if result.code == 0 || !strings.Contains(result.err, fault) {
		g.t.Errorf("govc %q: %+v, not %s", arguments, result, fault)
	}
}

// archive are the files of a tar stream, gzip'd or not, by name.
func archive(t *testing.T, data []byte) map[string][]byte {
	t.Helper()

	var stream io.Reader = bytes.NewReader(data)

	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(stream)
		if err != nil {
			t.Fatal(err)
		}

		unzipped.Multistream(false)

		stream = unzipped
	}

	files := map[string][]byte{}

	for entries := tar.NewReader(stream); ; {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return files
		}

		if err != nil {
			t.Fatalf("%v after %v", err, slices.Collect(maps.Keys(files)))
		}

		content, err := io.ReadAll(entries)
		if err != nil {
			t.Fatal(err)
		}

		files[header.Name] = content
	}
}

func TestAnOperatorLooksAtANodeWithGovc(t *testing.T) {
	govc := operate(t, agent(t))

	if out := govc.does("guest.ls", "/talos"); !strings.Contains(out, "README.txt\n") || !strings.Contains(out, "dr-x") {
		t.Errorf("%q", out)
	}

	if out := govc.does("guest.ls", "-s", "/talos/services"); !strings.Contains(out, "apid.log") {
		t.Errorf("%q", out)
	}

	if out := govc.does("guest.ps", "-e"); strings.Count(out, "\n") < 2 {
		t.Errorf("%q", out)
	}

	if out := govc.does("guest.getenv"); !strings.Contains(out, "HOSTNAME=talos-cp-1.example.com\n") || !strings.Contains(out, "TALOS_VERSION=v1.") {
		t.Errorf("%q", out)
	}

	if out := govc.does("guest.getenv", "HOSTNAME"); out != "HOSTNAME=talos-cp-1.example.com\n" {
		t.Errorf("%q", out)
	}

	if out := govc.does("guest.download", "/talos/README.txt", "-"); !strings.Contains(out, "talos") {
		t.Errorf("%q", out)
	}

	log := govc.does("guest.download", "/talos/services/apid.log", "-")
	if log == "" {
		t.Error("the log is empty")
	}

	dmesg := govc.does("guest.download", "/talos/dmesg.log", "-")
	if out := govc.does("guest.run", "talosctl", "dmesg"); out == "" || !strings.HasPrefix(out, dmesg[:min(len(dmesg), len(out))]) {
		t.Errorf("the kernel says %.200q, its file %.200q", out, dmesg)
	}

	hostname := govc.does("guest.run", "/usr/bin/talosctl", "get", "hostname", "-o", "yaml")
	if !strings.Contains(hostname, "talos-cp-1") {
		t.Errorf("%q", hostname)
	}

	if out := govc.does("guest.run", "talosctl", "get", "hostname", "-o", "yaml"); out != hostname {
		t.Errorf("%q by the shell, %q without", out, hostname)
	}

	if result := govc.run("guest.run", "talosctl", "reboot"); result.code == 0 || result.err == "" || result.out != "" {
		t.Errorf("%+v", result)
	}

	if out := govc.does("guest.run", "talos-vmtoolsd", "check"); out == "" {
		t.Error("the check says nothing")
	}
}

func TestAnOperatorTakesArchivesWithGovc(t *testing.T) {
	govc := operate(t, agent(t))

	govc.does("guest.download", "/talos/support.tgz", "support.tgz")

	data, err := os.ReadFile(filepath.Join(govc.folder, "support.tgz"))
	if err != nil {
		t.Fatal(err)
	}

	support := archive(t, data)

	has := func(ending string) bool {
		for name, content := range support {
			if strings.HasSuffix(name, ending) && len(content) > 0 {
				return true
			}
		}

		return false
	}
	for _, ending := range []string{"README.txt", "dmesg.log", "check.json", "services/apid.log", ".yaml"} {
		if !has(ending) {
			t.Errorf("there is no %s in %v", ending, slices.Sorted(maps.Keys(support)))
		}
	}

	log := govc.does("guest.download", "/talos/services/apid.log", "-")

	for path, name := range map[string]string{
		"/talos/services/":                                 "apid.log",
		"/talos/services?format=tgz":                       "apid.log",
		"/talos/services?format=tar":                       "apid.log",
		"/archive:/talos/services":                         "apid.log",
		"/archive:/talos/services?format=tgz":              "apid.log",
		"/talos/services/?format=tgz&prefix=talos-cp-1%2F": "talos-cp-1/apid.log",
	} {
		// The client of the archive forms that have no slash does not look for the trailer.
		result := govc.run("guest.download", path, "-")

		files := archive(t, []byte(result.out))
		if content, ok := files[name]; !ok || !strings.HasPrefix(string(content), log[:min(len(log), len(content))]) {
			t.Errorf("%s: %v", path, slices.Sorted(maps.Keys(files)))
		}
	}

	govc.refused("NotAFile", "guest.download", "/talos/services", "-")
	govc.refused("FileNotFound", "guest.download", "/talos/nothing", "-")
	govc.refused("", "guest.download", "/talos/services?format=zip", "-")
}

func TestAnOperatorStartsAndEndsProgramsWithGovc(t *testing.T) {
	govc := operate(t, agent(t))

	pid := strings.TrimSpace(govc.does("guest.start", "talosctl", "dmesg", "-f"))

	if out := govc.does("guest.ps"); !strings.Contains(out, pid) || !strings.Contains(out, "talosctl dmesg -f") {
		t.Errorf("%q", out)
	}

	govc.does("guest.kill", "-p", pid)

	if out := govc.does("guest.ps", "-X", "-x", "-p", pid); !strings.Contains(out, pid) {
		t.Errorf("%q", out)
	}

	path := strings.TrimSpace(govc.does("guest.mktemp", "-t", "mine-"))

	if out := govc.does("guest.ls", "-s", "/tmp"); !strings.Contains(out, filepath.Base(path)) {
		t.Errorf("%q is not in %q", path, out)
	}

	govc.does("guest.rm", path)

	if out := govc.does("guest.ls", "-s", "/tmp"); strings.Contains(out, filepath.Base(path)) {
		t.Errorf("%q is in %q", path, out)
	}

	govc.refused("FileNotFound", "guest.start", "/usr/bin/python3")
}

func TestAnOperatorChangesNothingOfANodeWithGovc(t *testing.T) {
	govc := operate(t, agent(t))

	if err := os.WriteFile(filepath.Join(govc.folder, "file"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}

	for _, arguments := range [][]string{
		{"guest.upload", "file", "/tmp/file"},
		{"guest.upload", "-f", "file", "/talos/README.txt"},
		{"guest.mkdir", "/tmp/folder"},
		{"guest.mktemp", "-d"},
		{"guest.rm", "/talos/README.txt"},
		{"guest.rmdir", "/talos"},
		{"guest.mv", "/talos/README.txt", "/tmp/file"},
		{"guest.chmod", "0777", "/talos/README.txt"},
		{"guest.touch", "/talos/README.txt"},
		{"guest.chown", "0", "/talos/README.txt"},
	} {
		govc.refused("OperationDisabledByGuest", arguments...)
	}
}

func TestAnOperatorIsToldWhyNot(t *testing.T) {
	guest := agent(t)
	govc := operate(t, guest)

	for _, arguments := range [][]string{
		{"guest.ps"}, {"guest.ls", "/talos"}, {"guest.getenv"}, {"guest.run", "talosctl", "version"}, {"guest.download", "/talos/README.txt", "-"},
	} {
		govc.as(user, "wrong").refused("InvalidGuestLogin", arguments...)
	}

	govc.as("nobody", password).refused("InvalidGuestLogin", "guest.ps")
	govc.as(narrow, password).does("guest.getenv")
	govc.as(narrow, password).refused("GuestPermissionDenied", "guest.ls", "/talos")
	govc.as(narrow, password).refused("GuestPermissionDenied", "guest.start", "talosctl", "version")
	govc.as(narrow, password).refused("GuestPermissionDenied", "guest.download", "/talos/README.txt", "-")

	// What is switched off is so at once, and a password that is another one now is worth nothing.
	reconfigure(t, guest, strings.ReplaceAll(configuration(), "enabled: true", "enabled: false"))
	govc.refused("OperationDisabledByGuest", "guest.ps")

	reconfigure(t, guest, "guest_operations:\n  enabled: true\n  users:\n    - name: ops\n      password_hash: "+anotherHash+"\n")
	govc.refused("InvalidGuestLogin", "guest.ps")
	govc.as(user, another).does("guest.ps")

	// One with a mistake in it leaves everything as it was.
	reconfigure(t, guest, "guest_operations:\n  enabled: true\n")
	govc.as(user, another).does("guest.ps")
}

func TestWhileTalosIsAwayAnOperatorIsAnsweredInTime(t *testing.T) {
	guest := agent(t)
	govc := operate(t, guest)

	for _, fault := range []string{"hang", "stop"} {
		control(t, guest, "talos "+fault)

		for _, arguments := range [][]string{
			{"guest.ps", "-e"}, {"guest.download", "/talos/dmesg.log", "-"}, {"guest.ls", "/talos/services"},
		} {
			result := govc.run(arguments...)
			if result.code == 0 || !strings.Contains(result.err, "CannotAccessFile") && !strings.Contains(result.err, "vix error codes = (5, 0)") &&
				!strings.Contains(result.err, "FileFault") {
				t.Errorf("%s: govc %q: %+v", fault, arguments, result)
			}
		}

		// What needs no Talos goes on.
		govc.does("guest.getenv", "HOSTNAME")
		govc.does("guest.download", "/talos/README.txt", "-")

		if result := govc.run("guest.run", "talosctl", "version"); result.code == 0 || result.err == "" {
			t.Errorf("%s: %+v", fault, result)
		}

		control(t, guest, map[string]string{"hang": "talos resume", "stop": "talos restart"}[fault])
		until(t, "the processes", func() bool { return govc.run("guest.ps", "-e").code == 0 })
	}

	control(t, guest, "green")

	// Pings wait behind an operation, but not for long.
	if silence, err := strconv.Atoi(control(t, guest, "silence")); err != nil || silence > 5000 {
		t.Errorf("no sign of life for %d ms (%v)", silence, err)
	}
}

package guestoperations_test

import (
	"os"
	"strings"
	"testing"

	"github.com/vmware/govmomi/toolbox/vix"
)

func TestVmtoolsdTakesWhatIsUploaded(t *testing.T) {
	ops := as(vmtoolsd(t), user)

	path, err := ops.TemporaryFile("govmomi-", ".txt", "")
	wants(t, "a temporary file", err, nil)
	wants(t, "ask to write", ops.ToGuest(path, true), nil)
	wants(t, "write", ops.Upload(path, strings.NewReader(strings.Repeat("x", 150_000))), nil)

	if said := fetched(t, ops, path); len(said) != 150_000 {
		t.Errorf("%d bytes", len(said))
	}

	wants(t, "ask to write a new one", ops.ToGuest(path, false), vix.Error(vix.FileAlreadyExists))
	wants(t, "delete", ops.DeleteFile(path), nil)
	wants(t, "delete again", ops.DeleteFile(path), fileNotFound)
}

// govc works with Debian's vmtoolsd through our vCenter, so that neither is more lenient than what exists.
func TestGovcWorksWithVmtoolsd(t *testing.T) {
	guest := vmtoolsd(t)
	govc := operate(t, guest)

	path := strings.TrimSpace(govc.does("guest.mktemp", "-t", "x"))
	if !strings.Contains(path, "vmware") {
		t.Errorf("%q", path)
	}

	if out := govc.does("guest.run", "echo", "hello"); out != "hello\n" {
		t.Errorf("%q", out)
	}

	if out := govc.does("guest.run", "/bin/echo", "hello", "world"); out != "hello world\n" {
		t.Errorf("%q", out)
	}

	if result := govc.run("guest.run", "/bin/false"); result.code != 1 {
		t.Errorf("%+v", result)
	}

	if out := govc.does("guest.run", "-d", "some input", "cat"); out != "some input" {
		t.Errorf("%q", out)
	}

	hosts, err := os.ReadFile("/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}

	if out := govc.does("guest.download", "/etc/hosts", "-"); out != string(hosts) {
		t.Errorf("%q", out)
	}

	if out := govc.does("guest.getenv", "HOME"); out != "HOME=/tmp\n" {
		t.Errorf("%q", out)
	}

	if out := govc.does("guest.ls", "/etc/pam.d", "^vmtoolsd$"); !strings.HasSuffix(out, "vmtoolsd\n") || strings.Count(out, "\n") != 1 {
		t.Errorf("%q", out)
	}

	if out := govc.does("guest.ps"); !strings.Contains(out, user) {
		t.Errorf("%q", out)
	}

	if result := govc.as(user, "wrong").run("guest.ps"); !strings.Contains(result.err, "InvalidGuestLogin") && !strings.Contains(result.err, "Failed to authenticate") {
		t.Errorf("%+v", result)
	}

	govc.does("guest.rm", path)
}

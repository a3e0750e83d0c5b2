package guestoperations_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/toolbox/vix"

	"talos-vmtoolsd/guest-operations/vmx"
)

// Debian's vmtoolsd is asked what our agent is asked, so that what asks is what a guest expects.
func TestVmtoolsdAnswersWhatTheEncodersAsk(t *testing.T) {
	guest := vmtoolsd(t)
	ops := as(guest, user)

	properties, err := vmx.ToolsState(guest)
	wants(t, "the state of the tools", err, nil)

	for id := int32(4540); id <= 4557; id++ {
		if _, ok := properties[id].(bool); !ok {
			t.Errorf("property %d is %v", id, properties[id])
		}
	}

	wants(t, "validate", ops.Validate(), nil)
	wants(t, "validate a wrong password", vmx.Operator{Guest: guest, Credential: vmx.NamePassword(user, "wrong")}.Validate(), vix.Error(3050))
	wants(t, "validate no credentials", vmx.Operator{Guest: guest}.Validate(), vix.Error(6))

	path, err := ops.TemporaryFile("govmomi-", ".txt", "")
	wants(t, "a temporary file", err, nil)

	pid, err := ops.Start("/bin/sh", "-c 'echo hello' 1> "+path, "")
	wants(t, "start", err, nil)

	ended := wait(t, ops, pid)
	if ended.Code != 0 || ended.User != user {
		t.Errorf("%+v", ended)
	}

	said, err := ops.Fetch(path)
	wants(t, "fetch", err, nil)

	if string(said) != "hello\n" {
		t.Errorf("%q", said)
	}

	file, err := ops.FromGuest(path)
	wants(t, "from the guest", err, nil)

	if file.Name != path || file.Size != 6 {
		t.Errorf("%+v", file)
	}

	wants(t, "upload", ops.Upload(path, strings.NewReader(strings.Repeat("x", 150_000))), nil)

	said, err = ops.Fetch(path)
	wants(t, "fetch", err, nil)

	if len(said) != 150_000 {
		t.Errorf("%d bytes", len(said))
	}

	wants(t, "delete", ops.DeleteFile(path), nil)
	wants(t, "delete again", ops.DeleteFile(path), vix.Error(vix.FileNotFound))

	files, rest, err := ops.List("/etc", `^(hosts|passwd)$`, 0, 50)
	wants(t, "list", err, nil)

	if len(files) != 2 || rest != 0 || files[0].IsFolder() {
		t.Errorf("%+v %d", files, rest)
	}

	variables, err := ops.Environment("HOME", "NO_SUCH_VARIABLE")
	wants(t, "environment", err, nil)

	if !slices.Equal(variables, []string{"HOME=/tmp"}) {
		t.Errorf("%q", variables)
	}

	_, err = ops.Start("/no/such/program", "", "")
	wants(t, "no such program", err, vix.Error(vix.FileNotFound))
	wants(t, "terminate nothing", ops.Terminate(1<<22), vix.Error(vix.NoSuchProcess))

	_, err = ops.Fetch("/no/such/file")
	wants(t, "fetch nothing", err, vmx.Status(1))

	_ = os.Remove(path)
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

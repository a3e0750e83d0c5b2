package guestoperations_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/vmware/govmomi/cli"
	_ "github.com/vmware/govmomi/cli/vm/guest"

	"talos-vmtoolsd/guest-operations/vcenter"
	"talos-vmtoolsd/guest-operations/vmx"
)

// The test binary is govc as well, by the name that it is called by.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "govc" {
		os.Exit(cli.Run(os.Args[1:]))
	}

	os.Exit(m.Run())
}

// A govc runs govc's own commands against a vCenter, as a user of the guest.
type govc struct {
	t      *testing.T
	path   string
	folder string
	env    []string
}

// said is what a command wrote, and its exit code.
type said struct {
	out, err string
	code     int
}

func operate(t *testing.T, guest vmx.Guest) govc {
	t.Helper()

	server, err := vcenter.New(guest)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(server.Close)

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}

	folder := t.TempDir()
	path := filepath.Join(folder, "govc")

	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}

	return govc{t, path, folder, append(os.Environ(),
		"HOME="+folder,
		"GOVC_URL="+server.URL.String(),
		"GOVC_INSECURE=1",
		"GOVC_VM="+vcenter.VM,
	)}.as(user, password)
}

// as is the same with another user of the guest.
func (g govc) as(name, password string) govc {
	g.env = append(g.env[:len(g.env):len(g.env)], "GOVC_GUEST_LOGIN="+name+":"+password)

	return g
}

// run runs a command, whatever comes of it.
func (g govc) run(arguments ...string) said {
	g.t.Helper()

	command := exec.Command(g.path, arguments...)
	command.Dir, command.Env = g.folder, g.env

	var out, stderr bytes.Buffer

	command.Stdout, command.Stderr = &out, &stderr

	err := command.Run()

	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		g.t.Fatal(err)
	}

	return said{out.String(), stderr.String(), command.ProcessState.ExitCode()}
}

// does runs a command that has to succeed, and gives its output.
func (g govc) does(arguments ...string) string {
	g.t.Helper()

	result := g.run(arguments...)
	if result.code != 0 || result.err != "" {
		g.t.Errorf("govc %q: %+v", arguments, result)
	}

	return result.out
}

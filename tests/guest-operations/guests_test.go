package guestoperations_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	guestoperations "talos-vmtoolsd/guest-operations"
	"talos-vmtoolsd/guest-operations/vmx"
)

// A user of the guests, with the password as SHA-512 crypt.
const (
	user     = "ops"
	password = "s3cret %'\"& password"
)

// shadow is what PAM and our configuration check the password with; made anew for each run.
func shadow(t *testing.T, password string) string {
	t.Helper()

	command := exec.Command("openssl", "passwd", "-6", "-stdin")
	command.Stdin = strings.NewReader(password)

	hash, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}

	return strings.TrimSpace(string(hash))
}

// variable is what the environment has of this name; run.sh sets it.
func variable(t *testing.T, name string) string {
	t.Helper()

	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set; run make guest-operations", name)
	}

	return value
}

// start starts a guest, which has to keep the protocol to its end.
func start(t *testing.T, arguments ...string) *guestoperations.Bridge {
	t.Helper()

	bridge, err := guestoperations.Start(variable(t, "BRIDGE"), arguments...)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		violations, err := bridge.Control("violations")
		if err != nil || violations != "" {
			t.Errorf("violations: %s %v", violations, err)
		}

		if t.Failed() {
			log, _ := bridge.Control("log")
			t.Log(log)
		}

		if err := bridge.Close(); err != nil {
			t.Error(err)
		}
	})

	return bridge
}

func write(t *testing.T, folder, name, text string) {
	t.Helper()

	if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// vmtoolsd is Debian's, which has this user.
func vmtoolsd(t *testing.T) *guestoperations.Bridge {
	t.Helper()

	folder := t.TempDir()

	for name, line := range map[string]string{
		"passwd": user + ":x:60123:60123::/tmp:/bin/sh\n",
		"shadow": user + ":" + shadow(t, password) + ":19000:0:99999:7:::\n",
	} {
		text, err := os.ReadFile(filepath.Join("/etc", name))
		if err != nil {
			t.Fatal(err)
		}

		write(t, folder, name, string(text)+line)
	}

	return start(t, "vmtoolsd", folder)
}

func operator(guest vmx.Guest) vmx.Operator {
	return vmx.Operator{Guest: guest, Credential: vmx.NamePassword(user, password)}
}

// wants fails the test when an error is not the one that is wanted; nil is wanted where all shall be well.
func wants(t *testing.T, what string, got, want error) {
	t.Helper()

	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

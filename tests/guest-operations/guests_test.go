package guestoperations_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	guestoperations "talos-vmtoolsd/guest-operations"
)

// A user of the guests, with the password as SHA-512 crypt has it, which PAM and our configuration check it with.
const (
	user         = "ops"
	password     = "s3cret %'\"& password"
	passwordHash = "$6$guestoperations1$XAAmqX6uXYnFYp5HSLtqFsV42XNF8Od/nw4HGysB.2WxcVmrujZZEuBo6V5wAl.d6NjBl.VKZx.uruDjlAAb61"
	another      = "another"
	anotherHash  = "$6$guestoperations2$Q8eRNnZ7cdOLjRbWj.Fm8ESiibzNUGAO4SMSPwL0oK/OB8vhbgt4Tajj/ATdfHlMp3aDPt0wIKOjHi9Jr0iMS1"
)

// variable is what the environment has of this name; make sets it.
func variable(t *testing.T, name string) string {
	t.Helper()

	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set; run make guest-operations", name)
	}

	return value
}

// start starts a guest, which has to keep the protocol to its end. Most of a test is waiting, so tests run side by side.
func start(t *testing.T, arguments ...string) *guestoperations.Bridge {
	t.Helper()
	t.Parallel()

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

// vmtoolsd is Debian's, which has this user; where it is not installed the test is skipped, but not in CI.
func vmtoolsd(t *testing.T) *guestoperations.Bridge {
	t.Helper()

	if _, err := os.Stat("/usr/bin/vmtoolsd"); err != nil && os.Getenv("CI") != "true" {
		t.Skip("open-vm-tools is not installed")
	}

	folder := t.TempDir()

	for name, line := range map[string]string{
		"passwd": user + ":x:60123:60123::/tmp:/bin/sh\n",
		"shadow": user + ":" + passwordHash + ":19000:0:99999:7:::\n",
	} {
		text, err := os.ReadFile(filepath.Join("/etc", name))
		if err != nil {
			t.Fatal(err)
		}

		write(t, folder, name, string(text)+line)
	}

	return start(t, "vmtoolsd", folder)
}

// wants fails the test when an error is not the one that is wanted; nil wants success.
func wants(t *testing.T, what string, got, want error) {
	t.Helper()

	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

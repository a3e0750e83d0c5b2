// Package etcd_test freezes the file system below a real etcd, to see how long that may last.
package etcd_test

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The test binary is the watchdog as well, by the name that it is called by. The tests run in a mount namespace of
// their own, so that nothing of theirs is mounted when they have ended, however they do.
func TestMain(m *testing.M) {
	const inside = "IN_A_NAMESPACE"

	switch {
	case os.Args[0] == watchdogName:
		watch()
	case os.Getenv(inside) != "":
		// What else this machine does must not look like a slow etcd.
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, -15)

		os.Exit(m.Run())
	case os.Geteuid() != 0:
		fmt.Println("SKIPPED: only root may freeze a file system")
	default:
		test := exec.Command("/proc/self/exe", os.Args[1:]...)
		test.Env = append(os.Environ(), inside+"=1")
		test.Stdout, test.Stderr = os.Stdout, os.Stderr
		test.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}

		if err := test.Run(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
}

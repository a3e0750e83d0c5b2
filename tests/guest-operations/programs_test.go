package guestoperations_test

import (
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

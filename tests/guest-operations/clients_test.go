package guestoperations_test

import (
	"fmt"
	"strings"
	"testing"

	"talos-vmtoolsd/guest-operations/vmx"
)

// The forms of other clients, as they reach the guest: which program, which arguments, which files.

func TestPowerCLIsInvokeVMScript(t *testing.T) {
	ops := as(agent(t), user)

	for script, want := range map[string]string{
		"talosctl get hostname -o yaml": "talos-cp-1",
		"talosctl nonsense":             "nonsense",
	} {
		path, err := ops.TemporaryFile("powercli", "", "")
		wants(t, "a temporary file", err, nil)

		pid, err := ops.Start("/bin/bash", fmt.Sprintf(`> %s 2>&1 -c "%s"`, path, script), "")
		wants(t, "start", err, nil)
		wait(t, ops, pid)

		if said := fetched(t, ops, path); !strings.Contains(said, want) {
			t.Errorf("%s: %q", script, said)
		}

		wants(t, "delete", ops.DeleteFile(path), nil)
	}
}

func TestAnsiblesConnection(t *testing.T) {
	ops := as(agent(t), user)

	out, err := ops.TemporaryFile("", "stdout", "")
	wants(t, "a temporary file", err, nil)

	stderr, err := ops.TemporaryFile("", "stderr", "")
	wants(t, "a temporary file", err, nil)

	pid, err := ops.Start("/bin/sh", fmt.Sprintf("-c 'talosctl get hostname -o yaml' 1> %s 2> %s", out, stderr), "", "LANG=C")
	wants(t, "start", err, nil)

	if ended := wait(t, ops, pid); ended.Code != 0 {
		t.Errorf("%+v", ended)
	}

	if said := fetched(t, ops, out); !strings.Contains(said, "talos-cp-1") {
		t.Errorf("%q", said)
	}

	if said := fetched(t, ops, stderr); said != "" {
		t.Errorf("%q", said)
	}
}

// fetched is a file as a client takes it, which asks for it first.
func fetched(t *testing.T, ops vmx.Operator, path string) string {
	t.Helper()

	_, err := ops.FromGuest(path)
	wants(t, "ask for "+path, err, nil)

	data, err := ops.Fetch(path)
	wants(t, "fetch "+path, err, nil)

	return string(data)
}

// toolbox' RoundTripper, as its client uses it: one request to stdin, the answer from stdout.
func TestToolboxRoundTripReachesTheTalosAPIForWhoMay(t *testing.T) {
	guest := agent(t)
	ops := as(guest, relay)

	_, err := as(guest, user).Start("http.RoundTrip", "talos", "")
	wants(t, "without the right", err, permission)

	trip := func(host, path string) string {
		pid, err := ops.Start("http.RoundTrip", host, "")
		wants(t, "start", err, nil)

		// One message, not compressed, empty.
		body := "\x00\x00\x00\x00\x00"
		request := "POST " + path + " HTTP/1.1\r\nHost: talos\r\nContent-Type: application/grpc-web+proto\r\n" +
			fmt.Sprintf("Content-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
		stdin := fmt.Sprintf("/proc/%d/stdin", pid)

		wants(t, "ask to write", ops.ToGuest(stdin, true), nil)
		wants(t, "write", ops.Upload(stdin, strings.NewReader(request)), nil)
		wait(t, ops, pid)

		return string(output(t, ops, pid, "stdout")) + string(output(t, ops, pid, "stderr"))
	}

	answer := trip("talos", "/machine.MachineService/Version")
	if !strings.HasPrefix(answer, "HTTP/1.1 200 ") || !strings.Contains(answer, "grpc-status:0") && !strings.Contains(answer, "grpc-status: 0") {
		t.Errorf("%q", answer)
	}

	asked := control(t, guest, "calls")

	for _, path := range []string{"/machine.MachineService/Reboot", "/machine.MachineService/Read", "/machine.MachineService/Nothing", "/"} {
		answer := trip("talos", path)
		if strings.Contains(answer, "grpc-status:0") || strings.Contains(answer, "grpc-status: 0") {
			t.Errorf("%s: %q", path, answer)
		}
	}

	if now := control(t, guest, "calls"); strings.Contains(strings.TrimPrefix(now, asked), "/machine.MachineService/Re") {
		t.Errorf("Talos is asked: %s", now)
	}

	if pid, err := ops.Start("http.RoundTrip", "10.0.0.1:80", ""); err == nil {
		if ended := wait(t, ops, pid); ended.Code == 0 {
			t.Errorf("another host: %+v", ended)
		}
	}
}

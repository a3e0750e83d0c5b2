package guestoperations_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/toolbox/hgfs"
	"github.com/vmware/govmomi/toolbox/vix"

	"talos-vmtoolsd/guest-operations/vmx"
)

// Errors of VIX that govmomi has no name for.
const (
	notSupported     = vix.Error(6)
	permission       = vix.Error(3015)
	unknownCommand   = vix.Error(vix.UnrecognizedCommandInGuest)
	invalidLogin     = vix.Error(3050)
	disabled         = vix.Error(20005)
	noAccessYet      = vix.Error(vix.FileAccessError)
	fileNotFound     = vix.Error(vix.FileNotFound)
	notAFile         = vix.Error(vix.NotAFile)
	noSuchProcess    = vix.Error(vix.NoSuchProcess)
	anUnknownCommand = 9999
)

// operations are all of the contract but for those without credentials, by name.
func operations(ops vmx.Operator) map[string]func() error {
	second := func(_ any, err error) error { return err }

	return map[string]func() error{
		"processes":   func() error { return second(ops.Processes()) },
		"terminate":   func() error { return ops.Terminate(1) },
		"start":       func() error { return second(ops.Start("talosctl", "version", "")) },
		"environment": func() error { return second(ops.Environment()) },
		"list":        func() error { _, _, err := ops.List("/talos", "", 0, 50); return err },
		"from guest":  func() error { return second(ops.FromGuest("/talos/README.txt")) },
		"fetch":       func() error { return second(ops.Fetch("/talos/README.txt")) },
		"temporary":   func() error { return second(ops.TemporaryFile("a", "b", "")) },
		"delete":      func() error { return ops.DeleteFile("/tmp/vmware1") },
		"validate":    func() error { return ops.Validate() },
	}
}

// writes are those of the contract that change something of the node, none of which is done.
func writes(ops vmx.Operator) map[string]func() error {
	second := func(_ any, err error) error { return err }

	return map[string]func() error{
		"to guest":         func() error { return ops.ToGuest("/talos/README.txt", true) },
		"to a new file":    func() error { return ops.ToGuest("/tmp/new", false) },
		"make folder":      func() error { return ops.MakeFolder("/tmp/folder", false) },
		"temporary folder": func() error { return second(ops.TemporaryFolder("a", "b", "")) },
		"delete folder":    func() error { return ops.DeleteFolder("/talos", true) },
		"delete":           func() error { return ops.DeleteFile("/talos/README.txt") },
		"move":             func() error { return ops.MoveFile("/talos/README.txt", "/tmp/readme", true) },
		"move folder":      func() error { return ops.MoveFolder("/talos", "/tmp/talos") },
		"attributes":       func() error { return ops.SetPermissions("/talos/README.txt", 0o777) },
	}
}

func TestWhileItIsOffEveryOperationIsDisabled(t *testing.T) {
	guest := agentWith(t, "guest_operations:\n  enabled: false\n")

	// No credentials are looked at.
	for _, ops := range []vmx.Operator{as(guest, user), {Guest: guest}} {
		for name, do := range operations(ops) {
			wants(t, name, do(), disabled)
		}

		for name, do := range writes(ops) {
			wants(t, name, do(), disabled)
		}
	}

	_, err := vmx.Do(guest, vmx.Command{Op: anUnknownCommand})
	wants(t, "an unknown command", err, unknownCommand)

	properties, err := vmx.ToolsState(guest)
	wants(t, "the state of the tools", err, nil)
	announces(t, properties)

	if capability := control(t, guest, "capability"); strings.HasSuffix(capability, "1") {
		t.Errorf("the host believes in file transfers: %q", capability)
	}
}

// announces demands what makes a host believe that there are guest operations.
func announces(t *testing.T, properties map[int32]any) {
	t.Helper()

	for id := int32(4540); id <= 4557; id++ {
		if _, ok := properties[id].(bool); !ok {
			t.Errorf("property %d is %v", id, properties[id])
		}
	}

	if family := properties[4502]; family != int32(1) {
		t.Errorf("the family is %v", family)
	}
}

func TestWhoAsksIsChecked(t *testing.T) {
	guest := agent(t)

	wants(t, "validate", as(guest, user).Validate(), nil)

	for name, credential := range map[string]vmx.Credential{
		"a wrong password": vmx.NamePassword(user, "wrong"),
		"an unknown user":  vmx.NamePassword("nobody", password),
		"no user":          vmx.NamePassword("", ""),
	} {
		ops := vmx.Operator{Guest: guest, Credential: credential}
		wants(t, "validate with "+name, ops.Validate(), invalidLogin)

		_, err := ops.Open()
		wants(t, "a session with "+name, err, invalidLogin)
	}

	// No type of credentials is trusted on the host's word.
	good := vmx.NamePassword(user, password)

	for _, kind := range []uint32{0, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 1 << 31} {
		for _, blob := range [][]byte{good.Blob, nil} {
			ops := vmx.Operator{Guest: guest, Credential: vmx.Credential{Kind: kind, Blob: blob}}
			for name, do := range operations(ops) {
				err := do()
				if !errors.Is(err, notSupported) && !errors.Is(err, invalidLogin) {
					t.Errorf("%s by credentials of type %d: %v", name, kind, err)
				}
			}
		}
	}

	// The other type that carries name and password.
	wants(t, "validate", vmx.Operator{Guest: guest, Credential: vmx.Credential{Kind: 4, Blob: good.Blob}}.Validate(), nil)

	for _, op := range []uint32{vmx.AcquireCredentials, vmx.ReleaseCredentials} {
		_, err := as(guest, user).Do(op, make([]byte, 8))
		wants(t, fmt.Sprintf("operation %d", op), err, notSupported)
	}

	for _, op := range []uint32{vmx.WaitForTools, vmx.CaptureScreen} {
		result, err := vmx.Do(guest, vmx.Command{Op: op})
		wants(t, fmt.Sprintf("operation %d", op), err, nil)

		if len(result) != 0 {
			t.Errorf("operation %d says %q", op, result)
		}
	}
}

func TestAUserDoesWhatItsRightsAllow(t *testing.T) {
	guest := agent(t)
	ops := as(guest, narrow)

	for name, do := range operations(ops) {
		switch name {
		case "environment", "validate":
			wants(t, name, do(), nil)
		case "processes":
			// Its own programs, of which there are none.
			list, err := ops.Processes()
			wants(t, name, err, nil)

			if len(list) != 0 {
				t.Errorf("%+v", list)
			}
		case "terminate":
			if err := do(); !errors.Is(err, permission) && !errors.Is(err, noSuchProcess) {
				t.Errorf("%s: %v", name, err)
			}
		case "fetch":
			var status vmx.Status
			if err := do(); !errors.Is(err, permission) && !errors.As(err, &status) {
				t.Errorf("%s: %v", name, err)
			}
		default:
			wants(t, name, do(), permission)
		}
	}
}

func TestNothingOfTheNodeIsWritten(t *testing.T) {
	guest := agent(t)
	ops := as(guest, user)

	for name, do := range writes(ops) {
		wants(t, name, do(), disabled)
	}

	session, err := ops.Open()
	wants(t, "a session", err, nil)

	for name, open := range map[string][2]int32{
		"for writing":            {hgfs.OpenModeWriteOnly, hgfs.OpenCreateEmpty},
		"for both":               {hgfs.OpenModeReadWrite, hgfs.Open},
		"for reading, but emptied":  {hgfs.OpenModeReadOnly, hgfs.OpenEmpty},
		"for reading, or create": {hgfs.OpenModeReadOnly, hgfs.OpenCreate},
	} {
		var status vmx.Status
		if _, err := session.OpenFile("/talos/README.txt", open[0], open[1]); !errors.As(err, &status) {
			t.Errorf("open %s: %v", name, err)
		}
	}

	wants(t, "close", session.Close(), nil)

	if calls := control(t, guest, "calls"); strings.Contains(calls, "os:admin") {
		t.Errorf("called as os:admin:\n%s", calls)
	}
}

func TestTheEnvironmentIsTheNodes(t *testing.T) {
	ops := as(agent(t), user)

	all, err := ops.Environment()
	wants(t, "environment", err, nil)

	var names []string

	for _, variable := range all {
		name, _, _ := strings.Cut(variable, "=")
		names = append(names, name)
	}

	for _, name := range []string{"HOSTNAME", "TALOS_MACHINE_TYPE", "TALOS_READY", "TALOS_STAGE", "TALOS_VERSION"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not in %q", name, all)
		}
	}

	if slices.Contains(names, "PATH") {
		t.Errorf("the agent's own: %q", all)
	}

	some, err := ops.Environment("HOSTNAME", "NO_SUCH_NAME")
	wants(t, "environment", err, nil)

	if !slices.Equal(some, []string{"HOSTNAME=talos-cp-1.example.com"}) {
		t.Errorf("%q", some)
	}
}

func TestProcessesAreThoseOfTheNodeAndTheProgramsStartedHere(t *testing.T) {
	ops := as(agent(t), user)

	pid, err := ops.Start("talosctl", "version", "")
	wants(t, "start", err, nil)
	wait(t, ops, pid)

	all, err := ops.Processes()
	wants(t, "processes", err, nil)

	if len(all) < 2 || all[0].PID != pid || all[0].User != user || all[0].Line != "talosctl version" {
		t.Fatalf("%+v", all)
	}

	for _, process := range all[1:] {
		if process.PID == pid || process.End != 0 || process.Line == "" {
			t.Errorf("%+v", process)
		}
	}

	one, err := ops.Processes(all[1].PID, 4_000_000_000)
	wants(t, "processes", err, nil)

	if len(one) != 1 || one[0].PID != all[1].PID || one[0].Line != all[1].Line {
		t.Errorf("%+v", one)
	}

	wants(t, "end one of the node", errorOf(ops.Terminate(all[1].PID), permission, noSuchProcess), nil)
	wants(t, "end none", errorOf(ops.Terminate(4_000_000_000), permission, noSuchProcess), nil)
}

// errorOf is none if it is one of these, and itself otherwise.
func errorOf(got error, wanted ...error) error {
	for _, want := range wanted {
		if errors.Is(got, want) {
			return nil
		}
	}

	return fmt.Errorf("%w, instead of one of %v", got, wanted)
}

func TestTheTreeIsListedAndEveryFileComesWithTheSizeThatWasSaid(t *testing.T) {
	ops := as(agent(t), user)

	list, rest, err := ops.List("/talos", "", 0, 100)
	wants(t, "list", err, nil)

	names := make([]string, 0, len(list))
	for _, file := range list {
		names = append(names, file.Name)
	}

	for _, name := range []string{"README.txt", "dmesg.log", "check.json", "support.tgz", "services", "resources"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not in %q", name, names)
		}
	}

	if rest != 0 {
		t.Errorf("%d more of %q", rest, names)
	}

	walk(t, ops, "/talos")

	// What a client cuts into pages comes to the same.
	var paged []string

	for index := int32(0); ; {
		page, rest, err := ops.List("/talos", "", index, 2)
		wants(t, "a page", err, nil)

		for _, file := range page {
			paged = append(paged, file.Name)
		}

		index += int32(len(page))

		if rest == 0 || len(page) == 0 {
			break
		}
	}

	if !slices.Equal(paged, names) {
		t.Errorf("in pages %q, at once %q", paged, names)
	}

	matching, _, err := ops.List("/talos", `^README\.txt$`, 0, 100)
	wants(t, "list by a pattern", err, nil)

	if len(matching) != 1 || matching[0].Name != "README.txt" {
		t.Errorf("%+v", matching)
	}

	_, _, err = ops.List("/talos/nothing", "", 0, 100)
	wants(t, "list what is not there", err, fileNotFound)

	_, err = ops.FromGuest("/talos")
	wants(t, "a folder as a file", err, notAFile)

	_, err = ops.FromGuest("/etc/shadow")
	wants(t, "a file of the node", errorOf(err, fileNotFound, permission), nil)
}

// walk fetches every file below a folder.
func walk(t *testing.T, ops vmx.Operator, folder string) {
	t.Helper()

	list, _, err := ops.List(folder, "", 0, 500)
	wants(t, "list "+folder, err, nil)

	for _, file := range list {
		path := folder + "/" + file.Name

		switch {
		case file.Name == "." || file.Name == "..":
		case file.IsFolder():
			walk(t, ops, path)
		default:
			said, err := ops.FromGuest(path)
			for errors.Is(err, noAccessYet) {
				said, err = ops.FromGuest(path)
			}

			wants(t, "ask for "+path, err, nil)

			data, err := ops.Fetch(path)
			wants(t, "fetch "+path, err, nil)

			if int64(len(data)) != said.Size {
				t.Errorf("%s: %d bytes of %d", path, len(data), said.Size)
			}
		}
	}
}

func TestAPathLeadsNowhereElse(t *testing.T) {
	ops := as(agent(t), user)

	session, err := ops.Open()
	wants(t, "a session", err, nil)

	for _, name := range []string{
		"root\x00talos\x00..\x00etc\x00shadow",
		"root\x00..\x00etc\x00shadow",
		"root\x00talos/../etc/shadow",
		"root\x00/etc/shadow",
		"root\x00talos\x00.\x00README.txt",
		"root\x00talos\x00\x00README.txt",
		"root\x00talos\\README.txt",
		"etc\x00shadow",
		"ROOT\x00talos\x00README.txt",
		"\x00root\x00talos",
		"root\x00talos\x00README.txt\x00",
		"root\x00talos\x00\xff\xfe",
		"",
		"root\x00" + strings.Repeat("a", 5000),
	} {
		request := hgfs.RequestGetattrV2{}
		request.Request.Op = hgfs.OpGetattrV2
		request.FileName.Name = name

		payload, err := hgfs.MarshalBinary(&request)
		if err != nil {
			t.Fatal(err)
		}

		var status vmx.Status
		if reply, err := session.Send(hgfs.OpGetattrV2, append(payload, 0)); !errors.As(err, &status) {
			t.Errorf("attributes of %.60q: %q %v", name, reply, err)
		}

		open := hgfs.RequestOpenV3{Mask: 0x803}
		open.FileName.Name = name

		payload, err = hgfs.MarshalBinary(&open)
		if err != nil {
			t.Fatal(err)
		}

		if reply, err := session.Send(hgfs.OpOpenV3, append(payload, 0)); !errors.As(err, &status) {
			t.Errorf("open %.60q: %q %v", name, reply, err)
		}
	}

	for _, path := range []string{"/talos/../etc/shadow", "/talos/./README.txt", "talos/README.txt", ""} {
		if _, err := ops.FromGuest(path); err == nil {
			t.Errorf("%q can be had", path)
		}
	}

	wants(t, "close", session.Close(), nil)
}

func TestGovmomisNamesWithoutTheLastByteAreTakenAsWell(t *testing.T) {
	ops := as(agent(t), user)

	session, err := ops.Open()
	wants(t, "a session", err, nil)

	request := hgfs.RequestGetattrV2{}
	request.FileName.FromString("/talos/README.txt")

	payload, err := hgfs.MarshalBinary(&request)
	if err != nil {
		t.Fatal(err)
	}

	_, err = session.Send(hgfs.OpGetattrV2, payload)
	wants(t, "attributes", err, nil)
	wants(t, "close", session.Close(), nil)
}

func TestTheSessionAnnouncesWhatItDoes(t *testing.T) {
	ops := as(agent(t), user)

	session, err := ops.Open()
	wants(t, "a session", err, nil)

	var announced []int32

	for _, capability := range session.Capabilities {
		if capability.Flags != 0 {
			announced = append(announced, capability.Op)
		}
	}

	for _, op := range []int32{41, 42, 0, 3, 15, 24, 25, 26, 27, 31} {
		if !slices.Contains(announced, op) {
			t.Errorf("%d is not in %v", op, announced)
		}
	}

	for op := int32(0); op < 70; op++ {
		if slices.Contains(announced, op) || op == hgfs.OpCreateSessionV4 {
			continue
		}

		_, err := session.Send(op, make([]byte, 200))
		wants(t, fmt.Sprintf("operation %d", op), errorOf(err, vmx.Status(13), vmx.Status(7), vmx.Status(8)), nil)
	}

	// The old handle is of no use in another session, nor when it is closed.
	handle, err := session.OpenFile("/talos/README.txt", hgfs.OpenModeReadOnly, hgfs.Open)
	wants(t, "open", err, nil)

	other, err := ops.Open()
	wants(t, "another session", err, nil)

	_, err = other.Read(handle, 0, 10)
	wants(t, "read from elsewhere", err, vmx.Status(2))

	past, err := session.Read(handle, 1<<40, 10)
	wants(t, "read behind the end", err, nil)

	if len(past) != 0 {
		t.Errorf("%q", past)
	}

	wants(t, "close", session.CloseFile(handle), nil)
	wants(t, "close again", session.CloseFile(handle), vmx.Status(2))
	wants(t, "the end", session.Close(), nil)

	_, err = session.Attributes("/talos/README.txt")
	wants(t, "after the end", err, vmx.Status(17))
	wants(t, "the other end", other.Close(), nil)
}

func TestManySessionsThatNobodyClosesBlockNobody(t *testing.T) {
	ops := as(agent(t), user)

	for range 200 {
		session, err := ops.Open()
		wants(t, "a session", err, nil)

		if t.Failed() {
			return
		}

		_, err = session.OpenFile("/talos/README.txt", hgfs.OpenModeReadOnly, hgfs.Open)
		wants(t, "open", err, nil)
	}

	data, err := ops.Fetch("/talos/README.txt")
	wants(t, "fetch", err, nil)

	if !bytes.Contains(data, []byte("talos")) {
		t.Errorf("%q", data)
	}
}

func TestHandlesOfASessionAreLimited(t *testing.T) {
	ops := as(agent(t), user)

	session, err := ops.Open()
	wants(t, "a session", err, nil)

	opened := 0

	for range 1000 {
		_, err := session.OpenFile("/talos/README.txt", hgfs.OpenModeReadOnly, hgfs.Open)

		var status vmx.Status
		if errors.As(err, &status) {
			break
		}

		wants(t, "open", err, nil)

		opened++
	}

	if opened < 16 || opened > 256 {
		t.Errorf("%d handles", opened)
	}

	wants(t, "close", session.Close(), nil)
}

package guestoperations_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/toolbox/hgfs"
	"github.com/vmware/govmomi/toolbox/vix"

	guestoperations "talos-vmtoolsd/guest-operations"
	"talos-vmtoolsd/guest-operations/vmx"
)

// A world is what a guest has of what every guest has.
type world struct {
	guest *guestoperations.Bridge
	// A folder, a file in it, and a pattern that only this one matches.
	folder, file, pattern string
	// A command for a shell that writes something, and one that goes on until it is ended.
	says, runs string
	// A variable of the environment.
	variable string
}

func (w world) path() string {
	return w.folder + "/" + w.file
}

// bothGuests runs the same test on Debian's vmtoolsd and on our agent: an answer that only one of them gives is a mistake
// of ours, in the agent or in the test.
func bothGuests(t *testing.T, test func(t *testing.T, w world)) {
	t.Run("vmtoolsd", func(t *testing.T) {
		test(t, world{vmtoolsd(t), "/etc/pam.d", "vmtoolsd", `^vmtoolsd$`, "echo talos", "sleep 100", "HOME"})
	})
	t.Run("agent", func(t *testing.T) {
		test(t, world{agent(t), "/talos", "README.txt", `^README\.txt$`, "talosctl help", "talosctl dmesg -f", "HOSTNAME"})
	})
}

func TestBothGuestsSayWhatTheyAreAndWhoMayAsk(t *testing.T) {
	bothGuests(t, func(t *testing.T, w world) {
		properties, err := vmx.ToolsState(w.guest)
		wants(t, "the state of the tools", err, nil)
		announces(t, properties)

		wants(t, "validate", as(w.guest, user).Validate(), nil)
		wants(t, "a wrong password", vmx.Operator{Guest: w.guest, Credential: vmx.NamePassword(user, "wrong")}.Validate(), invalidLogin)
		wants(t, "no credentials", vmx.Operator{Guest: w.guest}.Validate(), notSupported)

		_, err = as(w.guest, user).Do(anUnknownCommand, nil)
		wants(t, "an unknown command", err, unknownCommand)

		for _, op := range []uint32{vmx.WaitForTools, vmx.CaptureScreen} {
			_, err = vmx.Do(w.guest, vmx.Command{Op: op})
			wants(t, fmt.Sprintf("operation %d", op), err, nil)
		}
	})
}

func TestBothGuestsRefuseMessagesThatLie(t *testing.T) {
	bothGuests(t, func(t *testing.T, w world) {
		ops := as(w.guest, user)

		for what, spoil := range map[string]func(*vix.CommandRequestHeader){
			"magic":         func(header *vix.CommandRequestHeader) { header.Magic++ },
			"version":       func(header *vix.CommandRequestHeader) { header.MessageVersion = 4 },
			"header length": func(header *vix.CommandRequestHeader) { header.HeaderLength = 60 },
			"body length":   func(header *vix.CommandRequestHeader) { header.BodyLength += 4 },
		} {
			_, err := vmx.Do(w.guest, vmx.Command{Op: 194, Body: append(make([]byte, 8), 0), Credential: ops.Credential, Spoil: spoil})
			wants(t, what, err, badHeader)
		}

		_, err := ops.Do(vix.CommandDeleteGuestFileEx, make([]byte, 7))
		wants(t, "a body that is too short", err, badHeader)

		body := binary.LittleEndian.AppendUint32(make([]byte, 4), 100)
		_, err = ops.Do(vix.CommandDeleteGuestFileEx, append(body, "/tmp\x00"...))
		wants(t, "a path beyond the body", err, badBody)

		body = binary.LittleEndian.AppendUint32(make([]byte, 4), 4)
		_, err = ops.Do(vix.CommandDeleteGuestFileEx, append(body, "/tmpx"...))
		wants(t, "a path without its NUL", err, badBody)

		// govmomi's encoder of these two counts the NUL of a path, which hosts do not.
		list := vix.ListFilesRequest{GuestPathName: w.folder, Pattern: w.pattern}
		list.Body.MaxResults = 10

		encoded, err := list.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}

		for _, op := range []uint32{vix.CommandListFiles, vix.CommandInitiateFileTransferFromGuest} {
			_, err = ops.Do(op, encoded)
			wants(t, fmt.Sprintf("operation %d as govmomi encodes it", op), err, badBody)
		}

		alive(t, w.guest)
	})
}

func TestBothGuestsListAndGiveFiles(t *testing.T) {
	bothGuests(t, func(t *testing.T, w world) {
		ops := as(w.guest, user)

		all, rest, err := ops.List(w.folder, "", 0, 500)
		wants(t, "list", err, nil)

		if rest != 0 || len(all) < 4 || all[0].Name != "." || all[1].Name != ".." || !all[0].IsFolder() {
			t.Fatalf("%+v, %d more", all, rest)
		}

		some, rest, err := ops.List(w.folder, "", 1, 2)
		wants(t, "a page", err, nil)

		if len(some) != 2 || some[0].Name != all[1].Name || some[1].Name != all[2].Name || rest != len(all)-3 {
			t.Errorf("%+v, %d more of %d", some, rest, len(all))
		}

		none, rest, err := ops.List(w.folder, "", 0, 0)
		wants(t, "an empty page", err, nil)

		if len(none) != 0 || rest != len(all) {
			t.Errorf("%+v, %d more of %d", none, rest, len(all))
		}

		none, rest, err = ops.List(w.folder, "", 1000, 10)
		wants(t, "a page behind the end", err, nil)

		if len(none) != 0 || rest != 0 {
			t.Errorf("%+v, %d more", none, rest)
		}

		matching, rest, err := ops.List(w.folder, w.pattern, 0, 10)
		wants(t, "list by a pattern", err, nil)

		if len(matching) != 1 || matching[0].Name != w.file || matching[0].IsFolder() || rest != 0 {
			t.Errorf("%+v, %d more", matching, rest)
		}

		_, _, err = ops.List(w.folder, "(", 0, 10)
		wants(t, "a pattern that is none", err, vix.Error(vix.InvalidArg))

		one, _, err := ops.List(w.path(), "", 0, 10)
		wants(t, "list a file", err, nil)

		if len(one) != 1 || one[0].Name != w.path() {
			t.Errorf("%+v", one)
		}

		_, _, err = ops.List(w.folder+"/nothing", "", 0, 10)
		wants(t, "list nothing", err, fileNotFound)

		file, err := ops.FromGuest(w.path())
		wants(t, "ask for a file", err, nil)

		data, err := ops.Fetch(w.path())
		wants(t, "fetch", err, nil)

		if file.Name != w.path() || file.Size != int64(len(data)) || len(data) == 0 {
			t.Errorf("%d bytes of %+v", len(data), file)
		}

		_, err = ops.FromGuest(w.folder)
		wants(t, "ask for a folder", err, notAFile)

		_, err = ops.FromGuest(w.folder + "/nothing")
		wants(t, "ask for nothing", err, fileNotFound)

		_, err = ops.Fetch(w.folder + "/nothing")
		wants(t, "fetch nothing", err, vmx.Status(hgfs.StatusNoSuchFileOrDir))
	})
}

func TestBothGuestsKeepHandlesToTheirSession(t *testing.T) {
	bothGuests(t, func(t *testing.T, w world) {
		ops := as(w.guest, user)

		session, err := ops.Open()
		wants(t, "a session", err, nil)

		attributes, err := session.Attributes(w.path())
		wants(t, "attributes", err, nil)

		handle, err := session.OpenFile(w.path(), hgfs.OpenModeReadOnly, hgfs.Open)
		wants(t, "open", err, nil)

		first, err := session.Read(handle, 0, 10)
		wants(t, "read", err, nil)

		again, err := session.Read(handle, 3, 1<<15)
		wants(t, "read again", err, nil)

		if len(first) != 10 || string(again[:7]) != string(first[3:]) || uint64(len(again)+3) != attributes.Size {
			t.Errorf("%q, %q of %d", first, again, attributes.Size)
		}

		past, err := session.Read(handle, attributes.Size+10, 10)
		wants(t, "read behind the end", err, nil)

		if len(past) != 0 {
			t.Errorf("%q", past)
		}

		other, err := ops.Open()
		wants(t, "another session", err, nil)

		_, err = other.Read(handle, 0, 10)
		wants(t, "read from elsewhere", err, vmx.Status(hgfs.StatusInvalidHandle))
		wants(t, "close", session.CloseFile(handle), nil)
		wants(t, "close again", session.CloseFile(handle), vmx.Status(hgfs.StatusInvalidHandle))
		wants(t, "the end", session.Close(), nil)

		_, err = session.Attributes(w.path())
		wants(t, "after the end", err, vmx.Status(hgfs.StatusStaleSession))
		wants(t, "the other end", other.Close(), nil)
	})
}

func TestBothGuestsRunWhatGovcAndAnsibleSend(t *testing.T) {
	bothGuests(t, func(t *testing.T, w world) {
		ops := as(w.guest, user)

		for _, form := range []string{
			"/bin/bash -c '" + w.says + " 1> %s 2> %s'",
			"/bin/sh -c '" + w.says + "' 1> %s 2> %s",
		} {
			var files [2]string

			for i := range files {
				path, err := ops.TemporaryFile("govmomi-", ".txt", "")
				wants(t, "a temporary file", err, nil)

				if !strings.Contains(path, "/govmomi-vmware") || !strings.HasSuffix(path, ".txt") {
					t.Errorf("%q", path)
				}

				files[i] = path
			}

			program, arguments, _ := strings.Cut(fmt.Sprintf(form, files[0], files[1]), " ")

			pid, err := ops.Start(program, arguments, "")
			wants(t, "start", err, nil)

			if ended := wait(t, ops, pid); ended.Code != 0 || ended.User != user || ended.Start == 0 {
				t.Errorf("%+v", ended)
			}

			if said := fetched(t, ops, files[0]); !strings.Contains(said, "talos") {
				t.Errorf("%q", said)
			}

			if said := fetched(t, ops, files[1]); said != "" {
				t.Errorf("%q", said)
			}

			for _, path := range files {
				wants(t, "delete", ops.DeleteFile(path), nil)
			}
		}

		variables, err := ops.Environment(w.variable, "NO_SUCH_VARIABLE")
		wants(t, "environment", err, nil)

		if len(variables) != 1 || !strings.HasPrefix(variables[0], w.variable+"=") {
			t.Errorf("%q", variables)
		}

		_, err = ops.Start("/no/such/program", "", "")
		wants(t, "no such program", err, fileNotFound)

		_, err = ops.Start("", "", "")
		wants(t, "no program", err, vix.Error(vix.InvalidArg))

		pid, err := ops.Start("/bin/sh", "-c '"+w.runs+"'", "")
		wants(t, "start", err, nil)

		all, err := ops.Processes()
		wants(t, "processes", err, nil)

		if !slices.ContainsFunc(all, func(process vmx.Process) bool { return process.PID == pid && process.End == 0 }) {
			t.Errorf("%d is not in %+v", pid, all)
		}

		wants(t, "end it", ops.Terminate(pid), nil)
		wait(t, ops, pid)

		wants(t, "end none", ops.Terminate(1<<31-1), noSuchProcess)
	})
}

// Vectors writes what govmomi's encoders make of each command and packet, one file each: the whole TCLO request.
//
//	go run ./vectors FOLDER
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vmware/govmomi/toolbox/hgfs"
	"github.com/vmware/govmomi/toolbox/vix"

	"talos-vmtoolsd/guest-operations/vmx"
)

// recorder writes each request to a file, and answers as little as an operator needs to go on.
type recorder struct {
	folder string
	name   string
	number int
}

func (r *recorder) Request(request []byte) ([]byte, error) {
	r.number++
	path := filepath.Join(r.folder, fmt.Sprintf("%s.%d.bin", r.name, r.number))

	if err := os.WriteFile(path, request, 0o644); err != nil {
		return nil, err
	}

	fmt.Printf("%s\t%d bytes\n%s\n", filepath.Base(path), len(request), lines(request))

	if r.name == "hgfs" || strings.HasPrefix(r.name, "hgfs-") {
		return answer(request), nil
	}

	return []byte("OK 3025 0 \x00"), nil
}

// answer is a guest with one file of 12057 bytes, of which reads give what they ask for.
func answer(request []byte) []byte {
	packet := request[len(vmx.Relayed(nil))+51+8:]

	var in hgfs.Packet
	if err := in.Header.UnmarshalBinary(packet); err != nil {
		panic(err)
	}

	out := hgfs.Packet{Header: in.Header}
	out.Flags, out.Status = hgfs.PacketFlagReply, 0

	switch in.Op {
	case hgfs.OpCreateSessionV4:
		out.SessionID = 0x7869a9346df8aa12
		out.Payload, _ = (&hgfs.ReplyCreateSessionV4{SessionID: out.SessionID, MaxPacketSize: 63488, Flags: 1}).MarshalBinary()
	case hgfs.OpGetattrV2:
		reply := hgfs.ReplyGetattrV2{}
		reply.Reply.Handle = hgfs.OpGetattrV2
		reply.Attr.Mask, reply.Attr.Size = 3, 12057
		out.Payload, _ = reply.MarshalBinary()
	case hgfs.OpOpenV3:
		out.Payload, _ = hgfs.MarshalBinary(&hgfs.ReplyOpenV3{Handle: 1})
	case hgfs.OpReadV3:
		var read hgfs.RequestReadV3
		if err := hgfs.UnmarshalBinary(packet[52:], &read); err != nil {
			panic(err)
		}

		reply := hgfs.ReplyReadV3{}
		if read.Offset == 0 {
			reply.ActualSize, reply.Payload = 12057, make([]byte, 12057)
		}

		out.Payload, _ = reply.MarshalBinary()
	case hgfs.OpWriteV3:
		var write hgfs.RequestWriteV3
		if err := write.UnmarshalBinary(packet[52:]); err != nil {
			panic(err)
		}

		out.Payload, _ = hgfs.MarshalBinary(&hgfs.ReplyWriteV3{ActualSize: write.RequiredSize})
	default:
		out.Payload = make([]byte, 8)
	}

	raw, err := out.MarshalBinary()
	if err != nil {
		panic(err)
	}

	return append([]byte("OK 0 0 #"), raw...)
}

func lines(request []byte) string {
	var text strings.Builder

	for start := 0; start < len(request); start += 32 {
		end := min(start+32, len(request))
		fmt.Fprintf(&text, "  % x\n", request[start:end])
	}

	return text.String()
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "vectors FOLDER")
		os.Exit(2)
	}

	guest := &recorder{folder: os.Args[1]}
	operator := vmx.Operator{Guest: guest, Credential: vmx.NamePassword("ops", "s3cret")}

	for _, vector := range []struct {
		name string
		make func()
	}{
		{"tools-state", func() { vmx.ToolsState(guest) }},
		{"validate", func() { operator.Validate() }},
		{"processes-all", func() { operator.Processes() }},
		{"processes-two", func() { operator.Processes(1, 32769) }},
		{"terminate", func() { operator.Terminate(32769) }},
		{"start-bash", func() {
			operator.Start("/bin/bash", "-c 'talosctl dmesg 1> /tmp/govmomi-vmware1 2> /tmp/govmomi-vmware2'", "")
		}},
		{"start-all-fields", func() { operator.Start("/usr/bin/talosctl", "version", "/tmp", "A=1", "B=2") }},
		{"environment-all", func() { operator.Environment() }},
		{"environment-two", func() { operator.Environment("HOSTNAME", "TALOS_VERSION") }},
		{"list", func() { operator.List("/talos", "", 0, 50) }},
		{"list-pattern", func() { operator.List("/talos/services", `.*\.log`, 3, 20) }},
		{"from-guest", func() { operator.FromGuest("/talos/README.txt") }},
		// govmomi's own encoder of these counts the NUL.
		{"list-by-govmomi", func() {
			request := vix.ListFilesRequest{GuestPathName: "/talos", Pattern: ".*"}
			request.Body.MaxResults = 50
			body, _ := request.MarshalBinary()
			operator.Do(vix.CommandListFiles, body)
		}},
		{"to-guest", func() { operator.ToGuest("/proc/32769/stdin", true) }},
		{"temporary-file", func() { operator.TemporaryFile("govmomi-", ".txt", "") }},
		{"temporary-folder", func() { operator.TemporaryFolder("govmomi-", "", "/tmp") }},
		{"delete-file", func() { operator.DeleteFile("/tmp/govmomi-vmware1") }},
		{"delete-folder", func() { operator.DeleteFolder("/tmp/x", true) }},
		{"make-folder", func() { operator.MakeFolder("/tmp/x", true) }},
		{"move-file", func() { operator.MoveFile("/tmp/a", "/tmp/b", true) }},
		{"move-folder", func() { operator.MoveFolder("/tmp/a", "/tmp/b") }},
		{"permissions", func() { operator.SetPermissions("/tmp/a", 0o644) }},
		{"hgfs-download", func() {
			if _, err := operator.Fetch("/talos/services/apid.log"); err != nil {
				panic(err)
			}
		}},
		{"hgfs-upload", func() {
			if err := operator.Upload("/proc/32769/stdin", strings.NewReader("hello")); err != nil {
				panic(err)
			}
		}},
		{"hgfs-archive", func() { operator.Fetch("/archive:/talos/services") }},
		{"hgfs-query", func() { operator.Fetch("/talos/services?format=tgz&prefix=node%2F") }},
	} {
		guest.name, guest.number = vector.name, 0
		vector.make()
	}
}

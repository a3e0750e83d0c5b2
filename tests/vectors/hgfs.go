// Prints HGFS packets as govmomi writes them, one a line: a name and bytes.
package main

import (
	"fmt"
	"os"

	"github.com/vmware/govmomi/toolbox/hgfs"
)

const path = "/talos/services/apid.log"

func packet(op int32, session uint64, payload any) []byte {
	body, err := hgfs.MarshalBinary(payload)
	if err != nil {
		panic(err)
	}
	p := hgfs.Packet{Payload: body}
	p.Header = hgfs.Header{
		Version: hgfs.HeaderVersion, Dummy: hgfs.OpNewHeader, HeaderSize: 52, RequestID: 7, Op: op,
		Flags: hgfs.PacketFlagRequest, SessionID: session,
	}
	data, err := p.MarshalBinary()
	if err != nil {
		panic(err)
	}
	return data
}

func reply(op int32, session uint64, payload any) []byte {
	p := hgfs.Packet{Header: hgfs.Header{RequestID: 7, Op: op, SessionID: session}}
	data, err := p.Reply(payload, nil)
	if err != nil {
		panic(err)
	}
	return data
}

func main() {
	const session = 0x1122334455667788
	var v2 hgfs.FileName
	v2.FromString(path)
	var v3 hgfs.FileNameV3
	v3.FromString(path)
	var query hgfs.FileNameV3
	query.FromString("/archive:/talos/services?format=tgz")
	attributes := hgfs.AttrV2{
		Mask: 0x33fb, Type: 1, Size: 9, AccessTime: 116444736000000000 + 17000000000000000,
		WriteTime: 116444736000000000 + 17000000010000000, AttrChangeTime: 116444736000000000 + 17000000010000000,
		SpecialPerms: 1, OwnerPerms: 6, GroupPerms: 4, OtherPerms: 5, UserID: 1000, GroupID: 50,
	}
	served := []hgfs.Capability{}
	for _, op := range []int32{41, 42, 0, 3, 15, 24, 25, 26, 27, 31} {
		served = append(served, hgfs.Capability{Op: op, Flags: 1})
	}
	vectors := []struct {
		name string
		data []byte
	}{
		{"create_session", packet(41, 0, &hgfs.RequestCreateSessionV4{MaxPacketSize: 0xf800, Flags: 1,
			Capabilities: []hgfs.Capability{{Op: 41, Flags: 1}, {Op: 25, Flags: 1}}})},
		{"destroy_session", packet(42, session, &hgfs.RequestDestroySessionV4{})},
		{"open", packet(0, session, &hgfs.RequestOpen{Request: hgfs.Request{Handle: 9, Op: 0}, Permissions: 4, FileName: v2})},
		{"open_to_write", packet(0, session, &hgfs.RequestOpen{OpenMode: 1, OpenFlags: 4, Permissions: 6, FileName: v2})},
		{"open_v3", packet(24, session, &hgfs.RequestOpenV3{Mask: 0x803, FileName: v3})},
		{"open_v3_archive", packet(24, session, &hgfs.RequestOpenV3{Mask: 0x803, FileName: query})},
		{"open_v3_to_write", packet(24, session, &hgfs.RequestOpenV3{OpenMode: 2, OpenFlags: 2, OwnerPerms: 6, FileName: v3})},
		{"read_v3", packet(25, session, &hgfs.RequestReadV3{Handle: 3, Offset: 0x1_0000_0002, RequiredSize: 61440})},
		{"write_v3", packet(26, session, &hgfs.RequestWriteV3{Handle: 3, WriteFlags: 1, Offset: 5, RequiredSize: 4, Payload: []byte("ping")})},
		{"close", packet(3, session, &hgfs.RequestClose{Handle: 3})},
		{"getattr_v2", packet(15, session, &hgfs.RequestGetattrV2{FileName: v2})},
		{"getattr_v2_by_handle", packet(15, session, &hgfs.RequestGetattrV2{AttrHint: 4, Handle: 3})},
		{"reply_create_session", reply(41, 0, &hgfs.ReplyCreateSessionV4{SessionID: session, NumCapabilities: 10,
			MaxPacketSize: 0xf800, Flags: 1, Capabilities: served})},
		{"reply_destroy_session", reply(42, session, &hgfs.ReplyDestroySessionV4{})},
		{"reply_open", reply(0, session, &hgfs.ReplyOpen{Handle: 3})},
		{"reply_open_v3", reply(24, session, &hgfs.ReplyOpenV3{Handle: 3})},
		{"reply_read_v3", reply(25, session, &hgfs.ReplyReadV3{ActualSize: 4, Payload: []byte("pong")})},
		{"reply_write_v3", reply(26, session, &hgfs.ReplyWriteV3{ActualSize: 4})},
		{"reply_close", reply(3, session, &hgfs.ReplyClose{})},
		{"reply_getattr_v2", reply(15, session, &hgfs.ReplyGetattrV2{Attr: attributes})},
	}
	for _, v := range vectors {
		fmt.Fprintf(os.Stdout, "%s %x\n", v.name, v.data)
	}
}

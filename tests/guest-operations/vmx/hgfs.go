package vmx

import (
	"fmt"
	"io"
	"strings"

	"github.com/vmware/govmomi/toolbox/hgfs"
	"github.com/vmware/govmomi/toolbox/vix"
)

const (
	// mostInRead is what the VMX asks for at once, in packets of at most mostInPacket.
	mostInRead   = 61440
	mostInPacket = 63488
)

// A Status is an error of HGFS.
type Status uint32

func (s Status) Error() string {
	return fmt.Sprintf("hgfs status=%d", uint32(s))
}

// A Session of HGFS.
type Session struct {
	Operator Operator
	ID       uint64
	// Capabilities are the operations that the guest says it has.
	Capabilities []hgfs.Capability
	request      uint32
}

// Packet is a packet as the command carries it.
func Packet(packet []byte) []byte {
	request := vix.CommandHgfsSendPacket{Packet: packet}
	request.Body.PacketSize = uint32(len(packet))

	return marshal(&request)
}

// Open begins a session.
func (o Operator) Open() (*Session, error) {
	session := &Session{Operator: o}

	var reply hgfs.ReplyCreateSessionV4

	request := hgfs.RequestCreateSessionV4{MaxPacketSize: mostInPacket}
	if err := session.do(hgfs.OpCreateSessionV4, marshal(&request), &reply); err != nil {
		return nil, err
	}

	if reply.MaxPacketSize > mostInPacket {
		return nil, fmt.Errorf("packets of %d bytes", reply.MaxPacketSize)
	}

	session.ID, session.Capabilities = reply.SessionID, reply.Capabilities

	return session, nil
}

// Send sends a packet and gives the payload of the reply, which answers this packet and no other.
func (s *Session) Send(op int32, payload []byte) ([]byte, error) {
	s.request++

	packet := hgfs.Packet{Payload: payload}
	packet.Header = hgfs.Header{
		Version:    hgfs.HeaderVersion,
		Dummy:      hgfs.OpNewHeader,
		HeaderSize: 52,
		RequestID:  s.request,
		Op:         op,
		Flags:      hgfs.PacketFlagRequest,
		SessionID:  s.ID,
	}

	raw, err := Do(s.Operator.Guest, Command{
		Op:         vix.HgfsSendPacketCommand,
		Body:       Packet(marshal(&packet)),
		Credential: s.Operator.Credential,
		Binary:     true,
	})
	if err != nil {
		return nil, err
	}

	if len(raw) < 52 || len(raw) > mostInPacket {
		return nil, fmt.Errorf("a packet of %d bytes", len(raw))
	}

	var reply hgfs.Packet
	if err := reply.Header.UnmarshalBinary(raw); err != nil {
		return nil, err
	}

	if int(reply.PacketSize) != len(raw) || reply.HeaderSize != 52 {
		return nil, fmt.Errorf("a packet of %d bytes says %d, and %d for its header", len(raw), reply.PacketSize, reply.HeaderSize)
	}

	if reply.RequestID != s.request || reply.Op != op || reply.Flags != hgfs.PacketFlagReply {
		return nil, fmt.Errorf("a reply to something else: %+v", reply.Header)
	}

	if reply.Status != hgfs.StatusSuccess {
		return nil, Status(reply.Status)
	}

	if s.ID != 0 && reply.SessionID != s.ID {
		return nil, fmt.Errorf("a reply of another session: %+v", reply.Header)
	}

	return raw[52:], nil
}

func (s *Session) do(op int32, payload []byte, reply any) error {
	raw, err := s.Send(op, payload)
	if err != nil {
		return err
	}

	return hgfs.UnmarshalBinary(raw, reply)
}

// encode is a payload, with the byte that a name ends in, which govmomi leaves out.
func encode(fields ...any) []byte {
	payload, err := hgfs.MarshalBinary(fields...)
	if err != nil {
		panic(err)
	}

	return payload
}

// Attributes asks for a file's.
func (s *Session) Attributes(path string) (hgfs.AttrV2, error) {
	request := hgfs.RequestGetattrV2{}
	request.Request.Op = hgfs.OpGetattrV2
	request.FileName.FromString(path)

	var reply hgfs.ReplyGetattrV2

	err := s.do(hgfs.OpGetattrV2, append(encode(&request), 0), &reply)

	return reply.Attr, err
}

// OpenFile gives a handle.
func (s *Session) OpenFile(path string, mode, flags int32) (uint32, error) {
	// mode, flags and name are what it says.
	request := hgfs.RequestOpenV3{Mask: 0x803, OpenMode: mode, OpenFlags: flags}
	request.FileName.FromString(path)

	var reply hgfs.ReplyOpenV3

	err := s.do(hgfs.OpOpenV3, append(encode(&request), 0), &reply)

	return reply.Handle, err
}

// Read reads at most `most` bytes.
func (s *Session) Read(handle uint32, offset uint64, most uint32) ([]byte, error) {
	request := hgfs.RequestReadV3{Handle: handle, Offset: offset, RequiredSize: most}

	raw, err := s.Send(hgfs.OpReadV3, encode(&request))
	if err != nil {
		return nil, err
	}

	var reply hgfs.ReplyReadV3
	if err := reply.UnmarshalBinary(raw); err != nil {
		return nil, err
	}

	// The struct ends in one byte of data, which open-vm-tools counts on top.
	length := int(reply.ActualSize)
	if length > int(most) || len(reply.Payload) != length && len(reply.Payload) != length+1 {
		return nil, fmt.Errorf("%d bytes are said to be %d, of %d", len(reply.Payload), length, most)
	}

	return reply.Payload[:length], nil
}

// Write writes and says how much of it was taken.
func (s *Session) Write(handle uint32, offset uint64, data []byte) (uint32, error) {
	request := hgfs.RequestWriteV3{Handle: handle, Offset: offset, RequiredSize: uint32(len(data)), Payload: data}

	var reply hgfs.ReplyWriteV3

	err := s.do(hgfs.OpWriteV3, encode(&request), &reply)

	return reply.ActualSize, err
}

// CloseFile gives a handle back.
func (s *Session) CloseFile(handle uint32) error {
	request := hgfs.RequestClose{Handle: handle}
	request.Request.Op = hgfs.OpClose
	_, err := s.Send(hgfs.OpClose, encode(&request.Request, &request.Handle))

	return err
}

// Close ends the session.
func (s *Session) Close() error {
	_, err := s.Send(hgfs.OpDestroySessionV4, encode(&hgfs.RequestDestroySessionV4{}))

	return err
}

// A Download is a file on its way, as the VMX fetches it.
type Download struct {
	// Size is what the client is promised.
	Size    int64
	session *Session
	handle  uint32
	offset  uint64
	ahead   []byte
	isOver  bool
}

// Download begins to fetch a file: session, attributes, open, and the first bytes. The length that is promised is that
// of the attributes, unless the first bytes are all there is.
func (o Operator) Download(path string) (*Download, error) {
	// A slash at the end is lost in the VMX.
	path = strings.TrimSuffix(path, "/")

	session, err := o.Open()
	if err != nil {
		return nil, err
	}

	download := &Download{session: session}

	attributes, err := session.Attributes(path)
	if err == nil {
		download.handle, err = session.OpenFile(path, hgfs.OpenModeReadOnly, hgfs.Open)
	}

	if err != nil {
		return nil, second(err, session.Close())
	}

	download.Size = int64(attributes.Size)
	if err := download.fill(); err != nil {
		return nil, second(err, download.Close())
	}

	if first := download.ahead; len(first) < mostInRead {
		if err := download.fill(); err != nil {
			return nil, second(err, download.Close())
		}

		if download.isOver {
			download.Size = int64(len(first))
		}

		download.ahead = append(first[:len(first):len(first)], download.ahead...)
	}

	return download, nil
}

// second is the first error; the other one only counts if there is none.
func second(first, second error) error {
	if first != nil {
		return first
	}

	return second
}

func (d *Download) fill() error {
	data, err := d.session.Read(d.handle, d.offset, mostInRead)
	d.offset += uint64(len(data))
	d.ahead, d.isOver = data, len(data) == 0

	return err
}

// Read reads what comes next; all that was promised, or less where the file ends.
func (d *Download) Read(buffer []byte) (int, error) {
	if len(d.ahead) == 0 {
		if d.isOver || int64(d.offset) >= d.Size {
			return 0, io.EOF
		}

		if err := d.fill(); err != nil {
			return 0, err
		}

		if d.isOver {
			return 0, io.EOF
		}
	}

	length := copy(buffer, d.ahead)
	d.ahead = d.ahead[length:]

	return length, nil
}

// Close gives the file back, and ends the session.
func (d *Download) Close() error {
	return second(d.session.CloseFile(d.handle), d.session.Close())
}

// Fetch downloads a file whole, and demands that what was promised comes.
func (o Operator) Fetch(path string) ([]byte, error) {
	download, err := o.Download(path)
	if err != nil {
		return nil, err
	}

	data, err := io.ReadAll(download)
	if err == nil && int64(len(data)) != download.Size {
		err = fmt.Errorf("%d bytes of %d", len(data), download.Size)
	}

	return data, second(err, download.Close())
}

// Upload writes a file.
func (o Operator) Upload(path string, from io.Reader) error {
	session, err := o.Open()
	if err != nil {
		return err
	}

	handle, err := session.OpenFile(path, hgfs.OpenModeWriteOnly, hgfs.OpenCreateEmpty)
	if err != nil {
		return second(err, session.Close())
	}

	buffer := make([]byte, mostInRead)

	for offset := uint64(0); err == nil; {
		length, end := io.ReadFull(from, buffer)
		if length > 0 {
			var taken uint32

			taken, err = session.Write(handle, offset, buffer[:length])
			if err == nil && int(taken) != length {
				err = fmt.Errorf("%d bytes of %d were taken", taken, length)
			}

			offset += uint64(length)
		}

		if end != nil {
			if end != io.EOF && end != io.ErrUnexpectedEOF {
				err = second(err, end)
			}

			break
		}
	}

	return second(err, second(session.CloseFile(handle), session.Close()))
}

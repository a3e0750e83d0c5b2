// Package vmx plays the VMX's part of guest operations: it encodes commands as govmomi's toolbox does, hands them to a
// guest over TCLO and reads what comes back. It takes nothing that a host would not take.
package vmx

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/vmware/govmomi/toolbox/vix"
)

// The commands that govmomi has no name for.
const (
	WaitForTools        = 38
	CaptureScreen       = 58
	AcquireCredentials  = 190
	ReleaseCredentials  = 191
	ValidateCredentials = 192
)

// samlBearer is the kind of credentials that single sign-on gives.
const samlBearer = 11

// The length of the header, and the flags of a request: it is one, it goes on to the guest.
const (
	headerLength = 51
	commonFlags  = 0x05
)

// A Guest answers TCLO requests.
type Guest interface {
	Request(request []byte) ([]byte, error)
}

// A Credential is what a request says of who asks.
type Credential struct {
	Kind uint32
	Blob []byte
}

// NamePassword are those of a user.
func NamePassword(name, password string) Credential {
	blob, err := (&vix.UserCredentialNamePassword{Name: name, Password: password}).MarshalBinary()
	if err != nil {
		panic(err)
	}

	return Credential{Kind: vix.UserCredentialTypeNamePassword, Blob: blob}
}

// A Command is one request.
type Command struct {
	Op         uint32
	Body       []byte
	Credential Credential
	// Binary asks for a result in bytes.
	Binary bool
	// Spoil changes the header before it is written; for what no host sends.
	Spoil func(header *vix.CommandRequestHeader)
}

// Message is the message of the command alone.
func (c Command) Message() []byte {
	header := vix.CommandRequestHeader{
		Header: vix.Header{
			Magic:              vix.CommandMagicWord,
			MessageVersion:     5,
			TotalMessageLength: uint32(headerLength + len(c.Body) + len(c.Credential.Blob)),
			HeaderLength:       headerLength,
			BodyLength:         uint32(len(c.Body)),
			CredentialLength:   uint32(len(c.Credential.Blob)),
			CommonFlags:        commonFlags,
		},
		OpCode:             c.Op,
		Cookie:             0x1122334455667788,
		UserCredentialType: c.Credential.Kind,
	}

	if c.Binary {
		header.CommonFlags |= vix.CommandGuestReturnsBinary
	}

	if c.Spoil != nil {
		c.Spoil(&header)
	}

	var message bytes.Buffer

	if err := binary.Write(&message, binary.LittleEndian, header); err != nil {
		panic(err)
	}

	message.Write(c.Body)
	message.Write(c.Credential.Blob)

	return message.Bytes()
}

// Request is the command as TCLO carries it.
func (c Command) Request() []byte {
	return Relayed(c.Message())
}

// Relayed is a message as TCLO carries it.
func Relayed(message []byte) []byte {
	return append([]byte("Vix_1_Relayed_Command \"guest-operations\"\x00"), message...)
}

// A Reply is what a guest makes of a command.
type Reply struct {
	// Code is VIX' error, 0 for none.
	Code vix.Error
	// Additional is errno or a status.
	Additional int
	// Result is without what frames it.
	Result []byte
}

// Decode reads a reply to TCLO, as strictly as it may be read.
func Decode(reply []byte, isBinary bool) (Reply, error) {
	malformed := func(why string) (Reply, error) {
		return Reply{}, fmt.Errorf("%s: %.80q", why, reply)
	}

	// The VMX has 64 KiB for all of it.
	if len(reply) > 64<<10 {
		return malformed(strconv.Itoa(len(reply)) + " bytes")
	}

	rest, ok := bytes.CutPrefix(reply, []byte("OK "))
	if !ok {
		return malformed("not OK")
	}

	code, rest, ok := bytes.Cut(rest, []byte(" "))
	if !ok {
		return malformed("no error")
	}

	additional, rest, ok := bytes.Cut(rest, []byte(" "))
	if !ok {
		return malformed("no second error")
	}

	first, err := strconv.Atoi(string(code))
	if err != nil {
		return malformed("an error that is no number")
	}

	second, err := strconv.Atoi(string(additional))
	if err != nil {
		return malformed("a second error that is no number")
	}

	if isBinary {
		rest, ok = bytes.CutPrefix(rest, []byte("#"))
		if !ok {
			return malformed("not binary")
		}
	} else {
		rest, ok = bytes.CutSuffix(rest, []byte{0})
		if !ok || bytes.IndexByte(rest, 0) >= 0 {
			return malformed("text without its one NUL at the end")
		}
	}

	return Reply{Code: vix.Error(first), Additional: second, Result: rest}, nil
}

// Do sends a command and gives its result; an error of VIX is a [vix.Error].
func Do(guest Guest, command Command) ([]byte, error) {
	reply, err := Send(guest, command)
	if err != nil {
		return nil, err
	}

	if reply.Code != vix.OK {
		return nil, reply.Code
	}

	return reply.Result, nil
}

// Send sends a command and gives its reply.
func Send(guest Guest, command Command) (Reply, error) {
	reply, err := guest.Request(command.Request())
	if err != nil {
		return Reply{}, err
	}

	return Decode(reply, command.Binary)
}

// marshal is what an encoder of govmomi makes; none of them fails.
func marshal(body encoding.BinaryMarshaler) []byte {
	bytes, err := body.MarshalBinary()
	if err != nil {
		panic(err)
	}

	return bytes
}

// SAMLToken are the credentials of a user with a token of single sign-on; text is both, encoded.
func SAMLToken(token, name, text string) Credential {
	blob := binary.LittleEndian.AppendUint32(nil, uint32(len(token)))
	blob = binary.LittleEndian.AppendUint32(blob, uint32(len(name)))

	return Credential{Kind: samlBearer, Blob: append(append(blob, text...), 0)}
}
